"""Scores averaged after the softmax."""

import keras
import numpy as np
import pytest

from stfnet.layers.score_average import ScoreAverage, score_dtype, training_logits


def test_softmax_of_the_answer_is_the_weighted_mean_of_the_softmaxes():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)) * 5
    got = np.asarray(ScoreAverage([1, 2, 5], dtype="float64")(logits))
    scores = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    want = np.einsum("s,bsc->bc", np.array([1, 2, 5]) / 8, scores)
    np.testing.assert_allclose(np.exp(got), want, rtol=1e-12)


def test_answers_stay_finite_where_a_softmax_underflows():
    got = np.asarray(ScoreAverage([1, 1])(np.array([[[0, 2000.0], [0, 3000.0]]], "float32")))
    assert np.isfinite(got).all() and got[0, 0] < -1000 and got[0, 1] == pytest.approx(0)


@pytest.mark.parametrize("weights", [[], [1, 0], [2, -1]])
def test_weights_must_be_above_zero(weights):
    with pytest.raises(ValueError, match="must be above 0"):
        ScoreAverage(weights)


def test_the_loss_is_taken_of_every_score():
    inputs = keras.Input((2, 5))
    model = keras.Model(inputs, ScoreAverage([1, 3], name="logits")(inputs))
    logits, weights = training_logits(model)
    assert logits is inputs and weights == (0.25, 0.75)
    plain = keras.Model(inputs, keras.layers.Dense(2, name="logits")(inputs))
    logits, weights = training_logits(plain)
    assert logits is plain.output and weights is None


def test_half_precision_has_scores_in_float32():
    kinds = {"mixed_bfloat16": "float32", "float32": "float32", "float64": "float64"}
    for policy, wanted in kinds.items():
        assert score_dtype(keras.dtype_policies.get(policy)) == wanted
