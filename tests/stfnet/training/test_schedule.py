"""Learning rates by hand, optimisers against Keras', the counting of steps, epochs and stages."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from stfnet.config import TrainingConfig
from stfnet.training import schedule
from stfnet.training.schedule import Progress, learning_rate, make_optimizer

SHAPES = ((3, 4), (4,), ())
TWO_STAGES = TrainingConfig(learning_rates=(1e-2, 1e-3), max_epochs=(3, 2), patience=2)


def test_warm_up_rises_and_cosine_falls():
    config = TrainingConfig(
        learning_rates=(1.0,),
        max_epochs=(10,),
        frozen_blocks=(0,),
        warmup_epochs=2,
        schedule="cosine",
    )
    rates = [learning_rate(config, 0, step, steps_per_epoch=4) for step in range(41)]
    np.testing.assert_allclose(rates[:8], np.arange(1, 9) / 8)
    assert rates[8] == 1.0
    np.testing.assert_allclose(rates[24], 0.5)  # half of the 32 steps behind the warm-up
    np.testing.assert_allclose(rates[40], 0.0, atol=1e-12)


def test_a_constant_rate_is_that_of_its_stage():
    rates = [learning_rate(TWO_STAGES, stage, step, 4) for stage in (0, 1) for step in (0, 7)]
    assert rates == [1e-2, 1e-2, 1e-3, 1e-3]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"optimizer": "sgd"}, keras.optimizers.SGD),
        ({"optimizer": "adam"}, schedule.Adam),
        ({"optimizer": "adamw", "weight_decay": 0.1}, schedule.AdamW),
        ({"precision": "mixed_float16"}, keras.optimizers.LossScaleOptimizer),
    ],
)
def test_the_optimizer_is_the_configured_one(settings, kind):
    optimizer = make_optimizer(TrainingConfig(**settings, ema=0.5), 0.25)
    assert type(optimizer) is kind
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    assert float(inner.learning_rate) == 0.25
    assert inner.use_ema and inner.ema_momentum == 0.5
    assert getattr(inner, "weight_decay", None) == settings.get("weight_decay")


def test_steps_are_counted_in_the_epoch_and_in_all():
    progress = Progress()
    assert not progress.begin_epoch(clips=8)
    progress.add_step(1.5, 3)
    progress.add_step(0.5, 4)
    assert (progress.batch, progress.step) == (2, 2)
    assert (progress.loss_sum, progress.correct_sum) == (2.0, 7)
    progress.end_epoch({"epoch": 1}, TWO_STAGES)
    assert (progress.batch, progress.step, progress.epoch) == (0, 2, 1)
    assert (progress.loss_sum, progress.correct_sum) == (0.0, 0.0)
    assert progress.history == [{"epoch": 1}]


def test_an_epoch_resumes_with_as_many_clips_and_begins_again_with_others():
    progress = Progress(batch=2, planned=8, loss_sum=1.0, step=2)
    assert not progress.begin_epoch(clips=8)
    assert (progress.batch, progress.loss_sum) == (2, 1.0)
    assert progress.begin_epoch(clips=12)
    assert (progress.batch, progress.loss_sum, progress.planned, progress.step) == (0, 0.0, 12, 2)


def test_the_best_epoch_has_the_highest_accuracy_and_then_the_lowest_loss():
    progress = Progress()
    outcomes = []
    for accuracy, loss in ((0.5, 1.0), (0.5, 1.0), (0.5, 0.9), (0.4, 0.1), (0.6, 2.0)):
        outcomes.append((progress.is_best(accuracy, loss), progress.waited))
        progress.epoch += 1
    assert outcomes == [(True, 0), (False, 1), (True, 0), (False, 1), (True, 0)]
    assert progress.best == {"val_accuracy": 0.6, "val_loss": 2.0, "stage": 1, "epoch": 5}


def test_a_stage_ends_after_its_epochs_and_the_run_after_its_stages():
    progress = Progress()
    ends = [progress.end_epoch({}, TWO_STAGES) for _ in range(5)]
    assert ends == [False, False, True, False, True]
    assert progress.finished and len(progress.history) == 5


def test_a_stage_ends_when_no_epoch_is_better_for_the_patience():
    progress = Progress()
    for accuracy, ends in ((0.5, False), (0.4, False), (0.3, True)):
        progress.is_best(accuracy, 1.0)
        assert progress.end_epoch({}, dataclasses.replace(TWO_STAGES, max_epochs=(9, 9))) == ends
    assert (progress.stage, progress.epoch, progress.waited) == (1, 0, 0)
    assert not progress.finished


def test_progress_survives_json():
    progress = Progress(stage=1, best={"val_loss": 0.5}, history=[{"loss": 1.0}], step=7)
    resumed = Progress()
    resumed.resume(json.loads(json.dumps(dataclasses.asdict(progress))), TWO_STAGES)
    assert resumed == progress


def test_the_last_epoch_is_kept_whatever_validation_says():
    progress = Progress()
    assert progress.is_best(0.9, 0.1, "last")
    assert progress.is_best(0.1, 9.0, "last")
    assert progress.best["val_accuracy"] == 0.1
    assert progress.waited == 0


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
    ours, fewer = _train(getattr(schedule, name)(0.01, **settings), gradients, jit_compile)
    theirs, more = _train(getattr(keras.optimizers, name)(0.01, **settings), gradients, jit_compile)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-7)
    assert np.abs(ours[0] - 0.5).max() > 0.01  # it does step
    assert fewer < 0.8 * more


def test_a_step_that_overflows_is_skipped_and_the_next_is_that_of_keras():
    optimizers = [
        keras.optimizers.LossScaleOptimizer(kind(0.01), initial_scale=4.0)
        for kind in (schedule.Adam, keras.optimizers.Adam)
    ]
    gradients = [[np.full(s, x, "float32") for s in SHAPES] for x in (1.0, np.inf, -2.0)]
    ours, theirs = (_train(optimizer, gradients)[0] for optimizer in optimizers)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)  # 1 - 0.999 in float32
    assert optimizers[0].iterations == 2 and np.isfinite(ours[0]).all()


def test_a_learning_rate_that_is_set_later_counts():
    optimizer = schedule.Adam(0.0)
    variable = keras.Variable([1.0])
    optimizer.build([variable])
    step = tf.function(lambda: optimizer.apply([tf.constant([3.0])], [variable]), autograph=False)
    step()
    assert np.asarray(variable) == 1.0
    optimizer.learning_rate = 0.25
    step()
    np.testing.assert_allclose(np.asarray(variable), 0.75, rtol=1e-5)  # a step of one rate
