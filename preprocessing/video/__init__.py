"""Video decoding: frames one at a time, and a name for everything that can be wrong with a file."""

import contextlib
import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.video import completeness, containers

# FFmpeg and OpenCV write their complaints about damaged files to the terminal; here they become
# outcomes.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

EXTENSIONS = (
    *(".avi", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".wmv", ".asf", ".flv"),
    *(".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".gif"),
)
IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png")
RESIZE_MODES = ("stretch", "crop")

# Some writers count frames that they dropped, so a small difference between the frames that a
# header counts and those that decode is none.
_LEAST_DECODED_SHARE = 0.9
_LEAST_SHOWN_SHARE = 0.8  # VP8 stores some frames that others are made of and that are not shown
_NO_LIMIT = 2**31 - 1  # milliseconds
# OpenCV hands these to FFmpeg's reader when it opens a file.
_READER_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_OPENING = threading.Lock()
_HASHED_BYTES = 4 << 20  # at once


class VideoError(UserError):
    """A video that cannot be used.

    Attributes:
        outcome: the kind of fault in one word, such as `truncated`.
    """

    def __init__(self, outcome: str, reason: str):
        super().__init__(reason)
        self.outcome = outcome


@dataclass(frozen=True)
class Claim:
    """What a video's header claims; only decoding tells the number of frames.

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
    path = _printable(Path(path))
    if path.is_dir():
        images = _image_files(path)
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
        waiting: called now and then while no frame comes, to show that the work goes on.

    Yields:
        uint8 (H, W, 3), RGB.

    Raises:
        VideoError: the file is unreadable; bytes of it are missing (`completeness` says where
            that can be known); or many of its frames do not decode (known only at the end).
    """
    path = _printable(Path(path))
    if path.is_dir():
        for image in _image_files(path):
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
    if declares == "frames" and decoded < _LEAST_DECODED_SHARE * claim.num_frames:
        return f"{claim.num_frames} frames"
    if declares == "duration" and claim.fps:
        # OpenCV's count is the declared duration times the rate here.
        declared, covered = claim.num_frames / claim.fps, seconds + 1 / claim.fps
        if covered < _LEAST_DECODED_SHARE * declared:
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
        needed = _LEAST_DECODED_SHARE * claim.num_frames
        decodable = _count(path, waiting, "ignore_editlist;1")
    else:
        needed = _LEAST_SHOWN_SHARE * _count(path, waiting, packets=True)
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


def resize(frame: np.ndarray, size: int, mode: str = "stretch") -> np.ndarray:
    """Brings a frame to size x size pixels.

    Args:
        frame: uint8 (H, W, 3) or (H, W).
        size: side of the result, in pixels.
        mode: `stretch` (straight to the square), or `crop` (short side to size * 256 / 224, then
            the central square, the ImageNet habit).
    """
    if mode == "stretch":
        return _scale(frame, size, size)
    if mode != "crop":
        raise UserError(f"resize mode {mode!r} is unknown: it is one of {', '.join(RESIZE_MODES)}")
    height, width = frame.shape[:2]
    short = max(size, round(size * 256 / 224))
    scale = short / min(height, width)
    frame = _scale(frame, max(short, round(width * scale)), max(short, round(height * scale)))
    top, left = (frame.shape[0] - size) // 2, (frame.shape[1] - size) // 2
    return np.ascontiguousarray(frame[top : top + size, left : left + size])


def _scale(frame, width, height):
    shrinks = width * height < frame.shape[0] * frame.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(frame, (width, height), interpolation=interpolation)


def _printable(path: Path) -> Path:
    """The path, unless OpenCV would die of its name.

    Raises:
        VideoError: the name is not UTF-8.
    """
    if files.is_utf8(path):
        return path
    raise VideoError("bad_name", f"the name {files.printable(path)} is not UTF-8: rename it")


def sha256(path: Path, report: Callable[[int], None] = lambda amount: None) -> str:
    """Digest of a video, hexadecimal: what `sha256sum FILE` prints of it.

    Of a folder of images it is that of the lines `<digest of the image>  <name>\\n` in the order in
    which they are read: what `sha256sum *.jpg | sha256sum` prints.

    Args:
        path: video file or folder of images.
        report: called with 0 for every few megabytes read.
    """
    path = Path(path)
    digest = hashlib.sha256()
    if path.is_dir():
        for image in _image_files(path):
            digest.update(f"{sha256(image, report)}  ".encode() + os.fsencode(image.name) + b"\n")
        return digest.hexdigest()
    with path.open("rb") as file:
        while chunk := file.read(_HASHED_BYTES):
            digest.update(chunk)
            report(0)
    return digest.hexdigest()


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
    settings = [number for setting in settings.items() for number in setting]
    with _OPENING, _reader_options(options):
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, settings)
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


def _claim(capture) -> Claim:
    return Claim(
        num_frames=max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps=max(0.0, capture.get(cv2.CAP_PROP_FPS)),
    )


def is_image(path: Path) -> bool:
    """Whether a file may be a frame of a folder of images; hidden files are none."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def _image_files(folder: Path) -> list[Path]:
    images = sorted(filter(is_image, folder.iterdir()), key=_natural_order)
    if not images:
        raise VideoError("no_frames", f"folder {folder} holds no jpg or png image")
    return [_printable(image) for image in images]


def _natural_order(path: Path):
    """Names by their text and the values of their numbers: 2.png before 10.png."""
    pieces = re.split("([0-9]+)", path.name)
    return [int(piece) if piece.isdecimal() else piece for piece in pieces], path.name


def _read_image(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise VideoError("corrupt", f"{path} does not decode as an image")
    return image
