"""Frames to measure and to test on, rendered or read from a file, and videos of them."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from experiments.program import counted
from preprocessing import video
from preprocessing.errors import UserError

SMALL, FULL_HD = (320, 240), (1920, 1080)  # width, height
# Every frame of Motion JPEG is coded by itself: a frame that two videos have decodes alike in both.
MOTION_JPEG, MPEG_4 = "MJPG", "mp4v"
LENGTHS = 0.5, 1.5, 0.75, 1.25  # of the videos of `write_unequal_clips`, relative to their mean


def moving_textures(count: int, width: int, height: int) -> Iterator[np.ndarray]:
    """BGR uint8 (height, width, 3): a textured square crosses a wall before a drifting camera."""
    rng = np.random.default_rng(0)
    wall, square = (
        cv2.resize(rng.integers(0, 256, (40, 60, 3), np.uint8), (2 * width, 2 * height))
        for _ in range(2)
    )
    side = height // 3
    for t in range(count):
        drift = np.array([[1, 0, -0.7 * t % width], [0, 1, -0.3 * t % height]], np.float32)
        frame = cv2.warpAffine(wall, drift, (width, height), borderMode=cv2.BORDER_WRAP)
        left, top = 3 * t % (width - side), t % (height - side)
        frame[top : top + side, left : left + side] = square[:side, :side]
        yield frame


def moving_square(wall: np.ndarray, square: np.ndarray, corners) -> Iterator[np.ndarray]:
    """Copies of `wall` (H, W, 3), each with `square` at one of the corners (top, left)."""
    height, width = square.shape[:2]
    for top, left in corners:
        frame = wall.copy()
        frame[top : top + height, left : left + width] = square
        yield frame


def noise_textures(seed: int, count: int, height: int, width: int) -> list[np.ndarray]:
    """`count` smooth textures, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    return [
        cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 2)
        for _ in range(count)
    ]


def played(path: Path, count: int) -> Iterator[np.ndarray]:
    """The first `count` BGR frames of a video, forwards and backwards as often as it takes.

    Raises:
        UserError: it has fewer than two frames.
    """
    frames = [cv2.cvtColor(f, cv2.COLOR_RGB2BGR) for f in video.read_frames(path)][:count]
    if len(frames) < 2:
        raise UserError(f"{path} has {counted(len(frames), 'frame')}: flow needs two")
    return itertools.islice(there_and_back(frames), count)


def there_and_back(frames: list) -> Iterator:
    """The frames forwards and backwards without end; none stands still at a turn."""
    return itertools.cycle(frames + frames[-2:0:-1])


def grey_frames(path: Path, size: int) -> Iterator[np.ndarray]:
    """The frames of a video as flow is computed on them, uint8 (size, size)."""
    for frame in video.read_frames(path):
        yield cv2.cvtColor(video.resize(frame, size), cv2.COLOR_RGB2GRAY)


def write_video(path: Path, frames: Iterable[np.ndarray], codec: str, rate: float = 30):
    """Writes BGR frames, at least one, as a video of `rate` frames a second."""
    frames = iter(frames)
    first = next(frames)
    height, width = first.shape[:2]
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, (width, height)
    )
    for frame in itertools.chain([first], frames):
        writer.write(frame)
    writer.release()


def write_clips(folder: Path, frames: Iterable[np.ndarray], count: int):
    """Writes frames as `count` videos; each ends with the first frame of the next: no pair is lost.

    Args:
        folder: of a class, to be made.
        frames: BGR uint8 (H, W, 3).
        count: number of videos.
    """
    frames = list(frames)
    folder.mkdir(parents=True)
    cuts = np.linspace(0, len(frames) - 1, count + 1).astype(int)
    for number, (first, last) in enumerate(itertools.pairwise(cuts)):
        write_video(folder / f"clip{number:03d}.avi", frames[first : last + 1], MOTION_JPEG)


def write_unequal_clips(folder: Path, frames: list[np.ndarray], count: int):
    """Writes `count` videos with `LENGTHS` times as many pairs as `frames` has, in turn.

    Args:
        folder: of a class, to be made.
        frames: BGR uint8 (H, W, 3), played there and back.
        count: number of videos; from the fifth on they are links to the first four.
    """
    folder.mkdir(parents=True)
    pairs = len(frames) - 1
    for number in range(count):
        path = folder / f"clip{number:05d}.avi"
        if number < len(LENGTHS):
            length = max(1, round(LENGTHS[number] * pairs)) + 1
            write_video(path, itertools.islice(there_and_back(frames), length), MOTION_JPEG)
        else:
            path.hardlink_to(folder / f"clip{number % len(LENGTHS):05d}.avi")


def write_moving_squares(folder: Path, groups: Iterable[int]):
    """Writes mp4 files of 8 to 10 frames of 64 x 48 pixels at 20 frames a second, in three classes.

    A textured square moves right, moves left or stays, before a wall of its group: one video of
    each class in a group.

    Args:
        folder: of the classes `Right`, `Left` and `Still`.
        groups: their numbers.
    """
    for group in groups:
        wall, square = noise_textures(group, 2, 48, 64)
        for name, speed in (("Right", 2), ("Left", -2), ("Still", 0)):
            path = folder / name / f"v_{name}_g{group:02d}_c01.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            corners = [(12, 20 + speed * k) for k in range(8 + group % 3)]
            write_video(path, moving_square(wall, square[:24, :24], corners), MPEG_4, 20)
