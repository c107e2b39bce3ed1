"""TV-L1 optical flow in pure Keras: batched over pairs, on whatever device the backend sees.

The algorithm is that of Zach, Pock and Bischof, "A duality based approach for realtime TV-L1
optical flow", DAGM 2007, with the numbers and the order of steps of OpenCV's DualTVL1OpticalFlow
at its defaults: coarse to fine over five scales, five warps a scale, and in each warp up to ten
rounds of a median filter and thirty primal-dual iterations, left as soon as the flow stands still.
A pair needs the same iterations in any batch; those that need many go on in smaller ones.
"""

import functools

import keras
import numpy as np
from keras import ops

from preprocessing.flow import tvl1_operators
from preprocessing.flow.constants import (
    EPSILON,
    INNER_ITERATIONS,
    LAMBDA,
    LEAST_GRADIENT,
    OUTER_ITERATIONS,
    SCALE_STEP,
    SCALES,
    SMALLEST_SIDE,
    TAU,
    THETA,
    WARPS,
)

SHRINKAGE = 4  # from one batch of a warp to the next
# Iterations between two questions whether to go on, which a GPU waits for; a divisor of a round's.
UNROLLED = {"gpu": 3}  # of other devices 1


def scale_sizes(height, width):
    """Sizes (height, width) of the pyramid's scales, finest first."""
    sizes = [(height, width)]
    while len(sizes) < SCALES:
        # Python's round, like OpenCV's, takes halves to the even number.
        size = tuple(round(side * SCALE_STEP) for side in sizes[-1])
        if min(size) < SMALLEST_SIDE:
            break
        sizes.append(size)
    return sizes


def _iterate(state, gradient, constant):
    """One primal-dual iteration.

    Args:
        state: u1, u2 (flow) and p11, p12, p21, p22 (dual variables), float32 (B, H, W).
        gradient: the warped image's derivatives along x and y.
        constant: what of the brightness residual does not depend on u.

    Returns:
        The next state, and the sum over each image of the flow's squared change, (B,).
    """
    u1, u2, *dual = state
    gx, gy = gradient
    residual = constant + (gx * u1 + gy * u2)
    # Zach's three cases in one: the step -residual/|g|^2, cut off at lambda theta.
    step = -residual / ops.maximum(gx * gx + gy * gy, LEAST_GRADIENT)
    step = ops.clip(step, -LAMBDA * THETA, LAMBDA * THETA)
    new1 = u1 + step * gx + THETA * tvl1_operators.divergence(*dual[:2])
    new2 = u2 + step * gy + THETA * tvl1_operators.divergence(*dual[2:])
    change = ops.sum((new1 - u1) ** 2 + (new2 - u2) ** 2, axis=(1, 2))
    new_dual = []
    for u, p in ((new1, dual[:2]), (new2, dual[2:])):
        du = tvl1_operators.forward_gradient(u)
        norm = 1.0 + TAU / THETA * ops.sqrt(du[0] ** 2 + du[1] ** 2)
        new_dual += [(p[k] + TAU / THETA * du[k]) / norm for k in range(2)]
    return [new1, new2, *new_dual], change


