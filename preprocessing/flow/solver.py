"""TV-L1 by any of its solvers.

TV-L1 is Zach, Pock & Bischof, "A duality based approach for realtime TV-L1 optical flow", 2007.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from preprocessing import worker_pool
from preprocessing.errors import UserError
from preprocessing.flow import constants, device

METHODS = ("opencv", "keras")
QUALITIES = ("reference", "fast")


@dataclasses.dataclass(frozen=True)
class Solver:
    """How flow is computed, and where.

    Example:
        >>> frames = np.zeros((4, 32, 32), np.uint8)
        >>> for field in Solver(quality="fast").fields(frames):  # of a film of any length
        ...     print(field.shape, abs(field).max())
        (32, 32, 2) 0.0
        (32, 32, 2) 0.0
        (32, 32, 2) 0.0

    Attributes:
        method: `opencv` (the CPU implementation of OpenCV contrib) or `keras` (the same equations
            on the accelerator).
        quality: of `opencv`: `reference` (OpenCV itself) or `fast` (the same steps compiled into
            one pass, see `preprocessing.flow.tvl1_numba`).
        batch: of `keras` in this process: pairs solved at once (None: `constants.BATCHES`);
            each value compiles again.
        report: of `keras` in a worker of a pool: leads to the `preprocessing.flow.device.Device`
            of the pool's process, which then solves; None solves in this process.

    Raises:
        UserError: there is no such method or quality.
    """

    method: str = "opencv"
    quality: str = "reference"
    batch: int | None = None
    report: worker_pool.Reporter | None = None

    def __post_init__(self):
        for name, allowed in (("method", METHODS), ("quality", QUALITIES)):
            value = getattr(self, name)
            if value not in allowed:
                raise UserError(
                    f"flow {name} {value!r} is unknown: it is one of {', '.join(allowed)}"
                )

    def fields(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Flow between neighbouring frames: takes them as they come and holds only a few.

        Args:
            frames: uint8 (H, W), grayscale, all of one size.

        Yields:
            float32 (H, W, 2), one less than there are frames: for each pixel of a frame, the x
            and y displacement in pixels to the next frame.

        Raises:
            UserError: what the solver needs is not installed.
        """
        return self.solve(itertools.pairwise(frames))

    def solve(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[np.ndarray]:
        """Flow from the first to the second frame of each pair, as `fields`."""
        if self.method == "opencv":
            solve = fast_solver() if self.quality == "fast" else _opencv_solver()
            for first, second in pairs:
                yield solve(first, second)
        elif self.report:
            yield from device.solve(pairs, self.report)
        else:
            yield from _keras_fields(pairs, self.batch)


def tvl1(
    frames: np.ndarray,
    method: str = "opencv",
    quality: str = "reference",
    batch: int | None = None,
) -> np.ndarray:
    """Flow between neighbouring frames.

    Example:
        >>> square = np.zeros((2, 48, 48), np.uint8)
        >>> square[0, 16:32, 16:32] = square[1, 16:32, 18:34] = 200  # moves right by two pixels
        >>> tvl1(square)[0, 24, 24].round()
        array([2., 0.], dtype=float32)

    Args:
        frames: uint8 (N, H, W), grayscale.
        method: `opencv` or `keras`, see `Solver`.
        quality: of `opencv`: `reference` or `fast`, see `Solver`.
        batch: of `keras`: pairs solved at once, see `Solver`.

    Returns:
        float32 (N-1, H, W, 2): field k holds, for each pixel of frame k, the x and y
        displacement in pixels to frame k+1.
    """
    frames = np.asarray(frames)
    if frames.dtype != np.uint8 or frames.ndim != 3:
        raise ValueError(f"frames must be uint8 (N, H, W), not {frames.dtype} {frames.shape}")
    fields = list(Solver(method, quality, batch).fields(frames))
    return np.stack(fields) if fields else np.zeros((0, *frames.shape[1:], 2), np.float32)


def _keras_fields(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]], batch: int | None
) -> Iterator[np.ndarray]:
    from preprocessing.flow import tvl1_keras

    batch = batch or constants.BATCHES[tvl1_keras.device()]
    pairs = iter(pairs)
    while chunk := list(itertools.islice(pairs, batch)):
        images = np.zeros((2, batch, *chunk[0][0].shape), np.uint8)  # black pairs stand still
        for k, pair in enumerate(chunk):
            images[:, k] = pair
        yield from tvl1_keras.solve_pairs(*images)[: len(chunk)]


def _opencv_solver() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    # Imported here: whoever needs only the names of methods does not wait for OpenCV.
    import cv2

    # A new one for each film: it is not safe between threads, and a small frame lowers the number
    # of scales that it takes for every later one.
    try:
        solver = cv2.optflow.DualTVL1OpticalFlow.create()
    except AttributeError as error:
        raise UserError(
            "this OpenCV has no TV-L1: install opencv-contrib-python-headless in place of"
            " opencv-python"
        ) from error
    # The stubs of OpenCV lack the None that makes it allocate the field.
    return lambda first, second: solver.calc(first, second, None)  # type: ignore[call-overload]


def fast_solver() -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The function of two frames behind `quality="fast"`; Numba takes a while to import."""
    from preprocessing.flow import tvl1_numba

    return tvl1_numba.calc
