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

# FFmpeg and OpenCV write their complaints about damaged files, missing cameras and missing encoders
# to the terminal; here they become errors. This holds for the whole process from this import on.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# Some writers count frames that they dropped, so a small difference between the frames that a
# header counts and those that decode is none.
_LEAST_DECODED_FRACTION = 0.9
_LEAST_SHOWN_FRACTION = 0.8  # VP8 stores some frames that others are made of and that are not shown
_NO_LIMIT = 2**31 - 1  # milliseconds
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


def read_frames(
    path: Path,
    note: Callable[[str], None] = lambda reason: None,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[np.ndarray]:
    """Decodes a video file, or a folder of jpg or png images in the order of their names.

    Every decoded frame comes once, whatever its time stamp, and upright where the file asks for
    a rotation. Numbers in the names of images count as numbers: 2.png comes before 10.png.

    Args:
        path: the file or the folder.
        note: called at the end, with one line, where the file is whole and shows clearly fewer
            frames than it declares: trimmed on the phone, or with longer sound, or miscounted.
        waiting: called now and then while no frame comes, to show that the work continues.

    Yields:
        uint8 (H, W, 3), RGB.

    Raises:
        VideoError: the file is unreadable; bytes of it are missing (`completeness` says where
            that can be known); or many of its frames do not decode (known only at the end).
    """
    path = paths.checked(Path(path))
    if path.is_dir():
        for image in paths.image_files(path):
            yield cv2.cvtColor(_read_image(image), cv2.COLOR_BGR2RGB)
        return
    capture = _open(path)
    try:
        if missing := completeness.missing_bytes(path):
            raise VideoError("truncated", missing)
        claim = _claim(capture)
        decoded, seconds = 0, 0.0
        while True:
            there_is, frame = capture.read()
            if not there_is:
                break
            decoded += 1
            seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
    if not decoded:
        raise VideoError("no_frames", f"{path} opens as a video, but no frame of it decodes")
    declared = _declares_more(path, claim, decoded, seconds)
    if declared:
        _check_decoded(path, claim, decoded, waiting)
        note(f"{path} declares {declared} and shows {decoded} frames, all of them whole")


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
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise VideoError("corrupt", f"{path} does not decode as an image")
    return image
