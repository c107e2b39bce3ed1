"""Learning rates by hand, and the counting of steps, epochs and stages."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from stfnet.config import TrainingConfig
from stfnet.training import adam
from stfnet.training.schedule import Progress, learning_rate, make_optimizer

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
        ({"optimizer": "adam"}, adam.Adam),
        ({"optimizer": "adamw", "weight_decay": 0.1}, adam.AdamW),
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
