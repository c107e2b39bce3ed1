"""TV-L1 as OpenCV computes it, several times as fast on one core.

The algorithm is that of Zach, Pock & Bischof, "A duality based approach for realtime TV-L1 optical
flow", 2007, with the steps, the numbers and the stopping rule of OpenCV's DualTVL1OpticalFlow at
its defaults. OpenCV makes seven passes over memory in each iteration, two of them with a double
precision `hypot`; here Numba compiles one pass in single precision. A warp reads the image and its
gradient in one pass too, a pixel's values as one vector. Results differ by rounding.
"""

import logging
import multiprocessing

import cv2
import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from preprocessing.flow.constants import (
    CUBIC_A,
    CUBIC_BORDER,
    EPSILON,
    INNER_ITERATIONS,
    LAMBDA,
    LEAST_GRADIENT,
    MEDIAN_SIZE,
    OUTER_ITERATIONS,
    SCALE_STEP,
    SCALES,
    SMALLEST_SIDE,
    TAU,
    THETA,
    WARPS,
)


def calc(previous: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Flow from one grayscale frame to the next.

    Args:
        previous, following: uint8 (H, W), each side at least 16 pixels.

    Returns:
        float32 (H, W, 2): x and y displacement in pixels of each pixel of `previous`.
    """
    pyramid: list[tuple[np.ndarray, ...]]
    pyramid = [(previous.astype(np.float32), following.astype(np.float32))]
    while len(pyramid) < SCALES:
        smaller = tuple(
            cv2.resize(image, None, fx=SCALE_STEP, fy=SCALE_STEP, interpolation=cv2.INTER_LINEAR)
            for image in pyramid[-1]
        )
        if min(smaller[0].shape) < SMALLEST_SIDE:
            break
        pyramid.append(smaller)
    u1, u2 = (np.zeros_like(pyramid[-1][0]) for _ in range(2))
    for before, after in reversed(pyramid):
        if u1.shape != before.shape:
            size = before.shape[::-1]
            u1, u2 = (
                cv2.resize(u, size, interpolation=cv2.INTER_LINEAR) * np.float32(1 / SCALE_STEP)
                for u in (u1, u2)
            )
        u1, u2 = _solve_scale(before, after, u1, u2)
    return np.stack([u1, u2], axis=-1)


def _solve_scale(previous, following, u1, u2):
    """Refines the flow at one scale; all are float32 (H, W)."""
    height, width = previous.shape
    around = slice(CUBIC_BORDER, -CUBIC_BORDER)
    pixels = np.zeros((height + 2 * CUBIC_BORDER, width + 2 * CUBIC_BORDER, _LANES), np.float32)
    pixels[around, around, :3] = np.dstack([following, *_central_gradient(following)])
    dual = np.zeros((4, height, width), np.float32)
    linear = np.empty((3, height, width), np.float32)  # x and y gradient, constant
    numbers = _numbers()
    for _ in range(WARPS):
        _warp(pixels, u1, u2, previous, *linear, CUBIC_BORDER, np.float32(CUBIC_A))
        moving = True
        for _ in range(OUTER_ITERATIONS):
            if not moving:
                break
            u1 = cv2.medianBlur(u1, MEDIAN_SIZE)
            u2 = cv2.medianBlur(u2, MEDIAN_SIZE)
            moving = _iterate(u1, u2, dual, *linear, *numbers)
    return u1, u2


def _numbers():
    """What the compiled functions are given of `constants`.

    As globals of theirs the numbers would stay in the code that Numba keeps on disk.
    """
    singles = (np.float32(v) for v in (LAMBDA * THETA, THETA, LEAST_GRADIENT, TAU / THETA))
    return INNER_ITERATIONS, EPSILON, *singles


def _central_gradient(image):
    """Half differences of neighbours; at the border of the pixel itself and its one neighbour."""
    padded = np.pad(image, 1, mode="edge")
    half = np.float32(0.5)
    return (
        half * (padded[1:-1, 2:] - padded[1:-1, :-2]),
        half * (padded[2:, 1:-1] - padded[:-2, 1:-1]),
    )


def _has_cache_folder() -> bool:
    """Whether Numba finds a folder to keep compiled functions in; where it does not, it raises."""
    try:
        numba.njit(cache=True)(_central_gradient)  # looks for the folder and compiles nothing
    except RuntimeError:
        if multiprocessing.parent_process() is None:  # else every worker would say so
            logging.warning(
                "fast flow is compiled again in every process (some seconds): no folder to keep it"
                " in is writable; set NUMBA_CACHE_DIR to one that is"
            )
        return False
    return True


_CACHE = _has_cache_folder()
_LANES = 4  # floats of a pixel: grey value, its x and y gradient, 0


@intrinsic
def _cubic_sum(typing, pixels, row, column, across, down):
    """Weighted sum of the 4 x 4 pixels from (row, column), a pixel's four floats at once.

    Args:
        pixels: float32 (H, W, 4), contiguous.
        row, column: int64.
        across, down: tuples of four float32, the weights of the columns and of the rows.

    Returns:
        Three float32, the sums of a pixel's first three.
    """

    def generate(context, builder, signature, arguments):
        image = context.make_array(pixels)(context, builder, arguments[0])
        one, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), _LANES)
        stride = builder.extract_value(image.shape, 1)

        def add(terms):
            first, *others = terms
            for other in others:
                first = builder.fadd(first, other, flags=["fast"])
            return first

        def weighted(values, weights):
            nothing = ir.Constant(vector, ir.Undefined)
            for k, value in enumerate(values):
                alone = builder.insert_element(nothing, builder.extract_value(weights, k), one(0))
                everywhere = ir.Constant(ir.VectorType(ir.IntType(32), _LANES), [0] * _LANES)
                weight = builder.shuffle_vector(alone, nothing, everywhere)
                yield builder.fmul(value, weight, flags=["fast"])

        def pixels_of(line):
            start = builder.mul(builder.add(arguments[1], one(line)), stride)
            for k in range(4):
                pixel = builder.add(start, builder.add(arguments[2], one(k)))
                place = builder.gep(image.data, [builder.mul(pixel, one(_LANES))])
                yield builder.load(builder.bitcast(place, vector.as_pointer()), align=4)

        lines = [add(weighted(pixels_of(line), arguments[3])) for line in range(4)]
        total = add(weighted(lines, arguments[4]))
        sums = [builder.extract_element(total, one(k)) for k in range(3)]
        return context.make_tuple(builder, signature.return_type, sums)

    result = numba.types.UniTuple(numba.types.float32, 3)
    return result(pixels, numba.int64, numba.int64, across, down), generate


@numba.njit(cache=_CACHE, fastmath=True, inline="always")
def _cubic_weights(t, a):
    """Weights of the four taps at -1, 0, 1, 2 for a position t in [0, 1) past tap 0."""
    one, two = np.float32(1), np.float32(2)
    rest = one - t
    left, right = a * t * rest * rest, a * rest * t * t
    centre = ((a + two) * t - (a + two + one)) * t * t + one
    return left, centre, one - left - centre - right, right


@numba.njit(cache=_CACHE, fastmath=True, nogil=True, error_model="numpy")
def _warp(pixels, u1, u2, previous, gx, gy, constant, border, cubic_a):
    """Writes the warped gradient, and the residual's part that does not change in the iterations.

    Row by row in three loops, of which the compiler makes vectors of pixels, but of the second.
    """
    height, width = u1.shape
    weights = np.empty((8, width), np.float32)
    corner = np.empty((2, width), np.int32)
    least, one = np.float32(-2), np.float32(1)
    for y in range(height):
        for x in range(width):
            # At the clamps and past them all taps with a weight are zero.
            column = min(max(np.float32(x) + u1[y, x], least), np.float32(width) + one)
            row = min(max(np.float32(y) + u2[y, x], least), np.float32(height) + one)
            left, top = np.floor(column), np.floor(row)
            corner[0, x] = np.int32(top) + border - 1
            corner[1, x] = np.int32(left) + border - 1
            w = _cubic_weights(column - left, cubic_a)
            weights[0, x], weights[1, x], weights[2, x], weights[3, x] = w
            w = _cubic_weights(row - top, cubic_a)
            weights[4, x], weights[5, x], weights[6, x], weights[7, x] = w
        for x in range(width):
            across = weights[0, x], weights[1, x], weights[2, x], weights[3, x]
            down = weights[4, x], weights[5, x], weights[6, x], weights[7, x]
            place = np.int64(corner[0, x]), np.int64(corner[1, x])
            sums = _cubic_sum(pixels, place[0], place[1], across, down)
            constant[y, x], gx[y, x], gy[y, x] = sums
        for x in range(width):
            constant[y, x] -= gx[y, x] * u1[y, x] + gy[y, x] * u2[y, x] + previous[y, x]


@numba.njit(cache=_CACHE, fastmath=True, nogil=True, error_model="numpy")
def _iterate(u1, u2, dual, gx, gy, constant, iterations, epsilon, limit, theta, least, rate):
    """Primal-dual iterations in place until the flow stands still; whether it still moves.

    Row y of the dual variables needs row y + 1 of the new flow, which needs row y of the old dual
    variables; so the flow runs one row ahead.
    """
    height, width = u1.shape
    threshold = np.float32(epsilon * epsilon * height * width)
    for _ in range(iterations):
        change = _flow_row(0, u1, u2, dual, gx, gy, constant, limit, theta, least)
        for y in range(height - 1):
            change += _flow_row(y + 1, u1, u2, dual, gx, gy, constant, limit, theta, least)
            _dual_row(y, y + 1, u1, dual[0], dual[1], rate)
            _dual_row(y, y + 1, u2, dual[2], dual[3], rate)
        _dual_row(height - 1, height - 1, u1, dual[0], dual[1], rate)
        _dual_row(height - 1, height - 1, u2, dual[2], dual[3], rate)
        if change <= threshold:
            return False
    return True


@numba.njit(cache=_CACHE, fastmath=True, inline="always", error_model="numpy")
def _flow_row(y, u1, u2, dual, gx, gy, constant, limit, theta, least):
    """One row of u = v + theta div p, v by Zach's thresholding; the sum of squared changes."""
    change = np.float32(0)
    width = u1.shape[1]
    above = y - 1 if y else 0
    inside = np.float32(1 if y else 0)
    for x in range(width):
        left = x - 1 if x else 0
        not_first = np.float32(1 if x else 0)
        a, b = u1[y, x], u2[y, x]
        g1, g2 = gx[y, x], gy[y, x]
        residual = constant[y, x] + (g1 * a + g2 * b)
        step = -residual / max(g1 * g1 + g2 * g2, least)
        step = min(max(step, -limit), limit)
        div1 = dual[0, y, x] - not_first * dual[0, y, left]
        div1 += dual[1, y, x] - inside * dual[1, above, x]
        div2 = dual[2, y, x] - not_first * dual[2, y, left]
        div2 += dual[3, y, x] - inside * dual[3, above, x]
        new1 = a + step * g1 + theta * div1
        new2 = b + step * g2 + theta * div2
        change += (new1 - a) ** 2 + (new2 - b) ** 2
        u1[y, x], u2[y, x] = new1, new2
    return change


@numba.njit(cache=_CACHE, fastmath=True, inline="always", error_model="numpy")
def _dual_row(y, below, u, p1, p2, rate):
    """One row of p = (p + tau/theta grad u) / (1 + tau/theta |grad u|)."""
    one = np.float32(1)
    width = u.shape[1]
    for x in range(width - 1):
        dx, dy = u[y, x + 1] - u[y, x], u[below, x] - u[y, x]
        shrink = one / (one + rate * np.sqrt(dx * dx + dy * dy))
        p1[y, x] = (p1[y, x] + rate * dx) * shrink
        p2[y, x] = (p2[y, x] + rate * dy) * shrink
    x = width - 1
    dy = u[below, x] - u[y, x]
    shrink = one / (one + rate * abs(dy))
    p1[y, x] *= shrink
    p2[y, x] = (p2[y, x] + rate * dy) * shrink
