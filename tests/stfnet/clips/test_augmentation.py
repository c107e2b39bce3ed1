"""Mirrored and cropped clips against cases worked by hand."""

import numpy as np
import pytest
import tensorflow as tf

from stfnet.clips import augmentation


def test_mirroring_turns_the_picture_and_the_x_flow():
    rgb = np.arange(1 * 2 * 3 * 3, dtype=np.uint8).reshape(1, 2, 3, 3)
    fields = np.zeros((1, 1, 2, 2, 3), np.uint8)
    fields[0, 0, 0] = [[0, 128, 255], [1, 130, 200]]
    fields[0, 0, 1] = [[7, 8, 9], [1, 2, 3]]
    mirrored, turned = augmentation.mirror(tf.constant(rgb), tf.constant(fields))
    np.testing.assert_array_equal(mirrored[0, 0, 0], rgb[0, 0, 2])
    assert turned[0, 0, 0].numpy().tolist() == [[1, 128, 255], [56, 126, 255]]
    assert turned[0, 0, 1].numpy().tolist() == [[9, 8, 7], [3, 2, 1]]


def test_enlarging_a_crop_enlarges_its_flow():
    rgb = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    fields = np.full((2, 4, 2, 32, 32), 138, np.uint8)  # 10 levels
    crop = tf.constant([0.0, 0.0, 0.5])
    _, enlarged = augmentation.crop_and_enlarge(tf.constant(rgb), tf.constant(fields), crop)
    assert np.unique(enlarged).tolist() == [148]
    kept, same = augmentation.crop_and_enlarge(rgb, fields, tf.constant([0.0, 0.0, 1.0]))
    np.testing.assert_array_equal(kept, rgb)
    np.testing.assert_array_equal(same, fields)


def test_a_crop_of_a_ramp_is_the_ramp_between_its_corners():
    """Corner pixels are aligned: pixel k of n stands at k / (n - 1) of the square."""
    size, (top, left, side) = 24, (0.125, 0.25, 0.625)
    y, x = np.mgrid[:size, :size]
    rgb = np.stack([3 * y + 5 * x, 200 - 7 * y, 9 * x], -1)[None].astype(np.uint8)
    fields = np.stack([110 + x, 140 - y])[None, None].astype(np.uint8)
    frames, planes = augmentation.crop_and_enlarge(
        tf.constant(rgb), tf.constant(fields), tf.constant([top, left, side])
    )
    steps = np.arange(size) / (size - 1) * side
    y, x = np.meshgrid((top + steps) * (size - 1), (left + steps) * (size - 1), indexing="ij")
    ramp = np.stack([3 * y + 5 * x, 200 - 7 * y, 9 * x], -1)
    np.testing.assert_allclose(frames[0], ramp, atol=0.501)
    displacements = np.stack([110 + x, 140 - y]) - 128
    np.testing.assert_allclose(planes[0, 0].numpy() - 128.0, displacements / side, atol=0.501)


@pytest.mark.parametrize("kind", ["none", "flip", "crop", "flip_crop"])
def test_each_clip_of_a_batch_is_changed_as_its_own_row_says(kind):
    rng = np.random.default_rng(2)
    rgb = tf.constant(rng.integers(0, 256, (3, 2, 8, 8, 3), np.uint8))
    fields = tf.constant(rng.integers(0, 256, (3, 2, 1, 2, 8, 8), np.uint8))
    rows = {
        "flip": tf.constant([False, True, True]),
        "crop": tf.constant([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.1, 0.2, 0.75]]),
    }
    changed = augmentation.augmenter(kind)(rows, rgb, fields)
    for k in range(3):
        expected = rgb[k], fields[k]
        if "flip" in kind and k:
            expected = augmentation.mirror(*expected)
        if "crop" in kind:
            expected = augmentation.crop_and_enlarge(*expected, rows["crop"][k])
        np.testing.assert_array_equal(changed[0][k], expected[0])
        np.testing.assert_array_equal(changed[1][k], expected[1])
