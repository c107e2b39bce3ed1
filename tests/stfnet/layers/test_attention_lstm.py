"""LSTMs with soft attention: which cells they read, and dropout."""

import numpy as np

from stfnet.layers.attention_lstm import AttentionLSTM


def test_attention_is_a_distribution_that_picks_cells():
    layer = AttentionLSTM(2)
    cells = np.random.default_rng(0).normal(size=(1, 1, 3, 4)).astype("float32")
    layer.build(cells.shape)
    layer.attention.assign([[0, 99, 0], [0, 0, 0]])
    weights, x = layer.attend(np.array([[1, 0]], "float32"), cells[:, 0])
    np.testing.assert_allclose(weights, [[0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(x, cells[:, 0, 1], rtol=1e-5)


def test_dropout_is_on_in_training_alone():
    layer = AttentionLSTM(3, layers=2, dropout=0.5)
    cells = np.random.default_rng(0).normal(size=(4, 2, 3, 4)).astype("float32")
    still = np.asarray(layer(cells))
    np.testing.assert_array_equal(layer(cells), still)
    assert np.abs(np.asarray(layer(cells, training=True)) - still).max() > 1e-3
    assert still.shape == (4, 2, 3) == layer.compute_output_shape(cells.shape)
