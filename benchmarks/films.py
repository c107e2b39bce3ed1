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


def film(path: str | None, count: int) -> Iterator[np.ndarray]:
    """`count` BGR frames: of a video, forwards and backwards as often as it takes, or textures.

    Raises:
        UserError: it has fewer than two frames.
    """
    if not path:
        return moving_textures(count, *SMALL)
    frames = [cv2.cvtColor(f, cv2.COLOR_RGB2BGR) for f in video.read_frames(Path(path))][:count]
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
    """Writes BGR frames, at least one, as a video of `rate` frames a second; makes its folder.

    Raises:
        UserError: OpenCV cannot write such a file there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = iter(frames)
    first = next(frames)
    height, width = first.shape[:2]
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, (width, height)
    )
    if not writer.isOpened():
        raise UserError(f"{path} cannot be written in {codec}")
    for frame in itertools.chain([first], frames):
        writer.write(frame)
    writer.release()


def write_clips(folder: Path, frames: Iterable[np.ndarray], pairs: Iterable[int]):
    """Writes frames as videos; each ends with the first frame of the next: no pair is lost.

    Args:
        folder: of a class, to be made.
        frames: BGR uint8 (H, W, 3), at least one more than all pairs.
        pairs: of each video.
    """
    folder.mkdir(parents=True)
    frames = iter(frames)
    last = next(frames)
    for number, count in enumerate(pairs):
        clip = [last, *itertools.islice(frames, count)]
        last = clip[-1]
        write_video(folder / f"clip{number:05d}.avi", clip, MOTION_JPEG)
