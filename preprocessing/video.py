"""Video decoding: frames one at a time, and a name for everything that can be wrong with a file."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from preprocessing import containers
from preprocessing.errors import UserError

# FFmpeg and OpenCV write their complaints about damaged files to the terminal; here they become
# outcomes.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

EXTENSIONS = (".avi", ".mp4", ".mpg", ".mpeg", ".mov", ".mkv", ".webm", ".m4v", ".wmv", ".flv")
IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png")
RESIZE_MODES = ("stretch", "crop")

# A decoder stops without a word at the first thing it cannot read, so a file that gives clearly
# less than it declares was cut off. Some writers count frames that they dropped, so a small
# difference is none.
_LEAST_DECODED_SHARE = 0.9
_NO_LIMIT = 2**31 - 1  # milliseconds
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
    path = Path(path)
    if path.is_dir():
        images = _image_files(path)
        height, width, _ = _read_image(images[0]).shape
        return Claim(len(images), width, height, 0.0)
    capture = _open(path)
    try:
        return _claim(capture)
    finally:
        capture.release()


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Decodes a video file, or a folder of jpg or png images in the order of their names.

    Every decoded frame comes once, whatever its time stamp, and upright where the file asks for
    a rotation.

    Args:
        path: the file or the folder.

    Yields:
        uint8 (H, W, 3), RGB.

    Raises:
        VideoError: the file is unreadable, or ends before its time (known only at the end).
    """
    path = Path(path)
    if path.is_dir():
        for image in _image_files(path):
            yield cv2.cvtColor(_read_image(image), cv2.COLOR_BGR2RGB)
        return
    capture = _open(path)
    try:
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
    _check_whole(path, claim, decoded, seconds)


def _check_whole(path: Path, claim: Claim, decoded: int, seconds: float):
    """Refuses a file that was cut off, where its container tells."""
    declares = containers.declares(path)
    if declares == "frames" and decoded < _LEAST_DECODED_SHARE * claim.num_frames:
        raise VideoError(
            "truncated",
            f"{path} declares {claim.num_frames} frames, only {decoded} decode: it was cut off",
        )
    if declares == "duration" and claim.fps:
        # OpenCV's count is the declared duration times the rate here.
        declared, covered = claim.num_frames / claim.fps, seconds + 1 / claim.fps
        if covered < _LEAST_DECODED_SHARE * declared:
            raise VideoError(
                "truncated",
                f"{path} declares {declared:.1f} s, only {covered:.1f} s decode: it was cut off",
            )


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


def _open(path: Path) -> cv2.VideoCapture:
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
    settings = [number for setting in settings.items() for number in setting]
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG, settings)
    if not capture.isOpened():
        raise VideoError(*containers.why_unreadable(path))
    return capture


def _claim(capture) -> Claim:
    return Claim(
        num_frames=max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps=max(0.0, capture.get(cv2.CAP_PROP_FPS)),
    )


def _image_files(folder: Path) -> list[Path]:
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_EXTENSIONS)
    if not images:
        raise VideoError("no_frames", f"folder {folder} holds no jpg or png image")
    return images


def _read_image(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise VideoError("corrupt", f"{path} does not decode as an image")
    return image
