"""Video decoding: frames one at a time, and a name for everything that can be wrong with a file."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from preprocessing.video import completeness, containers, paths
from preprocessing.video.paths import VideoError
from preprocessing.video.segments import Segment

# FFmpeg and OpenCV write their complaints about damaged files, missing cameras and missing encoders
# to the terminal; here they become errors. This holds for the whole process from this import on.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# Some writers count frames that they dropped, so a small difference between the frames that a
# header counts and those that decode is none.
_LEAST_DECODED_FRACTION = 0.9
_LEAST_SHOWN_FRACTION = 0.8  # VP8 stores some frames that others are made of and that are not shown
_NO_LIMIT = 2**31 - 1  # milliseconds
UNKNOWN_FPS = 25.0
# The decoder goes to a segment that begins later than this, and then begins as long before it: the
# frames behind a key frame may need some from before it.
_LEAD = 5.0  # seconds
_SEEKABLE = ("MP4", "Matroska")  # others have no index, or one of bytes alone
# A segment may end this much later than the picture does: sound is often a little longer.
_END_TOLERANCE = 0.1  # seconds
# OpenCV hands these to FFmpeg's reader when it opens a file.
_READER_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_OPENING = threading.Lock()


@dataclass(frozen=True)
class Claim:
    """What a video's header claims; the number of frames is known only after decoding.

    Attributes:
        num_frames: frames (0 where the container does not say).
        width, height: of the stored picture, in pixels.
        fps: frames a second (0 where unknown).
    """

    num_frames: int
    width: int
    height: int
    fps: float


def probe(path: Path) -> Claim:
    """Reads the header of a video file, or the first image of a folder of images.

    Raises:
        VideoError: it is no video.
    """
    path = paths.checked(Path(path))
    if path.is_dir():
        images = paths.image_files(path)
        height, width, _ = _read_image(images[0]).shape
        return Claim(len(images), width, height, 0.0)
    capture = _open(path)
    try:
        return _claim(capture)
    finally:
        capture.release()


def usual_fps(claimed: float) -> float:
    """The frame rate that a source claims, or UNKNOWN_FPS where that is none (0, 90000)."""
    return claimed if 1 <= claimed <= 240 else UNKNOWN_FPS


def read_frames(
    path: Path,
    note: Callable[[str], None] = lambda reason: None,
    waiting: Callable[[], None] = lambda: None,
    segment: Segment | None = None,
) -> Iterator[np.ndarray]:
    """The frames of `read_timed_frames` without their times: uint8 (H, W, 3), RGB."""
    return (frame for _, frame in read_timed_frames(path, note, waiting, segment))


def read_timed_frames(
    path: Path,
    note: Callable[[str], None] = lambda reason: None,
    waiting: Callable[[], None] = lambda: None,
    segment: Segment | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Decodes a video file, or a folder of jpg or png images in the order of their names.

    Every decoded frame comes once, whatever its time stamp, and upright where the file asks for
    a rotation. Numbers in the names of images count as numbers: 2.png comes before 10.png.

    Args:
        path: the file or the folder.
        note: called at the end, with one line, where the file is whole and shows clearly fewer
            frames than it declares: trimmed on the phone, or with longer sound, or miscounted.
        waiting: called now and then while no frame comes, to show that the work continues.
        segment: the part of a file to decode, by the times of its frames; None for all of it.

    Yields:
        (seconds since the first frame of the video, uint8 (H, W, 3), RGB). Images have UNKNOWN_FPS.

    Raises:
        VideoError: the file is unreadable; bytes of it are missing (`completeness` says where
            that can be known); many of its frames do not decode (known only at the end); or it
            ends before the segment does.
    """
    path = paths.checked(Path(path))
    if path.is_dir():
        for number, image in enumerate(paths.image_files(path)):
            yield number / UNKNOWN_FPS, cv2.cvtColor(_read_image(image), cv2.COLOR_BGR2RGB)
        return
    capture = _open_before(path, segment) if segment else _open(path)
    try:
        if missing := completeness.missing_bytes(path):
            raise VideoError("truncated", missing)
        claim = _claim(capture)
        decoded, seconds = 0, 0.0
        for seconds in _grabbed(capture, 1 / usual_fps(claim.fps)):
            if segment and segment.ended_at(seconds):
                return
            if segment and segment.begins_after(seconds):
                decoded += 1
                waiting()
                continue
            there_is, frame = capture.retrieve()
            if not there_is:
                break
            decoded += 1
            yield seconds, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
    if not decoded:
        raise VideoError("no_frames", f"{path} opens as a video, but no frame of it decodes")
    if segment:
        _check_end(path, segment, seconds + 1 / usual_fps(claim.fps))
        return
    declared = _declares_more(path, claim, decoded, seconds)
    if declared:
        _check_decoded(path, claim, decoded, waiting)
        note(f"{path} declares {declared} and shows {decoded} frames, all of them whole")


