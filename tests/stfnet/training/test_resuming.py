"""A run that was stopped, or has more to do, goes on where it was."""

import dataclasses
import signal

import keras
import numpy as np
import pytest
from helpers import read_csv

from preprocessing.errors import UserError
from stfnet import run
from stfnet.training import loop
from stfnet.training.preemption import Preempted
from stfnet.training.steps import DistributedSteps


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
def test_a_run_that_was_stopped_equals_one_that_was_not(make_config, tiny_records, tmp_path):
    config = make_config(tiny_records, model={"streams": "both"}, checkpoint_minutes=0.0)
    whole = loop.train(config, tiny_records, tmp_path / "whole")
    folder = tmp_path / "stopped"
    for step in (1, 7):  # within an epoch, and in the second stage
        with pytest.raises(InterruptedError):
            loop.train(config, tiny_records, folder, callbacks=[_StopAt(step, _kill)])
    resumed = loop.train(config, tiny_records, folder)
    assert read_csv(folder / run.STEPS_FILE) == read_csv(tmp_path / "whole" / run.STEPS_FILE)
    timing = ("clips_per_second", "input_wait")
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert {k: v for k, v in ours.items() if k not in timing} == {
            k: v for k, v in theirs.items() if k not in timing
        }
    assert resumed.best == whole.best


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_run_goes_on(make_config, tiny_records, tmp_path, number, status):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # also in the background
    config = make_config(tiny_records)
    stopping = _StopAt(0, lambda: signal.raise_signal(number))
    with pytest.raises(Preempted, match="saved at step 2; the same command resumes") as stop:
        loop.train(config, tiny_records, tmp_path, callbacks=[stopping])
    signal.signal(signal.SIGINT, before)
    assert stop.value.status == status
    assert loop.train(config, tiny_records, tmp_path).finished
    assert [int(row["step"]) for row in read_csv(tmp_path / run.STEPS_FILE)] == list(range(9))


def test_a_finished_run_stays_finished(make_config, tiny_records, tmp_path):
    config = make_config(tiny_records, max_epochs=(1, 1))
    done = loop.train(config, tiny_records, tmp_path)
    again = loop.train(config, tiny_records, tmp_path)
    assert again.finished and again.history == done.history


def test_more_epochs_continue_the_last_stage(make_config, tiny_records, tmp_path):
    whole = loop.train(
        make_config(tiny_records, max_epochs=(1, 3)), tiny_records, tmp_path / "whole"
    )
    for epochs in (1, 3):
        longer = make_config(tiny_records, max_epochs=(1, epochs))
        progress = loop.train(longer, tiny_records, tmp_path / "longer")
    assert read_csv(tmp_path / "longer" / run.STEPS_FILE) == read_csv(
        tmp_path / "whole" / run.STEPS_FILE
    )
    assert progress.best == whole.best
    assert run.read_config(tmp_path / "longer") == longer


def test_a_run_goes_on_with_another_way_to_compute_it(make_config, tiny_records, tmp_path):
    without = {"fc6_dropout": 0.0, "lstm_dropout": 0.0}
    stage = {"learning_rates": (3e-3,), "max_epochs": (2,), "frozen_blocks": (0,)}
    config = make_config(tiny_records, without, checkpoint_minutes=0.0, **stage)
    loop.train(config, tiny_records, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        loop.train(config, tiny_records, tmp_path / "run", callbacks=[_StopAt(1, _kill)])
    ways = {"accumulation_steps": 2, "remat": True}
    other = make_config(tiny_records, without, checkpoint_minutes=10.0, **stage, **ways)
    loop.train(other, tiny_records, tmp_path / "run")
    losses = [
        [float(row["loss"]) for row in read_csv(tmp_path / name / run.STEPS_FILE)]
        for name in ("run", "whole")
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_a_stage_that_a_plateau_has_ended_says_that_more_epochs_change_nothing(
    make_config, tiny_records, tmp_path, capsys
):
    stage = {"learning_rates": (1e-30,), "frozen_blocks": (0,), "patience": 1}
    loop.train(make_config(tiny_records, max_epochs=(5,), **stage), tiny_records, tmp_path)
    capsys.readouterr()
    again = loop.train(make_config(tiny_records, max_epochs=(9,), **stage), tiny_records, tmp_path)
    assert again.finished and len(again.history) == 2
    assert "stage 1 has ended after 2 of 9 epochs" in capsys.readouterr().out


@pytest.mark.slow
def test_sigterm_during_validation_saves_and_validates_again(make_config, tiny_records, tmp_path):
    config = make_config(tiny_records, ema=0.5)
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


@pytest.mark.slow
def test_a_gradient_that_is_not_finite_reaches_no_checkpoint(make_config, tiny_records, tmp_path):
    config = make_config(tiny_records, checkpoint_minutes=0.0)
    with pytest.raises(InterruptedError):
        loop.train(config, tiny_records, tmp_path, callbacks=[_StopAt(1, _kill)])
    kept = sorted((tmp_path / run.CHECKPOINTS_FOLDER).iterdir())
    before = [path.read_bytes() for path in kept]
    apply = DistributedSteps._gradients

    def overflow(self, batch):
        gradients, loss, correct = apply(self, batch)
        return [gradient * float("inf") for gradient in gradients], loss, correct

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DistributedSteps, "_gradients", overflow)
        with pytest.raises(UserError, match=r"the gradient norm of step \d is (inf|nan); its vid"):
            loop.train(config, tiny_records, tmp_path)
    assert sorted((tmp_path / run.CHECKPOINTS_FOLDER).iterdir()) == kept
    assert [path.read_bytes() for path in kept] == before


def test_a_run_does_not_go_on_with_other_files_under_its_names(make_config, tiny_records, tmp_path):
    config = make_config(tiny_records, checkpoint_minutes=0.0)
    with pytest.raises(InterruptedError):
        loop.train(config, tiny_records, tmp_path, callbacks=[_StopAt(1, _kill)])
    name = min(run.read_videos(tmp_path).train)
    videos = [
        dataclasses.replace(video, source_sha256="0" * 64) if video.id == name else video
        for video in tiny_records.videos
    ]
    changed = dataclasses.replace(tiny_records, videos=tuple(videos))
    with pytest.raises(UserError, match=rf"1 training or validation videos .* \(such as {name}\)"):
        loop.train(config, changed, tmp_path)


@pytest.mark.slow
def test_an_epoch_begins_again_where_the_records_lost_videos(
    make_config, tiny_records, tmp_path, capsys
):
    config = make_config(tiny_records, checkpoint_minutes=0.0)
    with pytest.raises(InterruptedError):
        loop.train(config, tiny_records, tmp_path, callbacks=[_StopAt(1, _kill)])
    assert not run.is_finished(tmp_path)
    gone = sorted(run.read_videos(tmp_path).train)[:8]
    fewer = dataclasses.replace(
        tiny_records, videos=tuple(v for v in tiny_records.videos if v.id not in gone)
    )
    loop.train(config, fewer, tmp_path)
    assert "stage 1 epoch 1 begins again" in capsys.readouterr().out
    assert run.is_finished(tmp_path)
