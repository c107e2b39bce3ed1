"""What is missing or damaged in a video file, by the word of its decoder and of its own clock.

| seen                                                           | counts as                       |
|----------------------------------------------------------------|---------------------------------|
| the index names bytes beyond the end of the file               | cut off                         |
| the last packet is partial, or the last picture of a broadcast | cut off                         |
| all streams end clearly before the declared duration           | cut off, or damaged             |
| a quarter of the file lies behind the last packet              | damaged                         |
| the decoder calls a frame corrupt, or refuses a packet         | a damaged frame                 |
| the index names packets that do not come or give no frame      | as many damaged frames          |
| a gap in times that are regular, or where the file is damaged  | as many frames as fit in it     |

A gap alone proves nothing where the frame rate varies. Damage beside it is bytes that the reader
skipped, a packet that it calls corrupt, or an error of the decoder. Where an index names all
packets (MP4, AVI), a gap between them was recorded so: many clips of UCF101 have frames that the
camera dropped.
"""

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from preprocessing.video.paths import VideoError

MOST_DAMAGED = 0.05  # of the frames of a video that is used all the same
_NEAR = 1.0  # seconds between a gap and the damage that explains it
_GAP = 1.5  # usual steps from one frame to the next from which on frames are missing
_EARLY_END = 0.04  # of the declared duration; headers are a little wrong
_UNREAD = 0.25  # of the file, behind the last packet: more than any index
_PADDING = 8192  # bytes that may lie there all the same
_SKIPPED_BYTES = 4096  # between two packets, beside a sixteenth of the packet: more than headers
# Streams that may begin and end anywhere: what comes before their first key frame is no damage.
_BROADCASTS = {"mpeg", "mpegts", "mpegvideo"}
# Their headers say nothing of their length once they are cut.
_UNMEASURED = _BROADCASTS | {"asf"}
_TS_PACKETS = (188, 192, 204)  # bytes
_ENDING = 0.3  # seconds: damage as near to the end of a broadcast is where it was cut
_REGULAR = 0.02  # of the steps; where no more of them are unusual, the frame rate does not vary
_GIF_END = b";"
_SHOWN_TIMES, _APART = 5, 0.5  # times that a message has, and seconds between them


