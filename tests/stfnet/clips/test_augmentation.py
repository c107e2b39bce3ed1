"""Crops against cases worked by hand and against TensorFlow's own crops."""

import numpy as np
import pytest
import tensorflow as tf

from stfnet.clips import augmentation


def test_enlarging_a_crop_enlarges_its_flow():
    rgb = np.random.default_rng(0).integers(0, 256, (1, 2, 32, 32, 3), np.uint8)
    flow = np.full((1, 2, 32, 32, 8), 138, np.uint8)  # 10 levels
    _, enlarged = augmentation.crop_and_enlarge(rgb, flow, tf.constant([[0.0, 0.0, 0.5]]))
    assert np.unique(enlarged).tolist() == [148]
    kept, same = augmentation.crop_and_enlarge(rgb, flow, tf.constant([[0.0, 0.0, 1.0]]))
    np.testing.assert_array_equal(kept, rgb)
    np.testing.assert_array_equal(same, flow)


def test_each_crop_of_a_ramp_is_the_ramp_between_its_corners():
    """Corner pixels are aligned: pixel k of n stands at k / (n - 1) of the square."""
    size, crops = 24, [(0.125, 0.25, 0.625), (0.0, 0.25, 0.75), (0.5, 0.0, 0.5)]
    y, x = np.mgrid[:size, :size]
    rgb = np.stack([3 * y + 5 * x, 200 - 7 * y, 9 * x], -1)[None].astype(np.uint8)
    flow = np.stack([110 + x, 140 - y], -1)[None].astype(np.uint8)
    frames, stacks = augmentation.crop_and_enlarge(
        np.stack([rgb] * 3), np.stack([flow] * 3), tf.constant(crops)
    )
    for k, (top, left, side) in enumerate(crops):
        steps = np.arange(size) / (size - 1) * side
        y, x = np.meshgrid((top + steps) * (size - 1), (left + steps) * (size - 1), indexing="ij")
        ramp = np.stack([3 * y + 5 * x, 200 - 7 * y, 9 * x], -1)
        np.testing.assert_allclose(frames[k, 0], ramp, atol=0.501)
        displacements = np.stack([110 + x, 140 - y], -1) - 128
        shown = stacks[k, 0].numpy() - 128.0
        np.testing.assert_allclose(shown, displacements / side, atol=0.501)


@pytest.mark.parametrize("xla", [False, True])
def test_crops_are_those_of_tensorflow_but_for_the_rounding_of_a_half(xla):
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (3, 2, 40, 40, 3), np.uint8)
    flow = rng.integers(0, 256, (3, 2, 40, 40, 4), np.uint8)
    side = rng.uniform(0.75, 1, 3)
    corner = rng.uniform(0, 1, (2, 3)) * (1 - side)
    crop = np.stack([*corner, side], 1).astype(np.float32)
    crop_and_enlarge = tf.function(augmentation.crop_and_enlarge, jit_compile=xla)
    ours = crop_and_enlarge(tf.constant(rgb), tf.constant(flow), tf.constant(crop))
    for k, (top, left, side) in enumerate(crop):
        box = [[top, left, top + side, left + side]] * 2
        frames, stacks = (
            tf.image.crop_and_resize(images[k].astype(np.float32), box, [0, 1], (40, 40)).numpy()
            for images in (rgb, flow)
        )
        np.testing.assert_allclose(ours[0][k], frames, atol=0.501)
        wanted = np.clip(128 + (stacks - 128) / side, 0, 255)
        np.testing.assert_allclose(ours[1][k], wanted, atol=0.501)