def _open_before(path: Path, segment: Segment) -> cv2.VideoCapture:
    """Opens a file where the next frame is one before the segment, or the first."""
    capture = _open(path)
    kind = containers.container(path)
    if segment.start <= _LEAD or kind not in _SEEKABLE or _is_fragmented(path):
        return capture
    capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * (segment.start - _LEAD))
    # With a variable frame rate OpenCV misjudges the distance from the key frame that it enters at.
    if capture.grab() and segment.begins_after(_stamp(capture)):
        return capture
    capture.release()
    return _open(path)


def _grabbed(capture: cv2.VideoCapture, step: float) -> Iterator[float]:
    """Grabs one frame after the other; yields the time of each in seconds, which always grows.

    Args:
        capture: the video.
        step: seconds to a frame without a time of its own.
    """
    seconds = -step
    while capture.grab():
        stamp = _stamp(capture)
        seconds = stamp if stamp > seconds else seconds + step
        yield seconds


def _stamp(capture: cv2.VideoCapture) -> float:
    """The time of the frame at hand in seconds, 0 where it has none."""
    return capture.get(cv2.CAP_PROP_POS_MSEC) / 1000


def _check_end(path: Path, segment: Segment, end: float):
    if segment.end > end + _END_TOLERANCE:
        raise VideoError(
            "beyond_end",
            f"{path} ends after {end:.2f} s, and the segment from {segment.start:g} to"
            f" {segment.end:g} s reaches beyond: correct its times",
        )


def _declares_more(path: Path, claim: Claim, decoded: int, seconds: float) -> str | None:
    """What the header declares, where that is clearly more than was decoded."""
    declares = containers.declares(path)
    if _is_fragmented(path):
        declares = "duration"
    if declares == "frames" and decoded < _LEAST_DECODED_FRACTION * claim.num_frames:
        return f"{claim.num_frames} frames"
    if declares == "duration" and claim.fps:
        # OpenCV's count is the declared duration times the rate here.
        declared, covered = claim.num_frames / claim.fps, seconds + 1 / claim.fps
        if covered < _LEAST_DECODED_FRACTION * declared:
            return f"{declared:.1f} s"
    return None


def _is_fragmented(path: Path) -> bool:
    return containers.container(path) == "MP4" and completeness.is_fragmented(path)


def _check_decoded(path: Path, claim: Claim, decoded: int, waiting):
    """Refuses a file whose stored frames do not all decode.

    The index of an MP4 has an entry for every stored frame, also for those that its edit list
    hides; other containers are read once more for theirs.
    """
    if containers.container(path) == "MP4" and not _is_fragmented(path):
        needed = _LEAST_DECODED_FRACTION * claim.num_frames
        decodable = _count(path, waiting, "ignore_editlist;1")
    else:
        needed = _LEAST_SHOWN_FRACTION * _count(path, waiting, packets=True)
        decodable = decoded
    if decodable < needed or completeness.is_broken(path):
        raise VideoError(
            "corrupt",
            f"{path} declares {claim.num_frames} frames and {decodable} decode, with damage between"
            " or behind them: copy it again",
        )


def _count(path: Path, waiting, options: str | None = None, packets: bool = False) -> int:
    """Frames that decode with FFmpeg's reader so set, or packets of the picture as they are."""
    capture = _open(path, options, packets)
    try:
        count = 0
        while capture.grab():
            count += 1
            waiting()
        return count
    finally:
        capture.release()


def _open(path: Path, options: str | None = None, packets: bool = False) -> cv2.VideoCapture:
    if not path.is_file():
        raise VideoError("missing", f"{path} does not exist")
    if not os.access(path, os.R_OK):
        raise VideoError("unreadable", f"{path} may not be read: check its permissions")
    # FFmpeg alone: OpenCV's other readers take names with digits or % for patterns. One thread:
    # the workers share the machine already. No time limit of its own: it would cut a video short
    # without a word on a busy machine, and a worker that hangs is noticed from outside.
    settings = {
        cv2.CAP_PROP_N_THREADS: 1,
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC: _NO_LIMIT,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC: _NO_LIMIT,
    }
    if packets:
        settings[cv2.CAP_PROP_FORMAT] = -1
    parameters = [number for setting in settings.items() for number in setting]
    with _OPENING, _reader_options(options):
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, parameters)
    if not capture.isOpened():
        raise VideoError(*containers.why_unreadable(path))
    return capture


@contextlib.contextmanager
def _reader_options(options: str | None):
    """Sets FFmpeg's reader; OpenCV takes this from the environment alone."""
    if options is None:
        yield
        return
    before = os.environ.get(_READER_OPTIONS)
    os.environ[_READER_OPTIONS] = options
    try:
        yield
    finally:
        if before is None:
            del os.environ[_READER_OPTIONS]
        else:
            os.environ[_READER_OPTIONS] = before


def _claim(capture: cv2.VideoCapture) -> Claim:
    return Claim(
        num_frames=max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps=max(0.0, capture.get(cv2.CAP_PROP_FPS)),
    )


def _read_image(path: Path) -> np.ndarray:
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise VideoError("corrupt", f"{path} claims to be larger than 134 megapixels") from error
    if image is None:
        raise VideoError("corrupt", f"{path} does not decode as an image")
    return image
