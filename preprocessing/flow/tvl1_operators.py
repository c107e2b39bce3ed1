"""Image operators of TV-L1 flow in pure Keras, with the border rules that OpenCV gives them.

All take and return float32 planes, b h w, whose height and width are static.
"""

import numpy as np
from keras import ops

from preprocessing.flow.constants import CUBIC_A, CUBIC_BORDER, MEDIAN_SIZE


def extend(plane, n):
    """Repeats the border `n` times: (B, H, W) -> (B, H + 2n, W + 2n)."""
    plane = ops.concatenate([plane[:, :1]] * n + [plane] + [plane[:, -1:]] * n, axis=1)
    return ops.concatenate([plane[:, :, :1]] * n + [plane] + [plane[:, :, -1:]] * n, axis=2)


def central_gradient(plane):
    """Derivatives along x and y by central differences, the border repeated."""
    wide = extend(plane, 1)
    return (
        0.5 * (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]),
        0.5 * (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]),
    )


def forward_gradient(plane):
    """Forward differences along x and y, zero in the last column and the last row."""
    return (
        ops.pad(plane[:, :, 1:] - plane[:, :, :-1], ((0, 0), (0, 0), (0, 1))),
        ops.pad(plane[:, 1:] - plane[:, :-1], ((0, 0), (0, 1), (0, 0))),
    )


def divergence(x, y):
    """Backward differences of x along x plus y along y: `forward_gradient`'s negative adjoint.

    Outside the image both are zero. The adjoint would drop the last column of x and the last
    row of y, but those are zero here, where x and y grow from forward differences.
    """
    return (
        x
        - ops.pad(x[:, :, :-1], ((0, 0), (0, 0), (1, 0)))
        + (y - ops.pad(y[:, :-1], ((0, 0), (1, 0), (0, 0))))
    )


def resize(plane, size, factor=None):
    """Bilinear resize, pixel centres at halves.

    Args:
        plane: float32 (B, H, W).
        size: (height, width) of the result.
        factor: ratio of new to old pixels. OpenCV does not derive it from the sizes when it is
            given, so a rounded size covers a little more or less than the whole image.

    Returns:
        float32 (B, height, width).
    """
    for axis, (old, new) in enumerate(zip(plane.shape[1:], size, strict=True), start=1):
        step = 1 / factor if factor else old / new
        position = np.clip((np.arange(new) + 0.5) * step - 0.5, 0, old - 1)
        first = np.minimum(position.astype("int32"), old - 2)
        shape = (-1, 1) if axis == 1 else (-1,)
        weight = ops.convert_to_tensor((position - first).astype("float32").reshape(shape))
        near = ops.take(plane, first, axis=axis)
        plane = near + (ops.take(plane, first + 1, axis=axis) - near) * weight
    return plane


def _cubic_weights(t):
    """Weights of the four taps at -1, 0, 1, 2 for a position t in [0, 1) past tap 0."""
    a, s = CUBIC_A, 1 - t
    left = a * t * s * s
    centre = ((a + 2) * t - (a + 3)) * t * t + 1
    right = ((a + 2) * s - (a + 3)) * s * s + 1
    return left, centre, right, 1 - left - centre - right


def sample_cubic(planes, x, y):
    """Reads planes at (x, y) with bicubic interpolation; outside of the image everything is zero.

    Args:
        planes: list of P tensors (B, H, W).
        x: float (B, H, W), column to read at, in pixels.
        y: float (B, H, W), row to read at, in pixels.

    Returns:
        List of P tensors (B, H, W).
    """
    height, width = planes[0].shape[1:]
    border = ((0, 0), (CUBIC_BORDER, CUBIC_BORDER), (CUBIC_BORDER, CUBIC_BORDER))
    flat = [ops.reshape(ops.pad(p, border), (-1,)) for p in planes]
    # At the clamps and past them all taps with a weight are zero. A huge value has no int32.
    x, y = ops.clip(x, -2.0, width + 1.0), ops.clip(y, -2.0, height + 1.0)
    left, top = ops.floor(x), ops.floor(y)
    weights_x, weights_y = _cubic_weights(x - left), _cubic_weights(y - top)
    stride = width + 2 * CUBIC_BORDER
    image = ops.arange(ops.shape(x)[0], dtype="int32") * (stride * (height + 2 * CUBIC_BORDER))
    column = ops.cast(left, "int32") + (CUBIC_BORDER - 1)
    row = ops.cast(top, "int32") + (CUBIC_BORDER - 1)
    corner = image[:, None, None] + row * stride + column
    sums = [0.0] * len(planes)
    for i in range(4):
        for j in range(4):
            tap, weight = corner + (i * stride + j), weights_y[i] * weights_x[j]
            sums = [s + weight * ops.take(f, tap, axis=0) for s, f in zip(sums, flat, strict=True)]
    return sums


def median_network(n):
    """Exchanges (i, j), i < j, that leave the median of n values (n odd) at place n // 2.

    Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2 M), without the
    exchanges that do not reach the middle.
    """
    exchanges = []
    p = top = 1 << ((n - 1).bit_length() - 1)
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            exchanges += [(i, i + d) for i in range(n - d) if i & p == r]
            d, q, r = q - p, q >> 1, p
        p >>= 1
    wanted, kept = {n // 2}, []
    for i, j in reversed(exchanges):
        if i in wanted or j in wanted:
            wanted |= {i, j}
            kept.append((i, j))
    return kept[::-1]


def median(plane):
    """Median of the 5 x 5 neighbours of each pixel, the border repeated."""
    height, width = plane.shape[1:]
    wide = extend(plane, MEDIAN_SIZE // 2)
    values = [
        wide[:, i : i + height, j : j + width]
        for i in range(MEDIAN_SIZE)
        for j in range(MEDIAN_SIZE)
    ]
    for i, j in median_network(len(values)):
        values[i], values[j] = (
            ops.minimum(values[i], values[j]),
            ops.maximum(values[i], values[j]),
        )
    return values[len(values) // 2]
