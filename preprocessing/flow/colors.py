"""Optical flow as a picture: the colour wheel of the Middlebury flow benchmark."""

import numpy as np

# Steps from each of six colours to the next: red, yellow, green, cyan, blue, magenta, red. The
# eye tells more hues apart between some than between others.
_STEPS = (15, 6, 4, 11, 13, 6)
_CORNERS = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255))


def _make_wheel():
    parts = []
    for k, steps in enumerate(_STEPS):
        start, end = np.array(_CORNERS[k]), np.array(_CORNERS[(k + 1) % len(_CORNERS)])
        ramp = np.floor(255 * np.arange(steps) / steps)[:, None]
        parts.append(start + ramp * np.sign(end - start))
    return np.concatenate(parts) / 255


_WHEEL = _make_wheel()


def flow_to_color(flow, max_pixels):
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
    share = (position - low)[..., None]
    color = (1 - share) * _WHEEL[low] + share * _WHEEL[(low + 1) % len(_WHEEL)]
    color = np.where(length <= 1, 1 - length * (1 - color), color * 0.75)
    return np.floor(255 * color).astype(np.uint8)
