"""The operators against OpenCV's, and by hand where OpenCV has none of its own."""

import cv2
import numpy as np

from preprocessing.flow import tvl1_operators


def test_the_median_is_opencvs():
    planes = np.random.default_rng(0).normal(0, 1, (3, 9, 14)).astype("float32")
    ours = np.asarray(tvl1_operators.median(planes))
    np.testing.assert_array_equal(ours, [cv2.medianBlur(plane, 5) for plane in planes])


def test_cubic_sampling_is_opencvs_inside_at_the_border_and_outside():
    rng = np.random.default_rng(0)
    planes = rng.uniform(0, 255, (2, 3, 21, 30)).astype("float32")  # p b h w
    x = rng.uniform(-6, 36, (3, 21, 30)).astype("float32")
    y = rng.uniform(-6, 27, (3, 21, 30)).astype("float32")
    x[0, 0, :4], y[0, 1, :4] = [-2, -1, 29, 30], [1e9, -1e9, 20, 21]
    sampled = np.asarray(tvl1_operators.sample_cubic(list(planes), x, y))
    for p in range(2):
        for b in range(3):
            reference = cv2.remap(planes[p, b], x[b], y[b], cv2.INTER_CUBIC)
            # OpenCV before 5 rounds positions to 1/32 pixel.
            tolerance = 1e-3 if int(cv2.__version__.split(".")[0]) >= 5 else 8
            np.testing.assert_allclose(sampled[p, b], reference, atol=tolerance)


def test_gradients_and_divergence_by_hand():
    plane = np.array([[[1, 2, 4], [3, 3, 3], [0, 5, 9]]], "float32")
    by_hand = {
        "central": ([[0.5, 1.5, 1], [0, 0, 0], [2.5, 4.5, 2]], [[1, 0.5, -0.5], [-0.5, 1.5, 2.5]]),
        "forward": ([[1, 2, 0], [0, 0, 0], [5, 4, 0]], [[2, 1, -1], [-3, 2, 6]]),
    }
    for name, (along_x, along_y) in by_hand.items():
        gx, gy = getattr(tvl1_operators, f"{name}_gradient")(plane)
        np.testing.assert_array_equal(gx[0], along_x)
        np.testing.assert_array_equal(gy[0, :2], along_y)
    zeros = np.zeros_like(plane)
    np.testing.assert_array_equal(
        tvl1_operators.divergence(plane, zeros)[0], [[1, 1, 2], [3, 0, 0], [0, 5, 4]]
    )
    np.testing.assert_array_equal(
        tvl1_operators.divergence(zeros, plane)[0], [[1, 2, 4], [2, 1, -1], [-3, 2, 6]]
    )
