"""TV-L1 as OpenCV computes it, several times as fast on one core.

The algorithm is that of Zach, Pock & Bischof, "A duality based approach for realtime TV-L1 optical
flow", 2007, with the steps, the numbers and the stopping rule of OpenCV's DualTVL1OpticalFlow at
its defaults. OpenCV makes seven passes over memory in each iteration, two of them with a double
precision `hypot`; here Numba compiles one pass in single precision. Results differ by rounding.
"""

import logging
import multiprocessing

import cv2
import numba
import numpy as np

from preprocessing.flow.constants import (
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
    planes = np.dstack([following, *_central_gradient(following)])
    columns = np.arange(width, dtype=np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    dual = np.zeros((4, height, width), np.float32)
    numbers = _numbers()
    for _ in range(WARPS):
        where = columns + u1, rows + u2
        # Together, since a position's weights cost more than a plane's values.
        warped, gx, gy = cv2.split(cv2.remap(planes, *where, cv2.INTER_CUBIC))
        constant = warped - gx * u1 - gy * u2 - previous
        moving = True
        for _ in range(OUTER_ITERATIONS):
            if not moving:
                break
            u1 = cv2.medianBlur(u1, MEDIAN_SIZE)
            u2 = cv2.medianBlur(u2, MEDIAN_SIZE)
            moving = _iterate(u1, u2, dual, gx, gy, constant, *numbers)
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
