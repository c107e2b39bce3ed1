"""Input bytes against keras.applications' preprocessing and the flow encoding's definition."""

import keras
import numpy as np
import pytest

from stfnet.layers import FlowNormalization, RGBNormalization


def test_imagenet_rgb_is_keras_applications_preprocessing():
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3), dtype="uint8")
    want = keras.applications.vgg16.preprocess_input(frames.astype("float32"))
    np.testing.assert_allclose(RGBNormalization()(frames), want, atol=1e-4)


def test_unit_rgb_spans_minus_one_to_one():
    frames = np.array([[0, 51, 255]], dtype="uint8")
    np.testing.assert_allclose(RGBNormalization("unit")(frames), [[-1, -0.6, 1]], atol=1e-6)


def test_centered_flow_is_zero_where_nothing_moves():
    flow = np.array([[0, 128, 255]], dtype="uint8")
    np.testing.assert_array_equal(FlowNormalization()(flow), [[-128, 0, 127]])


def test_flow_in_pixels_undoes_the_encoding():
    displacement = np.array([[-19.5, -3.0, 0.0, 0.4, 12.0]])
    encoded = (128 + np.round(displacement * 127.5 / 20)).astype("uint8")
    decoded = np.asarray(FlowNormalization("pixels", bound=20.0)(encoded))
    np.testing.assert_allclose(decoded, displacement, atol=20 / 127.5 / 2 + 1e-6)


@pytest.mark.parametrize("layer", [RGBNormalization, FlowNormalization])
def test_an_unknown_mode_is_refused(layer):
    with pytest.raises(ValueError, match="is not one of"):
        layer("none")
