"""LN_LSTM against a float64 NumPy statement and against keras.layers.RNN."""

import keras
import numpy as np
import pytest

from stfnet.layers import GateNormalization, LayerNormLSTM, LayerNormLSTMCell

BATCH, STEPS, FEATURES, UNITS = 3, 6, 5, 4


@pytest.fixture
def sequences():
    return np.random.default_rng(7).normal(0.3, 1.5, (BATCH, STEPS, FEATURES))


def _cell(randomize, normalize, **kwargs):
    cell = LayerNormLSTMCell(UNITS, normalize=normalize, name="cell", **kwargs)
    cell.build((None, FEATURES))
    randomize(cell)
    return cell


@pytest.mark.parametrize("normalize", ["none", "gates", "all"])
def test_cell_steps_are_the_papers_equations(
    normalize, sequences, numpy_lstm, randomize, weights_of
):
    cell = _cell(randomize, normalize, dtype="float64")
    want = numpy_lstm(sequences, weights_of(cell), normalize)
    states = cell.get_initial_state(BATCH)
    for t in range(STEPS):
        h, states = cell(sequences[:, t], states)
        np.testing.assert_allclose(h, want[:, t], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("normalize", ["none", "gates", "all"])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_layer_equals_keras_rnn_of_the_cell(normalize, return_sequences, sequences, randomize):
    cell = _cell(randomize, normalize)
    rnn = keras.layers.RNN(cell, return_sequences=return_sequences)
    layer = LayerNormLSTM(UNITS, return_sequences=return_sequences, normalize=normalize)
    layer.build(sequences.shape)
    layer.set_weights(cell.get_weights())
    x = sequences.astype("float32")
    assert layer(x).shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(layer(x), rnn(x), rtol=1e-5, atol=1e-6)


def test_first_weights():
    cell = LayerNormLSTMCell(UNITS, forget_bias=1.0)
    cell.build((None, FEATURES))
    beta = cell.gate_normalization.beta.numpy()
    np.testing.assert_array_equal(beta, np.repeat([[0], [1], [0]], UNITS, axis=1))
    recurrent = cell.recurrent_kernel.numpy()
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(UNITS), atol=1e-5)
    limit = np.sqrt(6 / (FEATURES + 4 * UNITS))
    assert np.abs(cell.kernel.numpy()).max() <= limit


def test_layer_statistics_do_not_mix_examples(sequences):
    layer = LayerNormLSTM(UNITS, dtype="float64")
    alone = np.asarray(layer(sequences[:1], training=True))
    np.testing.assert_allclose(layer(sequences, training=True)[:1], alone, rtol=1e-10)


def test_batch_statistics_and_their_moving_averages(randomize):
    x = np.random.default_rng(3).normal(2.0, 3.0, (8, 3, UNITS))
    layer = GateNormalization("batch", momentum=0.75, dtype="float64")
    layer.build(x.shape)
    layer.gamma.assign(layer.gamma + 0.5)
    mean, variance = x.mean(axis=0), x.var(axis=0)
    want = 1.5 * (x - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(layer(x, training=True), want, rtol=1e-10)
    moving_mean, moving_variance = 0.25 * mean, 0.75 + 0.25 * variance
    np.testing.assert_allclose(layer.moving_mean.numpy(), moving_mean, rtol=1e-10)
    np.testing.assert_allclose(layer.moving_variance.numpy(), moving_variance, rtol=1e-10)
    want = 1.5 * (x - moving_mean) / np.sqrt(moving_variance + 1e-3)
    np.testing.assert_allclose(layer(x, training=False), want, rtol=1e-10)


def test_batch_statistics_reach_the_lstm(sequences):
    layer = LayerNormLSTM(UNITS, statistics="batch", dtype="float64")
    layer(sequences)
    before = layer.cell.gate_normalization.moving_mean.numpy().copy()
    layer(sequences, training=False)
    np.testing.assert_array_equal(layer.cell.gate_normalization.moving_mean.numpy(), before)
    layer(sequences, training=True)
    assert not np.allclose(layer.cell.gate_normalization.moving_mean.numpy(), before)


def test_statistics_stay_in_float32_under_mixed_precision(numpy_layer_norm):
    """Sums of 1000 +- 1 lose their spread in bfloat16, whose steps are 4 at that size."""
    z = np.random.default_rng(5).normal(1000.0, 1.0, (2, 4 * UNITS)).astype("float32")
    z[:, 3 * UNITS :] -= 1000.0
    cell = LayerNormLSTMCell(UNITS, dtype="mixed_bfloat16")
    cell.build((None, FEATURES))
    zeros = np.zeros((2, UNITS), "float32")
    _, c = cell.step(z, zeros, zeros)
    i = 1 / (1 + np.exp(-numpy_layer_norm(z[:, :UNITS].astype("float64"), 1.0, 0.0)))
    np.testing.assert_allclose(c, i * np.tanh(z[:, 3 * UNITS :]), rtol=2e-3)
    h, _ = cell(np.zeros((2, FEATURES), "float32"), cell.get_initial_state(2))
    assert keras.backend.standardize_dtype(h.dtype) == "bfloat16"


@pytest.mark.parametrize("normalize", ["gates", "all"])
@pytest.mark.parametrize("statistics", ["layer", "batch"])
def test_constant_sums_train_without_nan(normalize, statistics):
    """Zero kernels make every sum constant: the variance and its gradient must stay finite."""
    layer = LayerNormLSTM(UNITS, normalize=normalize, statistics=statistics)
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), layer])
    layer.cell.kernel.assign(np.zeros((FEATURES, 4 * UNITS)))
    layer.cell.recurrent_kernel.assign(np.zeros((UNITS, 4 * UNITS)))
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse", run_eagerly=True)
    loss = model.train_on_batch(np.ones((2, STEPS, FEATURES)), np.ones((2, UNITS)))
    assert np.isfinite(loss)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="normalize='some'"):
        LayerNormLSTM(3, normalize="some")
    with pytest.raises(ValueError, match="statistics='group'"):
        LayerNormLSTM(3, statistics="group")
