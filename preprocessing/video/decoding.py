"""Video decoding: the frames of a file, a folder of images or an address, one at a time."""

import contextlib
import functools
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np

from preprocessing.video import paths
from preprocessing.video.film import UNKNOWN_FPS, Film
from preprocessing.video.images import read_image
from preprocessing.video.paths import Claim
from preprocessing.video.pictures import Pictures
from preprocessing.video.segments import Segment
from preprocessing.video.selection import Selection

DAMAGED = "damaged"  # the kind of note
Picture = Callable[[], np.ndarray]  # gives a frame's pixels, uint8 (H, W, 3), RGB


def probe(path: Path) -> Claim:
    """Reads the header of a video file, or the first image of a folder of images.

    Raises:
        VideoError: it is no video.
    """
    path = paths.checked_name(Path(path))
    if path.is_dir():
        images = paths.image_files(path)
        height, width, _ = read_image(images[0]).shape
        return Claim(len(images), width, height, 0.0)
    with Film(path) as film:
        return film.claim()


def read_frames(
    path: Path,
    note: Callable[[str, str], None] = lambda kind, reason: None,
    waiting: Callable[[], None] = lambda: None,
    segment: Segment | None = None,
    square: bool = False,
    selection: Selection | None = None,
) -> Iterator[np.ndarray]:
    """The frames of `read_timed_frames` without their times: uint8 (H, W, 3), RGB."""
    timed = read_timed_frames(path, note, waiting, segment, square, selection)
    return (frame for _, frame in timed)


def read_timed_frames(
    path: Path,
    note: Callable[[str, str], None] = lambda kind, reason: None,
    waiting: Callable[[], None] = lambda: None,
    segment: Segment | None = None,
    square: bool = False,
    selection: Selection | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """As `read_unconverted`: (seconds since the first frame, uint8 (H, W, 3), RGB)."""
    unconverted = read_unconverted(path, note, waiting, segment, square, selection)
    return ((seconds, picture()) for seconds, picture in unconverted)


def read_unconverted(
    path: Path,
    note: Callable[[str, str], None] = lambda kind, reason: None,
    waiting: Callable[[], None] = lambda: None,
    segment: Segment | None = None,
    square: bool = False,
    selection: Selection | None = None,
) -> Iterator[tuple[float, Picture]]:
    """Decodes a video file, or a folder of jpg or png images in the order of their names.

    Every decoded frame comes once, whatever its time stamp, turned and mirrored as the file asks,
    deinterlaced where it is interlaced, and tone-mapped where it has high dynamic range. Numbers in
    the names of images count as numbers: 2.png comes before 10.png.

    Args:
        path: the file or the folder.
        note: called with a kind and one line for what was repaired, and for damage in a small part.
        waiting: called now and then while no frame comes, to show that the work continues.
        segment: the part of a file to decode, by the times of its frames; None for all of it.
        square: whether frames whose pixels are not square are widened or heightened until they are;
            else they come as they are stored.
        selection: which of the frames are taken; None takes all.

    Yields:
        (seconds since the first frame of the video, a function that gives its pixels: uint8
        (H, W, 3), RGB). Those of the first frame must be asked for before those of others. Images
        that are not asked for are not read, and have UNKNOWN_FPS.

    Raises:
        VideoError: the file is unreadable; it was cut off; more than a twentieth of its frames are
            damaged or missing (known only at the end); or it ends before the segment does.
    """
    timed = _decoded(paths.checked_name(Path(path)), note, waiting, segment, square)
    return (selection or Selection())(timed, lambda picture: picture())


def _decoded(
    path: Path,
    note: Callable[[str, str], None],
    waiting: Callable[[], None],
    segment: Segment | None,
    square: bool,
) -> Iterator[tuple[float, Picture]]:
    if path.is_dir():
        for number, image in enumerate(paths.image_files(path)):
            yield number / UNKNOWN_FPS, functools.cache(functools.partial(read_image, image))
        return
    with contextlib.ExitStack() as opened:
        film = opened.enter_context(Film(path))
        film.check_end()
        if segment:
            film = opened.enter_context(film.before(segment))
        pictures = Pictures(film.aspect if square else 1.0)
        for seconds, frame in pictures.progressive(film.timed()):
            if segment and segment.ended_at(seconds):
                break
            if segment and segment.begins_after(seconds):
                waiting()
                continue
            yield seconds, functools.cache(functools.partial(pictures.rgb, frame))
        damaged = film.damaged(segment)
    for kind, what in pictures.repaired.items():
        note(kind, f"{path} {what}")
    if damaged:
        note(DAMAGED, damaged)


def read_address(address: str, silence: float) -> tuple[Claim, Generator[np.ndarray]]:
    """Opens a stream at a network address.

    Args:
        address: such as `rtsp://host/path`.
        silence: seconds without a frame after which it counts as gone.

    Returns:
        (its header, the frames: uint8 (H, W, 3), RGB, of square pixels, until it ends).

    Raises:
        VideoError: it cannot be opened or has no picture; of the frames, that it is gone.
    """
    film = Film(address, silence)

    def frames() -> Generator[np.ndarray]:
        with film:
            pictures = Pictures(film.aspect)
            for _, frame in pictures.progressive(film.timed()):
                yield pictures.rgb(frame)

    return film.claim(), frames()
