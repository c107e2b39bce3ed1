"""What a run says of itself: its steps and epochs, to two CSV files and to the terminal."""

import csv
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from preprocessing import files, splits
from preprocessing.records import RecordSet
from stfnet import run
from stfnet.clips import plans
from stfnet.run.config import RunConfig, partial_statistics
from stfnet.training.schedule import Progress

STEP_FIELDS = ("step", "stage", "epoch", "loss", "accuracy", "learning_rate", "gradient_norm")
_COUNTS = ("step", "stage", "epoch")  # Keras passes every value to a callback as a float


def print_header(
    config: RunConfig,
    record_set: RecordSet,
    videos: run.RunVideos,
    located: run.Located,
    parameters: int,
    devices: int,
) -> None:
    """Prints what is trained, on what, and what a reader of its figures must know."""
    known = np.unique(np.concatenate([located.train, located.val, located.test]))
    sides = dict.fromkeys(videos.test, "test")
    ungrouped = splits.ungrouped(record_set.videos, sides)
    notes = []
    if ungrouped:
        words = splits.leak_text(videos.leak, ungrouped, len(videos.test))
        notes = [f"test videos with a sibling in training or validation: {words}"]
    learned = located.learned(config.training.train_on_validation)
    if classes := run.untrained_classes(record_set, learned):
        notes.append(f"no training video, so the network cannot learn it: {', '.join(classes)}")
    if note := partial_statistics(config.model, config.training, devices):
        notes.append(note)
    print(
        f"{config.name}: {len(located.train)} training, {len(located.val)} validation and "
        f"{len(located.test)} test videos of {len(config.classes)} classes (protocol "
        f"{config.protocol}, fold {config.fold}); {parameters:,} parameters; "
        f"{devices} device(s)"
        + ("; the validation videos are trained on too" * config.training.train_on_validation),
        *notes,
        *located.notes(record_set),
        *plans.short_videos(record_set, known, config.model.clip),
        *videos.warnings(),
        sep="\n",
        flush=True,
    )


class RunLog(keras.callbacks.Callback):
    """Writes steps.csv, history.csv and the terminal; to be closed at the end.

    steps.csv gets a line an optimiser step, at once. Lines of steps that the run repeats, because
    it was stopped after its last checkpoint, are dropped, and so are those that a crash damaged.
    history.csv has a line an epoch, all of them written again at the end of each. The terminal has
    a bar during the training part of an epoch, and a line with its figures at its end.
    """

    def __init__(self, workdir: Path, progress: Progress, batch_size: int):
        super().__init__()
        self.history_file = workdir / run.HISTORY_FILE
        self.progress, self.batch_size = progress, batch_size
        path = workdir / run.STEPS_FILE
        _write_rows(path, STEP_FIELDS, _whole_rows(path, progress.step))
        self._file = path.open("a", newline="", buffering=1)
        self._steps = csv.DictWriter(self._file, STEP_FIELDS)
        self._bar = tqdm(disable=True)

    def on_epoch_begin(self, epoch, logs=None):
        progress = self.progress
        self._bar = tqdm(
            total=progress.planned // self.batch_size,
            initial=progress.batch,
            desc=f"stage {progress.stage + 1} epoch {progress.epoch + 1}",
            unit="batch",
            mininterval=0.5,
            leave=False,
        )

    def on_train_batch_end(self, batch, logs=None):
        row = {name: logs[name] for name in STEP_FIELDS}
        self._steps.writerow({**row, **{name: int(row[name]) for name in _COUNTS}})
        progress = self.progress
        self._bar.set_postfix_str(
            f"loss {progress.loss_sum / progress.batch:.3f}, "
            f"accuracy {progress.correct_sum / progress.batch / self.batch_size:.3f}, "
            f"{logs['clips_per_second']:.1f} clips/s, {logs['input_wait']:.0%} waiting for input",
            refresh=False,
        )
        self._bar.update()

    def on_test_begin(self, logs=None):
        self._bar.close()

    def on_epoch_end(self, epoch, logs=None):
        history = self.progress.history
        _write_rows(self.history_file, list(history[0]), history)
        print(
            f"stage {logs['stage']:.0f} epoch {logs['epoch']:3.0f}: loss {logs['loss']:.4f} "
            f"accuracy {logs['accuracy']:.3f} | validation loss {logs['val_loss']:.4f} "
            f"accuracy {logs['val_accuracy']:.3f} | {logs['clips_per_second']:.1f} clips/s, "
            f"{logs['input_wait']:.0%} waiting",
            flush=True,
        )

    def close(self) -> None:
        self._file.close()
        self._bar.close()


class Stopwatch:
    """How fast clips are trained on, and how much of the time is spent waiting for them."""

    def __init__(self):
        self.begun, self.waited = time.monotonic(), 0.0

    def waiting(self, batches: Iterable) -> Iterator:
        """Passes batches on and measures how long each is waited for."""
        iterator = iter(batches)
        while True:
            before = time.monotonic()
            batch = next(iterator, None)
            if batch is None:
                return
            self.waited += time.monotonic() - before
            yield batch

    def figures(self, clips: int) -> dict[str, float]:
        """`clips_per_second` and `input_wait`, a fraction, after so many clips."""
        elapsed = max(time.monotonic() - self.begun, 1e-9)
        return {"clips_per_second": clips / elapsed, "input_wait": self.waited / elapsed}


def _whole_rows(path: Path, next_step: int) -> list[dict[str, str]]:
    """Rows of a steps.csv that a crash may have cut off or filled with zero bytes."""
    if not path.exists():
        return []
    text = path.read_bytes().replace(b"\0", b"").decode(errors="replace")
    return [
        row
        for row in csv.DictReader(text.splitlines())
        if set(row) == set(STEP_FIELDS)
        and None not in row.values()
        and row["step"].isdigit()
        and int(row["step"]) < next_step
    ]


def _write_rows(path: Path, fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    cells = ([row[name] for name in fields] for row in rows)
    files.write_csv(path, [fields, *cells], end="\r\n")
