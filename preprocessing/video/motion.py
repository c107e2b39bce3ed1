"""Where a video moves: the square window that holds most of its motion.

Recordings are mostly wider than high, and the people in them small. A window around what moves
shows them larger than the whole frame does, and not squeezed. It is found in whole numbers on a
coarse grid, so that the exported graph finds the same one.
"""

from collections import deque
from typing import NamedTuple

import numpy as np

from preprocessing.video.resizing import grayscale, resize, scale, scaled_shape

GRID = 64  # cells along each side of the whole frame
SHARE = (3, 5)  # of the frame's short side: the window's side
LAG = 2  # frames between those that are compared
NOISE, LIMIT = 4, 40  # grey levels that do not count, and at which a change counts no more
MOVES_AT = 1.25  # times the motion in the present window for which a followed window moves


class Window(NamedTuple):
    """A square of a frame, in pixels."""

    top: int
    left: int
    side: int


def cells(height: int, width: int) -> tuple[int, int, int]:
    """The window's side in pixels, and its rows and columns of the grid."""
    short = min(height, width)
    side = max(1, short * SHARE[0] // SHARE[1])
    rows, columns = (max(1, (2 * GRID * side + n) // (2 * n)) for n in (height, width))
    return side, rows, columns


class MotionMap:
    """How much each part of a video moves: the changes of grey, summed over its frames.

    A change counts as far as it exceeds the frame's mean change by more than NOISE levels, so that
    noise and a flicker of the whole picture are left out.

    Args:
        decay: by which the sum is multiplied at each frame; 1 keeps all motion.
    """

    def __init__(self, decay: float = 1.0):
        self._decay = decay
        self._last: deque[np.ndarray] = deque(maxlen=LAG)
        self._changes = np.zeros((GRID, GRID))  # exact: whole numbers below 2 ** 53
        self._shape = (0, 0)

    def add(self, frame: np.ndarray) -> None:
        """Takes the next frame, uint8 (H, W, 3), RGB."""
        self._shape = frame.shape[:2]
        small = grayscale(resize(frame, GRID)).astype(np.int64)
        self._changes *= self._decay
        if len(self._last) == LAG:
            change = np.abs(small - self._last[0])
            self._changes += np.clip(change - change.sum() // GRID**2 - NOISE, 0, LIMIT)
        self._last.append(small)

    def _sums(self) -> np.ndarray:
        """The motion within a window at each row and column of the grid."""
        _, rows, columns = cells(*self._shape)
        total = np.zeros((GRID + 1, GRID + 1))
        total[1:, 1:] = self._changes.cumsum(0).cumsum(1)
        lower, upper = total[rows:], total[:-rows]
        return lower[:, columns:] - lower[:, :-columns] - upper[:, columns:] + upper[:, :-columns]

    def _at(self, row: int, column: int) -> Window:
        (height, width), (side, rows, columns) = self._shape, cells(*self._shape)
        top = (2 * row + rows) * height // (2 * GRID) - side // 2
        left = (2 * column + columns) * width // (2 * GRID) - side // 2
        return Window(min(max(top, 0), height - side), min(max(left, 0), width - side), side)

    def window(self, present: Window | None = None) -> Window:
        """The window with the most motion; the central one where nothing moved.

        Args:
            present: a window that is left only for one with MOVES_AT times its motion; None takes
                the best.
        """
        sums = self._sums()
        if not sums.any():
            return present or self._at((sums.shape[0] - 1) // 2, (sums.shape[1] - 1) // 2)
        row, column = np.unravel_index(sums.argmax(), sums.shape)
        if present is not None:
            (height, width), (_, rows, columns) = self._shape, cells(*self._shape)
            center = (present.top + present.side // 2, present.left + present.side // 2)
            old_row = min(max(center[0] * GRID // height - rows // 2, 0), sums.shape[0] - 1)
            old_column = min(max(center[1] * GRID // width - columns // 2, 0), sums.shape[1] - 1)
            if sums[row, column] < MOVES_AT * sums[old_row, old_column]:
                return present
        return self._at(int(row), int(column))


def cut(frame: np.ndarray, window: Window) -> np.ndarray:
    """The part of a frame (H, W, ...) within a window, as a view.

    A folder may hold images of several sizes: in one that the window does not fit it is moved
    inside, and made smaller where it must.
    """
    height, width = frame.shape[:2]
    side = min(window.side, height, width)
    top, left = min(window.top, height - side), min(window.left, width - side)
    return frame[top : top + side, left : left + side]


class Resizer:
    """Brings the frames of a video to the network's size, whatever the mode needs to know before.

    Args:
        size: side of the result, in pixels.
        mode: of `preprocessing.settings.RESIZE_MODES`.
        frames: the video's, uint8 (H, W, 3), read here where the mode is `motion`, and only then.
        waiting: called at each frame that is read here, to show that the work continues.
    """

    def __init__(self, size: int, mode: str, frames, waiting=lambda: None):
        self._size, self._mode = size, mode
        self.window: Window | None = None
        if mode == "motion":
            motion = MotionMap()
            for frame in frames:
                motion.add(frame)
                waiting()
            self.window = motion.window()

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) to (size, size, 3)."""
        if self.window is None:
            return resize(frame, self._size, self._mode)
        return resize(cut(frame, self.window), self._size)

    def field(self, field: np.ndarray, frame_shape: tuple[int, int]) -> np.ndarray:
        """Brings a flow field to where the frame's pixels go; displacements scale along.

        Args:
            field: float32 (h, w, 2), x and y in pixels of its own picture, which may be of another
                size than the frame and shows all of it.
            frame_shape: (height, width) of the frame.

        Returns:
            float32 (size, size, 2), in pixels of the result.
        """
        if self._mode != "stretch":
            field = _scaled(field, frame_shape)
        if self.window is not None:
            field = cut(field, self.window)
        mode = "stretch" if self.window is not None else self._mode
        height, width = field.shape[:2]
        new_height, new_width = scaled_shape(height, width, self._size, mode)
        factors = np.array([new_width / width, new_height / height], np.float32)
        return resize(field, self._size, mode) * factors


def _scaled(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A flow field at another size, its displacements in pixels of that size."""
    height, width = field.shape[:2]
    if (height, width) == shape:
        return field
    factors = np.array([shape[1] / width, shape[0] / height], np.float32)
    return scale(field, *shape) * factors