class Damage:
    """Collects what the reader and the decoder of one file complain of.

    Args:
        formats: FFmpeg's names of its container.
        size: of the file in bytes.
        declared_frames: by its header, 0 where it does not say.
    """

    def __init__(self, name: str, formats: Iterable[str], size: int, declared_frames: int):
        self._name, self._size, self._formats = name, size, set(formats)
        # Packets lie where the index says, in any order; a fragmented file has none in its header.
        self._indexed = "mov" in self._formats and declared_frames > 0
        self._gaps_are_recorded = self._indexed or "avi" in self._formats
        self._read_to = 0  # byte behind the last packet
        self._end = 0.0  # of all streams, by their clock
        self._packets = self._shown_packets = self._indexed_packets = 0  # of the picture
        self._short = 0  # frames that the header of an AVI without index counts beside those
        self._last_packet = 0.0  # of the picture
        self._ends_partial = False
        self._signs: list[float] = []  # times at which the file shows damage
        self._errors: list[float] = []  # of packets of the picture that were refused
        self._times: list[float] = []  # of all frames
        self._corrupt: list[float] = []  # of the frames among them that are

    def check_index(self, entries: Sequence[tuple[int, int]]):
        """Takes (position, size) of each packet of the index; refuses one beyond the end."""
        self._indexed_packets = sum(size > 0 for _, size in entries)
        needed = max((position + size for position, size in entries), default=0)
        if "mov" in self._formats and needed > self._size:
            self._refuse_cut(f"has {self._size} bytes and needs at least {needed}")

    def check_gif(self, last_byte: bytes):
        """Refuses a GIF without its end mark: it was cut off."""
        if last_byte != _GIF_END:
            self._refuse_cut("ends without the mark of its end")

    def add_packet(
        self,
        time: float | None,
        duration: float,
        position: int | None,
        size: int,
        corrupt: bool,
        of_picture: bool,
        hidden: bool,
    ):
        """Takes the next packet of any stream; times and durations are seconds."""
        at = self._last_packet if time is None else time
        self._end = max(self._end, at + duration)
        if of_picture:
            self._packets += 1
            self._shown_packets += not hidden
            self._last_packet = max(self._last_packet, at)
            self._ends_partial = corrupt
        if corrupt:
            self._signs.append(at)
        if position is None or position < 0 or self._indexed:
            return
        if self._read_to and position - self._read_to > _SKIPPED_BYTES + size / 16:
            self._signs.append(at)
        self._read_to = max(self._read_to, position + size)

    def add_refused(self, time: float | None):
        """Takes a packet of the picture that the decoder refused."""
        at = self._last_packet if time is None else time
        self._signs.append(at)
        if self._times or not self._formats & _BROADCASTS:
            self._errors.append(at)

    def add_end(self):
        """Takes that nothing more can be read, though the file has not ended."""
        self._ends_partial = True

    def add_frame(self, time: float | None, corrupt: bool):
        """Takes the next decoded frame."""
        if time is None:
            time = self._times[-1] if self._times else 0.0
        self._times.append(time)
        if corrupt:
            self._signs.append(time)
            self._corrupt.append(time)

    def check(self, declared_end: float, step: float) -> str:
        """What is damaged of a file that was read to its end, in one line; empty: nothing.

        Args:
            declared_end: time at which the container says that it ends, 0 where it does not.
            step: usual seconds from one frame to the next.

        Raises:
            VideoError: it was cut off, or more than MOST_DAMAGED of its frames are damaged.
        """
        if not self._times:
            raise VideoError(
                "no_frames", f"{self._name} opens as a video, but no frame of it decodes"
            )
        first, last = self._times[0], max(self._times)
        behind = self._size - self._read_to if self._read_to else 0
        # An index at the end of an AVI shows that it is whole, whatever its header counts.
        is_whole = "mov" in self._formats or ("avi" in self._formats and self._indexed_packets > 1)
        if declared_end and not is_whole:
            length, ends = declared_end - first, self._end - first
            if length - ends > max(_EARLY_END * length, 2 * step):
                found = f"says that it lasts {length:.2f} s and ends after {ends:.2f} s"
                if behind > max(_UNREAD / 4 * self._size, _PADDING):
                    self._refuse_damage(f"{found}, with {behind} bytes behind that do not decode")
                self._refuse_cut(found)
            if "avi" in self._formats:
                self._short = round((length - ends) / step)
        if behind > max(_UNREAD * self._size, _PADDING):
            self._refuse_damage(f"has {behind} bytes behind its last picture that do not decode")
        if self._ends_partial or (self._formats & _UNMEASURED and self._is_cut(last)):
            self._refuse_cut(
                f"ends inside a picture, after {last - first:.2f} s",
                " (if it was recorded so: ffmpeg -i FILE -c copy OUTPUT.mkv)",
            )
        behind_last = max(0, round((self._last_packet - last) / step - 0.5))
        lost = max(self._short, self._indexed_packets - self._packets)
        if self._indexed:  # a frame for each packet
            lost = max(lost, self._shown_packets - len(self._times))
        return self._share(first, -math.inf, math.inf, behind_last, lost)

    def check_segment(self, first: float, begin: float, end: float) -> str:
        """As `check`, of the frames at `begin <= time < end` alone.

        Args:
            first: time of the first frame of the video.
            begin, end: times, all by the container's clock.
        """
        return self._share(first, begin, end)

    def _share(
        self, first: float, begin: float, end: float, behind_last: int = 0, lost: int = 0
    ) -> str:
        """What of the frames within two times is damaged; `lost` are known to be at least."""

        def inside(times: list[float]) -> list[float]:
            return [time for time in times if begin <= time < end]

        times, corrupt, errors = map(inside, (self._times, self._corrupt, self._errors))
        missing = inside(self._missing())
        lost = max(len(missing) + behind_last, len(errors), lost)
        if not lost and not corrupt:
            return ""
        damaged, total = len(corrupt) + lost, len(times) + lost
        places: list[float] = []
        for time in sorted((*corrupt, *errors, *missing)):
            if not places or time - first >= places[-1] + _APART:
                places.append(round(time - first, 1))
        where = ", ".join(f"{place:g}" for place in places[:_SHOWN_TIMES])
        more = ", ..." if len(places) > _SHOWN_TIMES else ""
        found = f"{damaged} of {total} frames are damaged or missing"
        if where:
            found += f", at {where}{more} s"
        if damaged > MOST_DAMAGED * total:
            self._refuse_damage(f"is damaged: {found}")
        return f"{self._name}: {found}"

    def _is_cut(self, last: float) -> bool:
        """Whether a stream of no declared length shows damage at its end."""
        partial = "mpegts" in self._formats and all(self._size % n for n in _TS_PACKETS)
        return partial or any(sign > last - _ENDING for sign in self._signs)

    def _missing(self) -> list[float]:
        """The times of frames that are missing in gaps."""
        times = self._times
        steps = [later - time for time, later in itertools.pairwise(times)]
        usual = statistics.median(steps) if steps else 0.0
        if usual <= 0:
            return []
        gaps = [
            (time, step) for time, step in zip(times, steps, strict=False) if step > _GAP * usual
        ]
        most = math.inf
        if not self._gaps_are_recorded and len(gaps) <= max(1, _REGULAR * len(steps)):
            # Some broadcasts show a frame a step late, and the next ones as if it were not.
            most = round((times[-1] - times[0]) / usual) - len(steps)
        else:
            gaps = [(time, step) for time, step in gaps if self._shows_damage(time, time + step)]
        missing = [time + usual * k for time, step in gaps for k in range(1, round(step / usual))]
        return missing if len(missing) <= most else missing[: max(0, int(most))]

    def _shows_damage(self, begin: float, end: float) -> bool:
        return any(begin - _NEAR <= sign <= end + _NEAR for sign in self._signs)

    def _refuse_cut(self, found: str, otherwise: str = ""):
        raise VideoError(
            "truncated", f"{self._name} {found}: it was cut off, copy it again{otherwise}"
        )

    def _refuse_damage(self, found: str):
        raise VideoError("corrupt", f"{self._name} {found}: copy it again")


def unreadable(path: Path) -> VideoError:
    """Why FFmpeg does not open a file, as far as its first bytes tell."""
    with path.open("rb") as file:
        head = file.read(12)
    size = path.stat().st_size
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        reason = "ends before its index (moov), or the index is damaged: copy it again"
        return VideoError("truncated", f"{path} has {size} bytes and {reason}")
    if head[:4] in (b"RIFF", b"\x1aE\xdf\xa3") or head[:3] in (b"FLV", b"GIF"):
        reason = f"its header does not decode ({size} bytes): copy it again"
        return VideoError("corrupt", f"{path} begins as a video, but {reason}")
    reason = f"is no video, whatever its extension: it begins with {head[:8]!r}"
    return VideoError("not_video", f"{path} {reason}")
