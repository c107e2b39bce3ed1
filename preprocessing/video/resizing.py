"""From a decoded frame to the small ones that are stored: square, and grey for optical flow."""

import cv2
import numpy as np

from preprocessing.errors import UserError
from preprocessing.settings import RESIZE_MODES


def resize(frame: np.ndarray, size: int, mode: str = "stretch") -> np.ndarray:
    """Brings a frame to size x size pixels.

    Args:
        frame: uint8 (H, W, 3) or (H, W).
        size: side of the result, in pixels.
        mode: `stretch` (straight to the square), or `crop` (short side to size * 256 / 224, then
            the central square, the ImageNet habit). `motion`, the window around what moves, is of
            a whole video: see `preprocessing.video.Resizer`.

    Returns:
        uint8 (size, size, 3) or (size, size).

    Raises:
        UserError: there is no such mode.
    """
    height, width = frame.shape[:2]
    frame = scale(frame, *scaled_shape(height, width, size, mode))
    top, left = (frame.shape[0] - size) // 2, (frame.shape[1] - size) // 2
    return np.ascontiguousarray(frame[top : top + size, left : left + size])


def scaled_shape(height: int, width: int, size: int, mode: str) -> tuple[int, int]:
    """(height, width) to which `resize` scales a frame, before it cuts out the centre."""
    if mode == "stretch":
        return size, size
    if mode not in RESIZE_MODES:
        raise UserError(f"resize mode {mode!r} is unknown: it is one of {', '.join(RESIZE_MODES)}")
    if mode != "crop":
        raise ValueError(f"resize mode {mode!r} is of whole videos: use Resizer")
    short = max(size, round(size * 256 / 224))
    by = short / min(height, width)
    return max(short, round(height * by)), max(short, round(width * by))


def scale(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame or field at another size: by areas where it shrinks, else linearly."""
    shrinks = width * height < frame.shape[0] * frame.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(frame, (width, height), interpolation=interpolation)


def grayscale(frame: np.ndarray) -> np.ndarray:
    """The grey frame of which flow is computed: uint8 (H, W, 3), RGB, to uint8 (H, W)."""
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
