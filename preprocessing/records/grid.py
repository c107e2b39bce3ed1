"""Which frames and flow fields of a video are stored or read, where not all of them are.

All numbers are 0-based; field k is the flow from frame k to frame k + 1.
"""

import numpy as np
from numpy.typing import ArrayLike

from preprocessing.errors import UserError


def frame_grid(num_video_frames: int, size: int) -> np.ndarray:
    """The frames from which clips are taken: `size` spread evenly from the first to the last.

    Example:
        >>> frame_grid(num_video_frames=50, size=4)
        array([ 0, 16, 33, 49])

    Args:
        num_video_frames: N, frames in the video.
        size: number of frames; 0, or N and more, for all.

    Returns:
        int64, in rising order.
    """
    if size == 0 or size >= num_video_frames:
        return np.arange(num_video_frames)
    return np.rint(np.linspace(0, num_video_frames - 1, size)).astype(np.int64)


def flow_indices(frame_indices: ArrayLike, num_video_frames: int, flow_length: int) -> np.ndarray:
    """Flow fields stacked around each sampled frame.

    Frame t takes the L fields t - L//2, ..., t - L//2 + L - 1, clamped to the fields that exist,
    [0, N - 2]. The fields of a smaller L are among those of a larger one.

    Example:
        >>> flow_indices([0, 10, 49], num_video_frames=50, flow_length=4)
        array([[ 0,  0,  0,  1],
               [ 8,  9, 10, 11],
               [47, 48, 48, 48]])

    Args:
        frame_indices: integer array (T,).
        num_video_frames: N, frames in the video; at least 2.
        flow_length: L.

    Returns:
        int64 array (T, L).
    """
    if num_video_frames < 2:
        raise UserError(
            f"a video of {num_video_frames} frame(s) has no optical flow; at least 2 are needed"
        )
    offsets = np.arange(flow_length) - flow_length // 2
    return np.clip(np.asarray(frame_indices)[:, None] + offsets, 0, num_video_frames - 2)


def stored(num_video_frames: int, size: int, flow_length: int) -> tuple[np.ndarray, np.ndarray]:
    """The frames and flow fields that a record holds.

    Args:
        num_video_frames: N, frames in the video.
        size: of `frame_grid`; 0 for all frames and all fields.
        flow_length: the largest L of a clip; without a grid every L is served.

    Returns:
        (frames, fields): int64, each in rising order; no fields of fewer than 2 frames.
    """
    frames = frame_grid(num_video_frames, size)
    if size == 0 or num_video_frames < 2:
        return frames, np.arange(num_video_frames - 1)
    return frames, np.unique(flow_indices(frames, num_video_frames, flow_length))
