"""Optical flow as a picture: the colour wheel of the Middlebury flow benchmark."""

import cv2
import numpy as np

# Steps from each of six colours to the next: red, yellow, green, cyan, blue, magenta, red. The
# eye distinguishes more hues between some than between others.
_STEPS = (15, 6, 4, 11, 13, 6)
_CORNERS = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255))

_COVERED_PERCENT, _LEAST_SCALE = 99.0, 1.0  # of `scale_of`; the scale in pixels


def _make_wheel() -> np.ndarray:
    ramps = []
    for k, steps in enumerate(_STEPS):
        start, end = np.array(_CORNERS[k]), np.array(_CORNERS[(k + 1) % len(_CORNERS)])
        ramp = np.floor(255 * np.arange(steps) / steps)[:, None]
        ramps.append(start + ramp * np.sign(end - start))
    return np.concatenate(ramps) / 255


_WHEEL = _make_wheel()


def flow_to_color(flow: np.ndarray, max_pixels: float) -> np.ndarray:
    """Colours a flow field: the hue is the direction, the saturation the length.

    Still pixels are white, motion to the right is red, down yellow-green, left cyan-blue and up
    violet. Vectors longer than `max_pixels` are darkened.

    Args:
        flow: float (..., 2), displacement in x and y, in pixels; y points down.
        max_pixels: length of the vectors that are drawn fully saturated.

    Returns:
        uint8 (..., 3), RGB.

    Reference:
        Baker et al., "A database and evaluation methodology for optical flow", IJCV 2011.
    """
    flow = np.asarray(flow, np.float32) / max_pixels
    length = np.hypot(flow[..., 0], flow[..., 1])[..., None]
    turn = (np.arctan2(-flow[..., 1], -flow[..., 0]) / np.pi + 1) / 2
    position = turn * (len(_WHEEL) - 1)
    low = position.astype(int)
    fraction = (position - low)[..., None]
    color = (1 - fraction) * _WHEEL[low] + fraction * _WHEEL[(low + 1) % len(_WHEEL)]
    color = np.where(length <= 1, 1 - length * (1 - color), color * 0.75)
    return np.floor(255 * color).astype(np.uint8)


def color_wheel(side: int) -> np.ndarray:
    """The key to the colours: a vector's colour is at its end point, drawn from the centre.

    Returns:
        uint8 (side, side, 3), RGB; white outside the wheel.
    """
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    vectors = np.stack(np.meshgrid(axis, axis), -1)  # h w xy
    wheel = flow_to_color(vectors, 1.0)
    wheel[np.hypot(vectors[..., 0], vectors[..., 1]) > 1] = 255
    return wheel


def scale_of(fields: np.ndarray) -> float:
    """The length in pixels that is drawn fully saturated: the 99th percentile, at least 1 pixel.

    It covers all but the longest vectors, and never makes the noise of the encoding look fast.

    Args:
        fields: float (..., 2), displacements in pixels.
    """
    lengths = np.hypot(fields[..., 0], fields[..., 1])
    return max(float(np.percentile(lengths, _COVERED_PERCENT)), _LEAST_SCALE)


def frames_above_flow(
    frames: np.ndarray,
    fields: np.ndarray,
    scale: float,
    side: int,
    gap: int = 0,
    enlarged_with: int = cv2.INTER_CUBIC,
) -> np.ndarray:
    """Draws frames side by side, and under each its flow field.

    Args:
        frames: uint8 (K, H, W, 3), RGB.
        fields: float (K, H, W, 2), displacements in pixels.
        scale: length in pixels that is drawn fully saturated, such as `scale_of(fields)`.
        side: of a square cell, in pixels.
        gap: pixels of white between cells.
        enlarged_with: OpenCV's interpolation of pictures smaller than a cell; larger ones are
            averaged over areas.

    Returns:
        uint8 (2 side + gap, K side + (K - 1) gap, 3), RGB.
    """
    count, height, width, _ = frames.shape
    interpolation = enlarged_with if side * side > height * width else cv2.INTER_AREA
    step = side + gap
    picture = np.full((step + side, count * step - gap, 3), 255, np.uint8)
    for row, images in enumerate((frames, flow_to_color(fields, scale))):
        for column, image in enumerate(images):
            cell = cv2.resize(image, (side, side), interpolation=interpolation)
            top, left = row * step, column * step
            picture[top : top + side, left : left + side] = cell
    return picture
