"""The 8-bit encoding in which flow fields are stored and read by the network."""

import numpy as np

BOUND = 20.0  # displacement in pixels at the ends of the range, unless another is given
# Of each encoded displacement, the opposite one: 256 - v; 0, the clipped end, becomes 255.
OPPOSITE = np.minimum(256 - np.arange(256), 255).astype(np.uint8)


def encode(flow: np.ndarray, bound: float = BOUND) -> np.ndarray:
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


def decode(encoded: np.ndarray, bound: float = BOUND) -> np.ndarray:
    """The displacements in pixels (float32) that `encode` stored, to half a level."""
    return (np.asarray(encoded, np.float32) - 128) * np.float32(bound / 127.5)
