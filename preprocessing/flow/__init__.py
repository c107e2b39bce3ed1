"""Optical flow: TV-L1 and its 8-bit encoding.

TV-L1 is Zach, Pock & Bischof, "A duality based approach for realtime TV-L1 optical flow", 2007.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from preprocessing.errors import UserError

METHODS = ("opencv", "keras")
QUALITIES = ("reference", "fast")
KERAS_BATCH = 32  # pairs that the Keras solver of this process computes at once, if not told


def encode(flow: np.ndarray, bound: float = 20.0) -> np.ndarray:
    """Maps displacements of -bound..bound pixels linearly to 8 bits, clipping what is beyond.

    128 + round(v * 127.5 / bound), so that 0 px is 128 exactly; one level is bound / 127.5 pixels.

    Args:
        flow: displacements in pixels, any shape.
        bound: the displacement in pixels at the ends of the range.

    Returns:
        uint8 array of the same shape.
    """
    levels = np.rint(np.asarray(flow, np.float32) * np.float32(127.5 / bound)) + 128
    return np.clip(levels, 0, 255).astype(np.uint8)


def decode(encoded: np.ndarray, bound: float = 20.0) -> np.ndarray:
    """The displacements in pixels (float32) that `encode` stored, to half a level."""
    return (np.asarray(encoded, np.float32) - 128) * np.float32(bound / 127.5)


def tvl1(
    frames: np.ndarray,
    method: str = "opencv",
    quality: str = "reference",
    batch: int | None = None,
) -> np.ndarray:
    """Flow between neighbouring frames.

    Args:
        frames: uint8 (N, H, W), grayscale.
        method: `opencv` (the CPU implementation of OpenCV contrib) or `keras` (the same
            equations on the accelerator).
        quality: of `opencv`: `reference` (OpenCV itself) or `fast` (the same steps compiled into
            one pass, see `preprocessing.flow.tvl1_numba`).
        batch: of `keras`: pairs solved at once (None: `KERAS_BATCH`); each value compiles again.

    Returns:
        float32 (N-1, H, W, 2): field k holds, for each pixel of frame k, the x and y
        displacement in pixels to frame k+1.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 3:
        raise ValueError(f"frames must be uint8 (N, H, W), not {frames.dtype} {frames.shape}")
    fields = list(stream(frames, method, quality, batch))
    return np.stack(fields) if fields else np.zeros((0, *frames.shape[1:], 2), np.float32)


def stream(
    frames: Iterable[np.ndarray],
    method: str = "opencv",
    quality: str = "reference",
    batch: int | None = None,
    device: str | None = None,
    waiting: Callable[[], None] = lambda: None,
) -> Iterator[np.ndarray]:
    """As `tvl1`, a field at a time: takes frames (H, W) as they come and holds only a few.

    Args:
        frames: uint8 (H, W), grayscale, all of one size.
        method: as of `tvl1`.
        quality: as of `tvl1`.
        batch: as of `tvl1`.
        device: of `keras`: address of the process that solves
            (`preprocessing.flow.service.server`), or None to solve in this one.
        waiting: called about once a second while that process is waited for.
    """
    if method == "opencv":
        calc = fast_solver() if quality == "fast" else _opencv_solver()
        for first, second in itertools.pairwise(frames):
            yield calc(first, second)
    elif method == "keras" and device:
        from preprocessing.flow.service import client

        yield from client.stream(frames, device, waiting)
    elif method == "keras":
        from preprocessing.flow import tvl1_keras

        last, batch = [], batch or KERAS_BATCH
        frames = iter(frames)
        while chunk := list(itertools.islice(frames, batch)):
            chunk = last + chunk
            if len(chunk) > 1:
                yield from tvl1_keras.tvl1(np.stack(chunk), batch=batch)
            last = chunk[-1:]
    else:
        raise UserError(f"flow method {method!r} is unknown: it is one of {', '.join(METHODS)}")


def _opencv_solver():
    # A new one for each film: it is not safe between threads, and a small frame lowers the number
    # of scales that it takes for every later one.
    try:
        solver = cv2.optflow.DualTVL1OpticalFlow_create()
    except AttributeError as error:
        raise UserError(
            "this OpenCV has no TV-L1: install opencv-contrib-python-headless in place of"
            " opencv-python"
        ) from error
    return lambda first, second: solver.calc(first, second, None)


def fast_solver() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The function of two frames behind `quality="fast"`.

    Raises:
        UserError: Numba is missing.
    """
    try:
        from preprocessing.flow import tvl1_numba
    except ImportError as error:
        raise UserError(
            f"fast flow needs Numba ({error}): pip install numba, or take the reference quality"
        ) from error
    return tvl1_numba.calc
