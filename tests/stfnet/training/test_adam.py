"""The optimisers in one operation a variable against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfnet.training import adam

SHAPES = ((3, 4), (4,), ())


def _train(optimizer, gradients, jit_compile=False):
    """Values of variables and of the optimiser after a step with each list of gradients."""
    weights = [keras.Variable(np.full(shape, 0.5, "float32")) for shape in SHAPES]
    optimizer.build(weights)

    @tf.function(autograph=False, jit_compile=jit_compile)
    def step(values):
        optimizer.apply(values, weights)

    for values in gradients:
        step([tf.constant(value) for value in values])
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return [np.asarray(v) for v in (*weights, *inner.variables)], len(
        step.get_concrete_function(gradients[0]).graph.get_operations()
    )


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Adam", {}),
        ("Adam", {"use_ema": True, "ema_momentum": 0.5, "epsilon": 1e-3, "beta_1": 0.5}),
        ("AdamW", {"weight_decay": 0.1}),
    ],
)
def test_steps_are_those_of_keras(name, settings, jit_compile):
    rng = np.random.default_rng(0)
    gradients = [[rng.normal(size=s).astype("float32") for s in SHAPES] for _ in range(5)]
    ours, fewer = _train(getattr(adam, name)(0.01, **settings), gradients, jit_compile)
    theirs, more = _train(getattr(keras.optimizers, name)(0.01, **settings), gradients, jit_compile)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
    assert np.abs(ours[0] - 0.5).max() > 0.01  # it does step
    assert fewer < 0.8 * more


def test_a_step_that_overflows_is_skipped_and_the_next_is_that_of_keras():
    optimizers = [
        keras.optimizers.LossScaleOptimizer(kind(0.01), initial_scale=4.0)
        for kind in (adam.Adam, keras.optimizers.Adam)
    ]
    gradients = [[np.full(s, x, "float32") for s in SHAPES] for x in (1.0, np.inf, -2.0)]
    ours, theirs = (_train(optimizer, gradients)[0] for optimizer in optimizers)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)  # 1 - 0.999 in float32
    assert optimizers[0].iterations == 2 and np.isfinite(ours[0]).all()


def test_a_learning_rate_that_is_set_later_counts():
    optimizer = adam.Adam(0.0)
    variable = keras.Variable([1.0])
    optimizer.build([variable])
    step = tf.function(lambda: optimizer.apply([tf.constant([3.0])], [variable]), autograph=False)
    step()
    assert np.asarray(variable) == 1.0
    optimizer.learning_rate = 0.25
    step()
    np.testing.assert_allclose(np.asarray(variable), 0.75, rtol=1e-5)  # a step of one rate
