"""The files of a video, one file or a folder of images: their names, order, faults and digest."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.video.segments import Segment

EXTENSIONS = (
    *(".avi", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".mkv", ".webm", ".wmv", ".asf", ".flv"),
    *(".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".gif"),
)
IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png")
_HASHED_BYTES = 4 << 20  # at once
# (path, bytes, time of change in nanoseconds) of a file -> its digest.
_recordings: dict[tuple[str, int, int], str] = {}


class VideoError(UserError):
    """A video that cannot be used.

    Attributes:
        outcome: the kind of fault in one word, such as `truncated`.
    """

    def __init__(self, outcome: str, reason: str):
        super().__init__(reason)
        self.outcome = outcome


def is_image(path: Path) -> bool:
    """Whether a file may be a frame of a folder of images; hidden files are none."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in the order of their frames.

    Raises:
        VideoError: there is none, or a name is not UTF-8.
    """
    images = sorted(filter(is_image, folder.iterdir()), key=_natural_order)
    if not images:
        raise VideoError("no_frames", f"folder {folder} holds no jpg or png image")
    return [checked(image) for image in images]


def _natural_order(path: Path) -> tuple[list[int | str], str]:
    """Names by their text and the values of their numbers: 2.png before 10.png."""
    pieces = re.split("([0-9]+)", path.name)
    return [int(piece) if piece.isdecimal() else piece for piece in pieces], path.name


def checked(path: Path) -> Path:
    """The path, unless its name would crash OpenCV.

    Raises:
        VideoError: the name is not UTF-8.
    """
    if files.is_utf8(path):
        return path
    raise VideoError("bad_name", f"the name {files.printable(path)} is not UTF-8: rename it")


def sha256(
    path: Path,
    report: Callable[[int], None] = lambda amount: None,
    segment: Segment | None = None,
) -> str:
    """Digest of a video, hexadecimal: what `sha256sum FILE` prints of it.

    Of a folder of images it is that of the lines `<digest of the image>  <name>\\n` in the order in
    which they are read: what `sha256sum *.jpg | sha256sum` prints. Of a segment it is that of the
    line `<digest of the file>  <name of the segment>\\n`, so that segments of one file differ.

    Args:
        path: video file or folder of images.
        report: called with 0 for every few megabytes read.
        segment: the part of the file that is the video; None for all of it.
    """
    path = Path(path)
    if segment:
        line = f"{_recording_sha256(path, report)}  {segment.name}\n"
        return hashlib.sha256(line.encode()).hexdigest()
    digest = hashlib.sha256()
    if path.is_dir():
        for image in image_files(path):
            digest.update(f"{sha256(image, report)}  ".encode() + os.fsencode(image.name) + b"\n")
        return digest.hexdigest()
    with path.open("rb") as file:
        while chunk := file.read(_HASHED_BYTES):
            digest.update(chunk)
            report(0)
    return digest.hexdigest()


def _recording_sha256(path: Path, report: Callable[[int], None]) -> str:
    """Digest of a file that has many segments, each of which asks for it."""
    state = path.stat()
    key = str(path), state.st_size, state.st_mtime_ns
    if key not in _recordings:
        _recordings[key] = sha256(path, report)
    return _recordings[key]
