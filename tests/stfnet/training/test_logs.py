"""The files and lines that a run writes of its steps and epochs."""

import contextlib
import dataclasses
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from helpers import read_csv

from stfnet import run
from stfnet.training import logs
from stfnet.training.schedule import Progress


def _step(number, **changes):
    figures = {"loss": 0.5, "accuracy": 0.25, "learning_rate": 1e-3, "gradient_norm": 2.0}
    speed = {"clips_per_second": 8.0, "input_wait": 0.5}
    return {"step": number, "stage": 1, "epoch": 2, **figures, **speed, **changes}


def _write_steps(workdir, next_step, numbers):
    """As the loop does, through Keras, which makes floats of all values."""
    with contextlib.closing(logs.RunLog(workdir, Progress(step=next_step, batch=1), 4)) as log:
        listeners = keras.callbacks.CallbackList([log])
        for number in numbers:
            listeners.on_train_batch_end(number, _step(number))
    return workdir / run.STEPS_FILE


def test_a_step_is_a_line_at_once_with_whole_numbers_and_exact_figures(tmp_path):
    log = logs.RunLog(tmp_path, Progress(batch=1), 4)
    loss = float(np.nextafter(0.1, 1))
    keras.callbacks.CallbackList([log]).on_train_batch_end(0, _step(7, loss=loss, more=1))
    lines = (tmp_path / run.STEPS_FILE).read_text().splitlines()  # before it is closed
    assert lines == [
        "step,stage,epoch,loss,accuracy,learning_rate,gradient_norm",
        f"7,1,2,{loss!r},0.25,0.001,2.0",
    ]
    log.close()
    with pytest.raises(ValueError, match="closed file"):
        log.on_train_batch_end(0, _step(0))


def test_steps_after_the_checkpoint_are_written_again(tmp_path):
    _write_steps(tmp_path, 0, range(5))
    path = _write_steps(tmp_path, 3, (3, 4, 5))
    assert [int(row["step"]) for row in read_csv(path)] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "damage", [b"2,1,2,0.5", b"\0" * 40, b"2,1,2,0.5,0.25,0.001,2.0,9", b"x,1,2,0.5,0.25,0.001,2.0"]
)
def test_damaged_lines_are_dropped(tmp_path, damage):
    path = _write_steps(tmp_path, 0, range(2))
    path.write_bytes(path.read_bytes() + damage)
    _write_steps(tmp_path, 9, [9])
    assert [int(row["step"]) for row in read_csv(path)] == [0, 1, 9]


def test_an_epoch_is_a_line_of_the_terminal_and_the_history_is_written_whole(tmp_path, capsys):
    figures = {"loss": 1.23456, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.25}
    speed = {"clips_per_second": 12.34, "input_wait": 0.125}
    progress = Progress(history=[{"stage": 1, "loss": 1.5}])  # of the checkpoint
    path = tmp_path / run.HISTORY_FILE
    path.write_text("what was there before\n")
    with contextlib.closing(logs.RunLog(tmp_path, progress, 4)) as log:
        progress.history.append({"stage": 2, "loss": 0.5})
        listeners = keras.callbacks.CallbackList([log])
        listeners.on_epoch_end(1, {"stage": 1, "epoch": 7, **figures, **speed})
    assert path.read_text().splitlines() == ["stage,loss", "1,1.5", "2,0.5"]
    assert capsys.readouterr().out == (
        "stage 1 epoch   7: loss 1.2346 accuracy 0.500 | validation loss 2.0000 accuracy 0.250 | "
        "12.3 clips/s, 12% waiting\n"
    )


def test_the_bar_shows_the_means_of_the_epoch_so_far(tmp_path, capsys):
    progress = Progress(stage=1, epoch=2, planned=12, batch=2)  # resumed within the epoch
    with contextlib.closing(logs.RunLog(tmp_path, progress, batch_size=4)) as log:
        log.on_epoch_begin(0)
        progress.loss_sum, progress.correct_sum, progress.batch = 6.0, 9, 3
        log.on_train_batch_end(2, _step(2))
        log._bar.refresh()
        log.on_test_begin()
    shown = capsys.readouterr().err
    assert "stage 2 epoch 3" in shown and "2/3" in shown and "3/3" in shown
    assert "loss 2.000, accuracy 0.750, 8.0 clips/s, 50% waiting for input" in shown


def test_the_time_spent_waiting_is_separated_from_that_spent_training(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(logs, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow_batches():
        for number in range(3):
            now[0] += 0.5
            yield number

    watch = logs.Stopwatch()
    batches = []
    for batch in watch.waiting(slow_batches()):
        now[0] += 1.5
        batches.append(batch)
    assert batches == [0, 1, 2]
    assert watch.figures(clips=6) == {"clips_per_second": 1.0, "input_wait": 0.25}


def test_a_class_without_a_training_video_is_named_before_training(
    make_config, tiny_records, capsys
):
    config = make_config(tiny_records)
    videos = run.draw_videos(tiny_records, config)
    for without, named in ((None, False), (tiny_records.classes[1], True)):
        kept = {v.id: "" for v in tiny_records.videos if v.class_name != without}
        train = {name: digest for name, digest in videos.train.items() if name in kept}
        one = dataclasses.replace(videos, train=train)
        located = run.locate(one, tiny_records)
        logs.print_header(config, tiny_records, one, located, 1, 1)
        assert (f"cannot learn it: {tiny_records.classes[1]}" in capsys.readouterr().out) == named
