"""An open video: its frames as FFmpeg decodes them, with their times, and what is damaged of them.

PyAV (FFmpeg) opens every file and address that is read, here and nowhere else.
"""

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.logging
from av.stream import Disposition

from preprocessing.video.damage import Damage, unreadable
from preprocessing.video.paths import Claim, VideoError
from preprocessing.video.segments import Segment

UNKNOWN_FPS = 25.0
# FFmpeg's names of what a file may be: no playlist, which would read other files and addresses.
_FORMATS = (
    "mov,avi,matroska,asf,flv,mpeg,mpegts,mpegvideo,gif,dv,mxf,ogg,ivf,h264,hevc,av1,"
    "aac,aiff,ac3,flac,mp3,wav"
)
_CONNECTING = 10.0  # seconds that an address may take to answer
_STILL_PICTURES = Disposition.attached_pic | Disposition.timed_thumbnails
_LARGEST_ASPECT = 10  # of a pixel; beyond it a header is wrong
_FROM_THE_BEGINNING = 2.0  # seconds: a segment that begins so early needs no search
# Seconds before a segment from which on it is decoded, until a frame there is whole by itself.
_LEADS = (0.2, 2.0, 10.0, 60.0)
_SETTLING = 30.0  # seconds after which the times of packets of a broadcast are right again
_REORDERING = 1.0  # seconds by which packets may come before the time that they are shown at
_WITH_TIMES = ("mov", "matroska", "avi", "flv", "asf")  # containers whose index tells times
# A segment may end this much later than the picture does: sound is often a little longer.
_END_TOLERANCE = 0.1  # seconds
FAILURES = (av.error.FFmpegError, OSError, ValueError)


def usual_fps(claimed: float) -> float:
    """The frame rate that a source claims, or UNKNOWN_FPS where that is none (0, 90000)."""
    return claimed if 1 <= claimed <= 240 else UNKNOWN_FPS


