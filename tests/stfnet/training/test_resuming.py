"""A run that was stopped, or has more to do, goes on where it was."""

import csv
import dataclasses
import signal

import keras
import numpy as np
import pytest

from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import TrainingConfig
from stfnet.run.config import RunConfig
from stfnet.training import loop
from stfnet.training.preemption import Preempted

# One stream, because most of the time goes into building graphs.
MODEL = ModelConfig(
    num_classes=3,
    clip=ClipConfig(num_frames=2, flow_length=4, image_size=32),
    streams="rgb",
    width_divisor=32,
    fc6_units=8,
    lstm_units=8,
    rgb_input="unit",
    flow_input="pixels",
    normalize="none",
    fc6_dropout=0.1,
    lstm_dropout=0.1,
)
TRAINING = TrainingConfig(
    learning_rates=(3e-3, 1e-3),
    max_epochs=(2, 1),
    batch_size=4,
    tau_range=(1, 3),
    validation_fraction=0.2,
)


def _config(record_set, model=None, **changes):
    return RunConfig(
        record_set.name,
        record_set.classes,
        dataclasses.replace(MODEL, **(model or {})),
        dataclasses.replace(TRAINING, **changes),
    )


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class _StopAt(keras.callbacks.Callback):
    """Breaks the run off in the middle of the step of a given number."""

    def __init__(self, step, how):
        super().__init__()
        self.step, self.how = step, how

    def on_train_batch_end(self, batch, logs=None):
        if int(logs["step"]) == self.step:
            self.how()


def _kill():
    raise InterruptedError("killed")


@pytest.mark.slow
def test_a_run_that_was_stopped_equals_one_that_was_not(tiny_records, tmp_path):
    config = _config(tiny_records, model={"streams": "both"}, checkpoint_minutes=0.0)
    whole = loop.train(config, tiny_records, tmp_path / "whole")
    folder = tmp_path / "stopped"
    for step in (1, 7):  # within an epoch, and in the second stage
        with pytest.raises(InterruptedError):
            loop.train(config, tiny_records, folder, callbacks=[_StopAt(step, _kill)])
    resumed = loop.train(config, tiny_records, folder)
    assert _rows(folder / run.STEPS_FILE) == _rows(tmp_path / "whole" / run.STEPS_FILE)
    timing = ("clips_per_second", "input_wait")
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert {k: v for k, v in ours.items() if k not in timing} == {
            k: v for k, v in theirs.items() if k not in timing
        }
    assert resumed.best == whole.best


def test_sigterm_saves_and_the_run_goes_on(tiny_records, tmp_path):
    config = _config(tiny_records)

    def terminate():
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Preempted, match="saved at step 2"):
        loop.train(config, tiny_records, tmp_path, callbacks=[_StopAt(0, terminate)])
    assert loop.train(config, tiny_records, tmp_path).finished
    assert [int(row["step"]) for row in _rows(tmp_path / run.STEPS_FILE)] == list(range(9))


def test_ctrl_c_saves_and_the_run_goes_on(tiny_records, tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
    config = _config(tiny_records)

    def interrupt():
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Preempted, match="saved at step 2; the same command resumes") as stop:
        loop.train(config, tiny_records, tmp_path, callbacks=[_StopAt(0, interrupt)])
    signal.signal(signal.SIGINT, before)
    assert stop.value.status == 130
    assert loop.train(config, tiny_records, tmp_path).finished
    assert [int(row["step"]) for row in _rows(tmp_path / run.STEPS_FILE)] == list(range(9))


def test_a_finished_run_stays_finished(tiny_records, tmp_path):
    config = _config(tiny_records, max_epochs=(1, 1))
    done = loop.train(config, tiny_records, tmp_path)
    again = loop.train(config, tiny_records, tmp_path)
    assert again.finished and again.history == done.history


def test_more_epochs_continue_the_last_stage(tiny_records, tmp_path):
    whole = loop.train(_config(tiny_records, max_epochs=(1, 3)), tiny_records, tmp_path / "whole")
    for epochs in (1, 3):
        longer = _config(tiny_records, max_epochs=(1, epochs))
        progress = loop.train(longer, tiny_records, tmp_path / "longer")
    assert _rows(tmp_path / "longer" / run.STEPS_FILE) == _rows(tmp_path / "whole" / run.STEPS_FILE)
    assert progress.best == whole.best
    assert run.read_config(tmp_path / "longer") == longer


def test_a_run_goes_on_with_another_way_to_compute_it(tiny_records, tmp_path):
    without = {"fc6_dropout": 0.0, "lstm_dropout": 0.0}
    stage = {"learning_rates": (3e-3,), "max_epochs": (2,), "frozen_blocks": (0,)}
    config = _config(tiny_records, without, checkpoint_minutes=0.0, **stage)
    loop.train(config, tiny_records, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        loop.train(config, tiny_records, tmp_path / "run", callbacks=[_StopAt(1, _kill)])
    ways = {"accumulation_steps": 2, "remat": True}
    other = _config(tiny_records, without, checkpoint_minutes=10.0, **stage, **ways)
    loop.train(other, tiny_records, tmp_path / "run")
    losses = [
        [float(row["loss"]) for row in _rows(tmp_path / name / run.STEPS_FILE)]
        for name in ("run", "whole")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_a_stage_that_a_plateau_has_ended_says_that_more_epochs_change_nothing(
    tiny_records, tmp_path, capsys
):
    stage = {"learning_rates": (1e-30,), "frozen_blocks": (0,), "patience": 1}
    loop.train(_config(tiny_records, max_epochs=(5,), **stage), tiny_records, tmp_path)
    capsys.readouterr()
    again = loop.train(_config(tiny_records, max_epochs=(9,), **stage), tiny_records, tmp_path)
    assert again.finished and len(again.history) == 2
    assert "stage 1 has ended after 2 of 9 epochs" in capsys.readouterr().out


@pytest.mark.slow
def test_sigterm_during_validation_saves_and_validates_again(tiny_records, tmp_path):
    config = _config(tiny_records, ema=0.5)
    whole = loop.train(config, tiny_records, tmp_path / "whole")

    class Terminate(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Preempted, match="saved at step 3"):
        loop.train(config, tiny_records, tmp_path / "stopped", callbacks=[Terminate()])
    assert not (tmp_path / "stopped" / run.BEST_FILE).exists()
    resumed = loop.train(config, tiny_records, tmp_path / "stopped")
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert ours["val_loss"] == theirs["val_loss"] and ours["loss"] == theirs["loss"]
