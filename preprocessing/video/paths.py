"""The files of a video, one file or a folder of images: names, order, claims, faults and digest."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.video import series
from preprocessing.video.segments import Segment

EXTENSIONS = (
    ".avi",
    ".mp4",
    ".m4v",
    ".mov",
    ".3gp",
    ".3g2",
    ".mkv",
    ".webm",
    ".wmv",
    ".asf",
    ".flv",
    ".mpg",
    ".mpeg",
    ".vob",
    ".ts",
    ".mts",
    ".m2ts",
    ".gif",
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


def is_image(path: Path) -> bool:
    """Whether a file may be a frame of a folder of images; hidden files are none."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def image_files(folder: Path) -> list[Path]:
    """The frames in a folder of images, in their order; pictures of ready-made flow are none.

    Raises:
        VideoError: there is none, they are of several videos, or a name is not UTF-8.
    """
    images = _images(folder)
    frames = series.split(images)["frames"]
    if not frames:
        held = "pictures of flow and no frames" if images else "no jpg or png image"
        raise VideoError("no_frames", f"folder {folder} holds {held}")
    try:
        series.check(folder, frames)
    except UserError as error:
        raise VideoError("several_series", str(error)) from error
    return [checked_name(image) for image in frames]


def flow_files(x_folder: Path, y_folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures of ready-made flow of a clip, in their order: of x, and of y displacements.

    Args:
        x_folder, y_folder: the folder of each direction, which may be missing; or twice the folder
            that has both, and may have frames too.
    """
    if x_folder == y_folder:
        found = series.split(_images(x_folder))
        return found["x"], found["y"]
    x_files, y_files = (_images(path) if path.is_dir() else [] for path in (x_folder, y_folder))
    return x_files, y_files


def _images(folder: Path) -> list[Path]:
    return sorted(filter(is_image, folder.iterdir()), key=_natural_order)


def _natural_order(path: Path) -> tuple[list[int | str], str]:
    """Names by their text and the values of their numbers: 2.png before 10.png."""
    pieces = re.split("([0-9]+)", path.name)
    return [int(piece) if piece.isdecimal() else piece for piece in pieces], path.name


def checked_name(path: Path) -> Path:
    """The path, unless its name would crash OpenCV, and fits neither JSON nor a record.

    Raises:
        VideoError: the name is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        shown = files.printable(path)
        raise VideoError("bad_name", f"the name {shown} is not UTF-8: rename it") from error
    return path


def stamp(path: Path, given_flow: tuple[Path, Path] | None = None) -> tuple[int, int]:
    """What changes when a video does, and is known without reading it.

    Args:
        path, given_flow: as for `sha256`.

    Returns:
        (bytes, time of the last change in nanoseconds); of folders the sum, and the latest.
    """
    path = Path(path)
    if not path.is_dir():
        state = path.stat()
        return state.st_size, state.st_mtime_ns
    folders = dict.fromkeys((path, *(given_flow or ())))
    states = [one.stat() for folder in folders for one in folder.iterdir()]
    times = [one.st_mtime_ns for one in (*states, *(folder.stat() for folder in folders))]
    return sum(one.st_size for one in states), max(times)


def sha256(
    path: Path,
    report: Callable[[int], None] = lambda amount: None,
    segment: Segment | None = None,
    given_flow: tuple[Path, Path] | None = None,
) -> str:
    """Digest of a video, hexadecimal: what `sha256sum FILE` prints of it.

    Of a folder of images it is that of the lines `<digest of the image>  <name>\\n` in the order in
    which they are read: what `sha256sum *.jpg | sha256sum` prints. Ready-made flow adds such lines
    behind those of the frames, x before y. Of a segment it is that of the line
    `<digest of the file>  <name of the segment>\\n`, so that segments of one file differ.

    Args:
        path: video file or folder of images.
        report: called with 0 for every few megabytes read.
        segment: the part of the file that is the video; None for all of it.
        given_flow: the folders of the clip's ready-made flow, see `flow_files`, where it is used.
    """
    path = Path(path)
    if segment:
        line = f"{_recording_sha256(path, report)}  {segment.name}\n"
        return hashlib.sha256(line.encode()).hexdigest()
    digest = hashlib.sha256()
    if path.is_dir():
        x_files, y_files = flow_files(*given_flow) if given_flow else ([], [])
        for image in (*image_files(path), *x_files, *y_files):
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