class Film:
    """An open file or address.

    Args:
        source: path of a file, or an address.
        silence: of an address: seconds without a packet after which it counts as gone.

    Attributes:
        fps: frames a second, by its header.
        aspect: width of a pixel by its height.

    Raises:
        VideoError: it does not open, or has no moving picture that can be decoded.
    """

    def __init__(self, source: Path | str, silence: float | None = None):
        self._name, self._is_address = str(source), silence is not None
        self._container = _open(Path(source)) if silence is None else _connect(self._name, silence)
        try:
            self._stream = _picture(self._container, self._name)
        except VideoError:
            self._container.close()
            raise
        self._claimed_fps = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        self.fps, aspect = usual_fps(self._claimed_fps), self._stream.sample_aspect_ratio or 1
        self.aspect = float(aspect) if 1 / _LARGEST_ASPECT < aspect < _LARGEST_ASPECT else 1.0
        self._first: float | None = None  # time of the first frame by the container's clock
        self._seconds = 0.0  # time of the last frame since then
        self._begin()

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *_):
        self._container.close()

    def claim(self) -> Claim:
        """What the header says."""
        stream, count = self._stream, self._stream.frames
        if not count and stream.duration:
            count = round(float(stream.duration * stream.time_base) * self._claimed_fps)
        elif not count and self._container.duration:
            count = round(self._container.duration / av.time_base * self._claimed_fps)
        context = stream.codec_context
        return Claim(max(0, count), context.width, context.height, self._claimed_fps)

    def check_end(self):
        """Refuses what was cut off: an index names more bytes than there are, a GIF has no end."""
        entries = self._stream.index_entries or ()
        self._damage.check_index([(entry.pos, entry.size) for entry in entries])
        if self._container.format.name == "gif":
            with open(self._name, "rb") as file:
                file.seek(-1, os.SEEK_END)
                self._damage.check_gif(file.read())

    def timed(self) -> Iterator[tuple[float, Any]]:
        """(seconds since the first frame of the video, which always grow; PyAV's frame)."""
        step = 1 / self.fps
        seconds = -step
        for frame in self._frames:
            time = _time(frame)
            if self._first is None:
                self._first = time
            since = seconds if time is None or self._first is None else time - self._first
            seconds = self._seconds = since if since > seconds else seconds + step
            yield seconds, frame

    def before(self, segment: Segment) -> "Film":
        """The film at a key frame before a segment, or at its beginning: this one, or another.

        Where an index tells the time of each key frame, the reader goes there. Elsewhere it goes
        to well before it and reads packets without decoding them, until their times have settled.
        """
        if segment.start <= _FROM_THE_BEGINNING:
            return self
        first = self._first = self._next_time()
        if first is None:
            return Film(self._name)
        tells_times = self._container.format.name.split(",")[0] in _WITH_TIMES
        for lead in _LEADS:
            if segment.start <= lead:
                break
            begin = first + segment.start - lead
            film = self if tells_times and self._seek(begin) else self._skipped_to(begin)
            reached = film._next_time()
            if reached is not None and segment.begins_after(reached - first):
                film._first = first
                return film
        return Film(self._name)

    def _seek(self, time: float) -> bool:
        try:
            self._container.seek(round(time / self._stream.time_base), stream=self._stream)
        except FAILURES:
            return False
        self._begin()
        return True

    def _skipped_to(self, time: float) -> "Film":
        """The film from the last key frame before a time on, by its packets."""
        film = Film(self._name)
        if time > (self._first or 0) + 2 * _SETTLING:
            film._seek(time - _SETTLING)
        held: list[Any] = []
        packets = film._packets()
        for packet in packets:
            at = _time(packet) if packet else None
            if at is not None and at < time and packet.is_keyframe:
                held.clear()
            held.append(packet)
            if at is not None and at >= time + _REORDERING:
                break
        film._frames = film._decoded(itertools.chain(held, packets))
        return film

    def damaged(self, segment: Segment | None) -> str:
        """What is damaged, in one line, once all frames were read; see `Damage`.

        Args:
            segment: the part that was read; None for all.

        Raises:
            VideoError: too much is damaged, or the segment reaches beyond the end.
        """
        step = 1 / self.fps
        if segment is None:
            # Matroska counts it from 0 and others from the first frame: the earlier of the two.
            declared = (self._container.duration or 0) / av.time_base
            counted = 0.0
            if self._container.format.name == "avi":  # FFmpeg corrects the duration of a cut file
                counted = float(self._stream.frames * self._stream.time_base)
            return self._damage.check(max(declared, counted), step)
        end = self._seconds + step
        if not segment.ended_at(self._seconds) and segment.end > end + _END_TOLERANCE:
            raise VideoError(
                "beyond_end",
                f"{self._name} ends after {end:.2f} s, and the segment {segment} reaches beyond:"
                " correct its times",
            )
        first = self._first or 0.0
        return self._damage.check_segment(first, first + segment.start, first + segment.end)

    def _begin(self):
        """Decodes from where the container stands."""
        size = 0 if self._is_address else max(self._container.size, 0)
        formats = self._container.format.name.split(",")
        self._damage = Damage(self._name, formats, size, self._stream.frames)
        self._frames: Iterator[Any] = self._decoded(self._packets())

    def _next_time(self) -> float | None:
        """The time of the next frame, which stays the next; None where it needs others before."""
        frame = next(self._frames, None)
        if frame is None or not frame.key_frame or frame.is_corrupt:
            return None
        self._frames = itertools.chain([frame], self._frames)
        return _time(frame)

    def _decoded(self, packets: Iterator[Any]) -> Iterator[Any]:
        for packet in packets:
            try:
                frames = packet.decode() if packet else self._stream.codec_context.decode(None)
            except av.error.FFmpegError:
                self._damage.add_refused(_time(packet) if packet else None)
                continue
            for frame in frames:
                if not self._is_address:  # which has no end
                    self._damage.add_frame(_time(frame), frame.is_corrupt)
                yield frame

    def _packets(self) -> Iterator[Any]:
        """The packets of the picture; in the end the empty one, or None where reading failed."""
        packets = self._container.demux()
        while True:
            try:
                packet = next(packets, None)
            except FAILURES as error:
                if self._is_address:
                    raise VideoError("unreadable", f"{self._name} is gone: {error}") from error
                self._damage.add_end()
                yield None  # the decoder still holds frames
                return
            except IndexError:  # PyAV's, of a stream that only a damaged packet names
                yield None
                return
            if packet is None:
                return
            of_picture = packet.stream is self._stream
            if packet.size and not self._is_address:
                duration = float((packet.duration or 0) * (packet.time_base or 0))
                self._damage.add_packet(
                    _time(packet),
                    duration,
                    packet.pos,
                    packet.size,
                    packet.is_corrupt,
                    of_picture,
                    packet.is_discard,
                )
            if of_picture:
                yield packet


