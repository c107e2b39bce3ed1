"""Interleaving and the fusion convolution against hand-worked and float64 NumPy statements."""

import keras
import numpy as np
import pytest

from stfnet.layers import IdentitySum, InterleaveChannels, StreamDropout, interleave_channels


def test_interleave_layer_keeps_time_and_place():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 2, 3, 4, 5, 6)).astype("float32")
    y = np.asarray(InterleaveChannels()([a, b]))
    assert y.shape == (2, 3, 4, 5, 12)
    np.testing.assert_array_equal(y[..., ::2], a)
    np.testing.assert_array_equal(y[..., 1::2], b)


def _fusion(initializer, channels, filters):
    layer = keras.layers.Conv3D(
        filters, 3, padding="same", kernel_initializer=initializer, dtype="float64"
    )
    layer.build((None, 3, 4, 4, channels))
    return layer


def test_fusion_convolution_is_eq_2(numpy_convolution, randomize):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 2, 3, 4, 4, 2))
    layer = _fusion("glorot_uniform", 4, 2)
    randomize(layer)
    concatenated = np.stack([a[..., 0], b[..., 0], a[..., 1], b[..., 1]], axis=-1)
    want = numpy_convolution(concatenated, layer.kernel.numpy(), layer.bias.numpy())
    np.testing.assert_allclose(layer(interleave_channels(a, b)), want, rtol=1e-10, atol=1e-12)


def test_identity_sum_adds_the_streams():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 2, 3, 4, 4, 5))
    y = _fusion(IdentitySum(), 10, 5)(interleave_channels(a, b))
    np.testing.assert_allclose(y, a + b, rtol=1e-12)


def test_identity_sum_of_one_stream_is_the_identity():
    a = np.random.default_rng(3).normal(size=(1, 3, 4, 4, 5))
    np.testing.assert_allclose(_fusion(IdentitySum(), 5, 5)(a), a, rtol=1e-12)


@pytest.mark.parametrize("shape", [(3, 3, 3, 5, 2), (2, 3, 3, 4, 2)])
def test_identity_sum_refuses_kernels_without_an_identity(shape):
    with pytest.raises(ValueError, match="multiple of the output channels"):
        IdentitySum()(shape)


def test_stream_dropout_leaves_one_stream_of_a_clip_out_in_training_alone():
    layer = StreamDropout(0.5, seed=3)
    a, b = np.ones((2000, 2, 3)), np.full((2000, 2, 3), 2.0)
    for one, other in zip(layer([a, b]), (a, b), strict=True):
        np.testing.assert_array_equal(one, other)
    kept_a, kept_b = (np.asarray(x) for x in layer([a, b], training=True))
    without_a, without_b = (kept_a == 0).all((1, 2)), (kept_b == 0).all((1, 2))
    np.testing.assert_array_equal(kept_a[~without_a], 1)
    np.testing.assert_array_equal(kept_b[~without_b], 2)
    assert not (without_a & without_b).any()
    assert abs(without_a.mean() - 0.25) < 0.04  # four standard deviations
    assert abs(without_b.mean() - 0.25) < 0.04