def _batch_sizes(pairs):
    """Sizes of the batches that a warp is computed in as its pairs come to stand still.

    Args:
        pairs: of the first batch; None where a graph does not know it: then there is no other.
    """
    sizes = [pairs]
    while pairs and sizes[-1] > 1:
        sizes.append(max(sizes[-1] // SHRINKAGE, 1))
    return sizes


def _moving(change, plane):
    """Whether each pair of a batch still moves, bool (B,)."""
    return change > EPSILON**2 * plane.shape[1] * plane.shape[2]


def _iterate_while_more_move(than, left, change, state, gradient, constant):
    """Iterates at one warp while more than a number of the batch's pairs move.

    Args:
        than: that number.
        left: iterations that the warp has left, int32 ().
        change: of the last iteration, see `_iterate`; a pair that does not move is left alone.
        state, gradient, constant: see `_iterate`.

    Returns:
        `left`, `change` and `state`, as they are then.
    """

    unrolled = UNROLLED.get(device(), 1)

    def wanted(left, change, *_):
        moving = ops.sum(ops.cast(_moving(change, constant), "int32"))
        return ops.logical_and(moving > than, left > 0)

    def iterate(left, change, *state):
        for _ in range(unrolled):
            moving = _moving(change, constant)
            new_state, new_change = _iterate(state, gradient, constant)
            state = tuple(
                ops.where(moving[:, None, None], new, old)
                for new, old in zip(new_state, state, strict=True)
            )
            change = ops.where(moving, new_change, change)
        return (left - unrolled, change, *state)

    def smooth(change, u1, u2):
        moving = _moving(change, constant)[:, None, None]
        smooth = tvl1_operators.median(ops.concatenate([u1, u2]))  # 2b h w
        pairs = ops.shape(u1)[0]
        return ops.where(moving, smooth[:pairs], u1), ops.where(moving, smooth[pairs:], u2)

    def outer(left, change, u1, u2, *dual):
        # A larger batch may have left this one in the midst of a round.
        u1, u2 = ops.cond(
            left % INNER_ITERATIONS == 0, lambda: smooth(change, u1, u2), lambda: (u1, u2)
        )
        end = (left - 1) // INNER_ITERATIONS * INNER_ITERATIONS
        return ops.while_loop(
            lambda left, *rest: ops.logical_and(left > end, wanted(left, *rest)),
            iterate,
            (left, change, u1, u2, *dual),
        )

    left, change, *state = ops.while_loop(wanted, outer, (left, change, *state))
    return left, change, tuple(state)


def _minimise_in(sizes, left, change, state, gradient, constant):
    """Iterates at one warp until every pair of the batch stands still, each stopping on its own.

    A batch would be iterated until its last pair stands still, though most do long before. So as
    soon as all that move fit into the next smaller batch they go on in that one.

    Args:
        sizes: of the batches, this one first, see `_batch_sizes`.
        left, change, state, gradient, constant: see `_iterate_while_more_move`.

    Returns:
        The state.
    """
    smaller = sizes[1:]
    than = smaller[0] if smaller else 0
    left, change, state = _iterate_while_more_move(than, left, change, state, gradient, constant)
    if not smaller:
        return state
    _, chosen = ops.top_k(ops.cast(_moving(change, constant), "float32"), smaller[0])
    moved = [
        [ops.take(plane, chosen, axis=0) for plane in planes]
        for planes in ([change, constant], state, gradient)
    ]
    (few_change, few_constant), few_state, few_gradient = moved
    few = _minimise_in(smaller, left, few_change, few_state, few_gradient, few_constant)
    places = chosen == ops.arange(sizes[0], dtype=chosen.dtype)[:, None]  # one row a pair
    here, place = ops.any(places, axis=1)[:, None, None], ops.argmax(places, axis=1)
    return tuple(
        ops.where(here, ops.take(new, place, axis=0), old)
        for new, old in zip(few, state, strict=True)
    )


def _minimise(state, gradient, constant):
    """Iterates at one warp until every pair of the batch stands still; see `_iterate`."""
    # A pair has not moved yet: more than any threshold, so that it starts.
    change = ops.full_like(constant[:, 0, 0], np.finfo("float32").max)
    left = ops.convert_to_tensor(OUTER_ITERATIONS * INNER_ITERATIONS, "int32")
    sizes = _batch_sizes(constant.shape[0])
    return _minimise_in(sizes, left, change, state, gradient, constant)


def _solve_scale(previous, following, u1, u2):
    """Refines the flow u1, u2 at one scale; all are float32 (B, H, W)."""
    height, width = previous.shape[1:]
    columns = ops.arange(width, dtype="float32")
    rows = ops.arange(height, dtype="float32")[:, None]
    planes = [following, *tvl1_operators.central_gradient(following)]

    def warp(_, state):
        u1, u2, *dual = state
        warped, gx, gy = tvl1_operators.sample_cubic(planes, columns + u1, rows + u2)
        constant = warped - gx * u1 - gy * u2 - previous
        return _minimise((u1, u2, *dual), (gx, gy), constant)

    dual = [ops.zeros_like(previous) for _ in range(4)]
    return ops.fori_loop(0, WARPS, warp, (u1, u2, *dual))[:2]


def solve(previous, following):
    """TV-L1 flow between batches of grey images; traceable, so it can live inside a graph.

    Args:
        previous: float32 (B, H, W), grey values in [0, 255]. H and W must be static, B need not.
        following: the same, the images to which the flow leads.

    Returns:
        float32 (B, H, W, 2), pixels: the x and the y displacement of each pixel of `previous`.
    """
    pyramid = [[previous, following]]
    for size in scale_sizes(*previous.shape[1:])[1:]:
        finer = pyramid[-1]
        pyramid.append([tvl1_operators.resize(image, size, SCALE_STEP) for image in finer])
    u1 = u2 = ops.zeros_like(pyramid[-1][0])
    for before, after in reversed(pyramid):
        if u1.shape[1:] != before.shape[1:]:
            size = before.shape[1:]
            u1, u2 = (tvl1_operators.resize(u, size) / SCALE_STEP for u in (u1, u2))
        u1, u2 = _solve_scale(before, after, u1, u2)
    return ops.stack([u1, u2], axis=-1)


def compile_whole(function):
    """`function` of tensors, compiled as a whole where the backend can; PyTorch's runs as it is."""
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            return tf.function(function, jit_compile=True, autograph=False)
        case "jax":
            import jax

            return jax.jit(function)
        case _:
            return function


def _solve_bytes(previous, following):
    return solve(ops.cast(previous, "float32"), ops.cast(following, "float32"))


@functools.cache
def _compiled_solve():
    return compile_whole(_solve_bytes)


def solve_pairs(previous, following):
    """`solve` for NumPy's arrays, compiled once a process for each shape that it meets.

    A pair's field depends on no other pair of its batch: each stops on its own.

    Args:
        previous: uint8 (B, H, W), grey.
        following: the same, the images to which the flow leads.

    Returns:
        float32 (B, H, W, 2), pixels, read-only.
    """
    images = (ops.convert_to_tensor(images) for images in (previous, following))
    return ops.convert_to_numpy(_compiled_solve()(*images))


def device():
    """What this process's backend computes on by default: `cpu`, `gpu` or `tpu`."""
    if keras.backend.backend() == "torch":
        import torch

        return "gpu" if torch.cuda.is_available() else "cpu"
    return keras.distribution.list_devices()[0].split(":")[0]