def _open(path: Path) -> Any:
    if not path.is_file():
        state = "is no regular file" if path.exists() else "does not exist"
        raise VideoError("missing", f"{path} {state}")
    if not os.access(path, os.R_OK):
        raise VideoError("unreadable", f"{path} may not be read: check its permissions")
    if not path.stat().st_size:
        raise VideoError("zero_bytes", f"{path} is empty: copy it again")
    options = {"format_whitelist": _FORMATS, "protocol_whitelist": "file"}
    try:
        return av.open(str(path.absolute()), metadata_errors="replace", container_options=options)
    except FAILURES as error:
        raise unreadable(path) from error


def _connect(address: str, silence: float) -> Any:
    try:
        return av.open(
            address,
            timeout=(_CONNECTING, silence),
            metadata_errors="replace",
            options={"rtsp_flags": "prefer_tcp"},
        )
    except FAILURES as error:
        raise VideoError("unreadable", f"{address} does not open: {error}") from error


def _picture(container: Any, name: str) -> Any:
    """The stream that is decoded: the best one that is no cover picture."""
    streams = [s for s in container.streams.video if not s.disposition & _STILL_PICTURES]
    if not streams:
        cover = "a cover picture and " if container.streams.video else ""
        raise VideoError("no_video", f"{name} has {cover}sound alone, without a moving picture")
    best = container.streams.best("video")
    stream = best if best in streams else streams[0]
    if stream.codec_context is None:
        raise VideoError(
            "unknown_codec",
            f"{name} is coded as {_codec_name(container, stream)}, for which this build of PyAV has"
            " no decoder: convert it where one is: ffmpeg -i FILE -c:v libx264 -crf 17 OUTPUT.mp4",
        )
    # One thread: the workers share the machine already.
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    return stream


def _codec_name(container: Any, stream: Any) -> str:
    """FFmpeg's name of a codec without decoder, which PyAV shows in its list of streams alone."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        listed = container.dumps_format()
    finally:
        av.logging.set_level(before)
    match = re.search(rf"#0:{stream.index}\b.*?Video: ([^,\n]+)", listed)
    return match[1].strip() if match else "something unknown"


def _time(one: Any) -> float | None:
    """Seconds by the container's clock at which a packet or frame is shown; None where unknown."""
    stamp = one.pts if one.pts is not None else one.dts
    return None if stamp is None or one.time_base is None else float(stamp * one.time_base)


def check_jpeg(data: bytes):
    """Raises ValueError where FFmpeg meets impossible codes in the data of a JPEG's pixels."""
    decoder = av.CodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    # An eighth of the size is cheaper than the whole.
    decoder.options = {"err_detect": "explode", "lowres": "3"}
    try:
        decoder.decode(av.Packet(data))
        decoder.decode(None)
    except av.error.PatchWelcomeError:
        return  # it does not know this kind of JPEG
