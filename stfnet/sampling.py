"""Which frames and flow fields make a clip (Ou & Sun 2019, Eqs. 13-14). All numbers are 0-based.

NumPy only: a clip is planned from the number of frames alone, before anything is decoded.
"""

from collections.abc import Sequence

import numpy as np

from preprocessing.errors import UserError
from preprocessing.records.grid import flow_indices, frame_grid

__all__ = [
    "SHORT_VIDEO",
    "flow_indices",
    "frame_grid",
    "snap",
    "test_indices",
    "test_starts",
    "train_indices",
]

# What happens to a video of fewer than T frames: its last frame is repeated, it starts again, or it
# is refused.
SHORT_VIDEO = ("pad_last", "loop", "error")


def _fit(indices: np.ndarray, num_video_frames: int, short_video: str) -> np.ndarray:
    """Turns positions that may lie after the last frame into frames that exist."""
    if num_video_frames < 1:
        raise UserError(f"a video of {num_video_frames} frames has nothing to sample")
    if indices[-1] < num_video_frames:
        return indices
    if short_video == "pad_last":
        return np.minimum(indices, num_video_frames - 1)
    if short_video == "loop":
        return indices % num_video_frames
    raise UserError(
        f"a video of {num_video_frames} frames is shorter than the {len(indices)} of a clip; "
        "use short_video=pad_last or loop to fill it"
    )


def test_starts(num_video_frames: int, num_frames: int, num_clips: int) -> list[int]:
    """First frames of a video's test clips, evenly from 0 to the last that leaves room.

    The clips have the interval of Eq. 13, and the first of them is the paper's clip. A video with
    room for fewer than `num_clips` starts repeats some of them.

    Example:
        >>> stfnet.sampling.test_starts(num_video_frames=50, num_frames=17, num_clips=3)
        [0, 8, 17]

    Args:
        num_video_frames: N, frames in the video.
        num_frames: T, frames in a clip.
        num_clips: K, at least 1.

    Returns:
        K frame numbers, 0-based, ascending.
    """
    span = (num_frames - 1) * max(num_video_frames // num_frames, 1)
    last = max(num_video_frames - 1 - span, 0)
    return np.linspace(0, last, num_clips).round().astype(int).tolist()


def test_indices(
    num_video_frames: int, num_frames: int, short_video: str = "pad_last", start: int = 0
) -> np.ndarray:
    """Frames of the test clip: 0, t, 2t, ... with t = floor(N / T) (Eqs. 13-14).

    Example:
        >>> stfnet.sampling.test_indices(num_video_frames=50, num_frames=5)
        array([ 0, 10, 20, 30, 40])

    Args:
        num_video_frames: N, frames in the video.
        num_frames: T, frames in the clip.
        short_video: one of SHORT_VIDEO, for N < T.
        start: added to every number; 0 is the paper's clip (see `test_starts`).

    Returns:
        int64 array (T,), 0-based frame numbers.
    """
    interval = max(num_video_frames // num_frames, 1)
    return _fit(start + np.arange(num_frames) * interval, num_video_frames, short_video)


def clamp(interval: int, num_video_frames: int, num_frames: int) -> int:
    """The interval, or the largest with which T frames fit into N, but at least 1."""
    return max(min(interval, (num_video_frames - 1) // max(num_frames - 1, 1)), 1)


def train_indices(
    num_video_frames: int,
    num_frames: int,
    tau_range: Sequence[int],
    rng: np.random.Generator,
    short_video: str = "pad_last",
) -> np.ndarray:
    """Frames of a random training clip: start, start + tau, start + 2 tau, ...

    tau is a uniform integer in `tau_range`, both ends included, clamped to the largest interval
    with which T frames fit (at least 1); the first frame is then uniform over those that fit.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> stfnet.sampling.train_indices(50, 5, tau_range=(2, 10), rng=rng)
        array([ 8, 17, 26, 35, 44])

    Args:
        num_video_frames: N, frames in the video.
        num_frames: T, frames in the clip.
        tau_range: (lowest, highest) interval in frames.
        rng: numpy.random.Generator.
        short_video: one of SHORT_VIDEO, for N < T.

    Returns:
        int64 array (T,), 0-based frame numbers.
    """
    lowest, highest = tau_range
    tau = int(rng.integers(lowest, highest, endpoint=True))
    tau = clamp(tau, num_video_frames, num_frames)
    span = (num_frames - 1) * tau
    start = int(rng.integers(0, max(num_video_frames - 1 - span, 0), endpoint=True))
    return _fit(start + np.arange(num_frames) * tau, num_video_frames, short_video)


def snap(frame_indices: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Each frame's nearest frame of a grid, the earlier of two that are equally near.

    Example:
        >>> stfnet.sampling.snap([0, 10, 40], grid=np.array([0, 16, 33, 49]))
        array([ 0, 16, 33])

    Args:
        frame_indices: integer array (T,).
        grid: integer array (F,), in rising order.

    Returns:
        int64 (T,).
    """
    distances = np.abs(np.asarray(frame_indices)[:, None] - grid)
    return grid[distances.argmin(axis=1)]
