"""The training loop: one for every tf.distribute strategy, and repeatable from any checkpoint."""

import contextlib
import csv
import dataclasses
import logging
import math
import os
import signal
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import reader
from stfnet import input_pipeline, plans, run
from stfnet.config import RunConfig
from stfnet.layers.vgg_stream import VGGStream
from stfnet.model import build_stfnet
from stfnet.run import checkpoints
from stfnet.training import strategies
from stfnet.training.steps import DistributedSteps, learning_rate, make_optimizer
from stfnet.training.strategies import check_run, is_chief
from stfnet.weights import load_run_weights, load_vgg16_weights

# What a collective operation of TensorFlow raises when a peer is gone.
LOST_WORKER = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)
PREEMPTED = 143  # exit status after SIGTERM: 128 + 15, saved and ready to go on
STEP_FIELDS = ("step", "stage", "epoch", "loss", "accuracy", "learning_rate", "gradient_norm")


NOT_FINITE_ADVICE = (
    "A lower learning rate, training.clip_norm or precision=float32 may help; the last checkpoint "
    "is untouched"
)


class Preempted(Exception):
    """SIGTERM came; the run was saved and the same command goes on with it."""


@dataclasses.dataclass
class Progress:
    """Where a run is; with the variables, all that a checkpoint holds.

    Attributes:
        stage, epoch: 0-based; the epoch counts within its stage.
        batch: batches done in this epoch.
        planned: clips of this epoch.
        step: optimiser steps done in all.
        loss_sum, correct_sum: over the batches done in this epoch.
        best: `val_accuracy`, `val_loss`, `stage`, `epoch` of the best epoch so far.
        waited: epochs of this stage since the best one.
        history: one dictionary an epoch, the rows of history.csv.
        finished: whether every stage is done.
    """

    stage: int = 0
    epoch: int = 0
    batch: int = 0
    planned: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct_sum: float = 0.0
    best: dict | None = None
    waited: int = 0
    history: list = dataclasses.field(default_factory=list)
    finished: bool = False


def make_model(config: RunConfig):
    """Builds the network of a run, with the weights that its configuration names."""
    training = config.training
    keras.utils.set_random_seed(training.seed)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(training.precision)
    try:
        model = build_stfnet(config.model)
    finally:
        keras.config.set_dtype_policy(previous)
    for stream in _streams(model):
        stream.remat = training.remat
    if training.weights.endswith(".keras"):
        if left := load_run_weights(model, training.weights):
            logging.warning("%s: does not fit %s", training.weights, ", ".join(left))
    elif training.weights:
        load_vgg16_weights(
            model,
            training.weights,
            temporal_conv1=training.temporal_conv1,
            fc6_init=training.fc6_init,
        )
    return model


def _whole_rows(path, before_step):
    """Rows of a steps.csv that a kill may have cut off or filled with zero bytes."""
    if not path.exists():
        return []
    text = path.read_bytes().replace(b"\0", b"").decode(errors="replace")
    rows = csv.DictReader(text.splitlines())
    return [
        row
        for row in rows
        if set(row) == set(STEP_FIELDS)
        and None not in row.values()
        and row["step"].isdigit()
        and int(row["step"]) < before_step
    ]


def _streams(model):
    return [layer for layer in model.layers if isinstance(layer, VGGStream)]


class Trainer:
    """Trains one run in its folder, from the start or from its last checkpoint.

    Args:
        config: RunConfig.
        record_set: of the records, already checked against the configuration.
        workdir: folder of the run.
        strategy: tf.distribute strategy; None for one device.
        callbacks: more Keras callbacks, called on the chief alone.
        hold: whether the records of training and validation are read into memory once.
    """

    def __init__(
        self, config: RunConfig, record_set, workdir, strategy=None, callbacks=(), hold=False
    ):
        self.config, self.record_set = config, record_set
        self.training, self.clip = config.training, config.model.clip
        self.workdir = Path(workdir)
        self.strategy = strategy or tf.distribute.get_strategy()
        self.replicas = self.strategy.num_replicas_in_sync
        check_run(self.strategy, config)
        self.chief = is_chief(self.strategy)
        self.videos = run.open_videos(self.workdir, config, record_set)
        self.located = run.locate(self.videos, record_set)
        learned = set(self.videos.train) | set(self.videos.val)
        if changed := sorted(learned & set(self.located.changed)):
            raise UserError(
                f"{record_set.folder}: {len(changed)} training or validation videos of the run in "
                f"{workdir} have another file now (such as {changed[0]}): give the records that it "
                "was started with, or train another run"
            )
        for name in ("train", "val"):
            if not len(getattr(self.located, name)):
                raise UserError(
                    f"{record_set.folder} has none of the {name} videos of the run in {workdir}: "
                    "give the records that it was started with"
                )
        held = np.concatenate([self.located.train, self.located.val]) if hold else ()
        self.reader = reader.RecordReader(record_set, held)
        self.progress = Progress()
        self.stopping = False
        self.frozen = None  # blocks in the compiled steps
        with self._naming_lost_workers(), self.strategy.scope():
            self.model = make_model(config)  # the workers send each other its variables
        self.user_callbacks = list(callbacks) if self.chief else []

    # Files ---------------------------------------------------------------------------------

    def _arrays(self):
        variables = [*self.model.variables, *self.optimizer.variables]
        return {f"{k:04d}": variable.value.numpy() for k, variable in enumerate(variables)}

    def save_checkpoint(self):
        if self.chief:
            arrays, state = self._arrays(), dataclasses.asdict(self.progress)
            if not all(np.isfinite(array).all() for array in arrays.values()):
                raise UserError(
                    f"the weights behind step {self.progress.step - 1} are not finite. "
                    f"{NOT_FINITE_ADVICE}"
                )
            folder = self.workdir / run.CHECKPOINTS_FOLDER
            checkpoints.save(folder, self.progress.step, arrays, state)
        self.saved_at = time.monotonic()

    def _restore(self):
        found = checkpoints.load_latest(self.workdir / run.CHECKPOINTS_FOLDER)
        if found is None:
            return
        arrays, state = found
        self.progress = Progress(**state)
        if self.progress.finished:  # no stage is left to restore variables for
            return
        self._start_stage()
        variables = [*self.model.variables, *self.optimizer.variables]
        for k, variable in enumerate(variables):
            variable.assign(arrays[f"{k:04d}"])
        logging.info("going on from step %d", self.progress.step)

    def _write_history(self):
        if not self.chief:
            return
        rows = self.progress.history

        def write(path):
            with open(path, "w", newline="") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)

        files.write_with(self.workdir / run.HISTORY_FILE, write)

    def _open_steps(self):
        """Opens steps.csv behind the last step of the checkpoint; only the chief's is kept."""
        path = self.workdir / run.STEPS_FILE if self.chief else Path(os.devnull)
        if self.chief:
            kept = _whole_rows(path, self.progress.step)

            def write(partial):
                with open(partial, "w", newline="") as file:
                    writer = csv.DictWriter(file, STEP_FIELDS)
                    writer.writeheader()
                    writer.writerows(kept)

            files.write_with(path, write)
        file = open(path, "a", newline="", buffering=1)  # noqa: SIM115 - closed by train()
        return file, csv.DictWriter(file, STEP_FIELDS)

    def _start_stage(self):
        """A fresh optimiser and compiled steps for the stage that the progress names."""
        stage = self.progress.stage
        frozen = self.training.frozen_blocks[stage]
        if frozen == self.frozen:  # the same graph: compiling it again would only take time
            self.steps.reset_optimizer()
            return
        self.frozen = frozen
        training = self.training
        with self.strategy.scope():
            for stream in _streams(self.model):
                for name, convolution in stream.convolutions.items():
                    convolution.trainable = int(name[len("block")]) > frozen
            self.optimizer = make_optimizer(training, training.learning_rates[stage])
        self.steps = DistributedSteps(self.model, self.optimizer, training, self.strategy)

    # Epochs --------------------------------------------------------------------------------

    def _dataset(self, plan, augmentation="none"):
        """This worker's share of a plan, as one batch a replica."""
        size = self.training.batch_size

        def make(context):
            workers, worker = context.num_input_pipelines, context.input_pipeline_id
            rows = np.arange(len(plan)).reshape(-1, workers, size // workers)[:, worker].ravel()
            return input_pipeline.clip_dataset(
                self.record_set,
                plan[rows],
                self.clip,
                size // self.replicas,
                augmentation,
                self.reader,
            )

        return self.strategy.distribute_datasets_from_function(make)

    def _check_finite(self, sums, plan, batch):
        """Ends the run where a step was not finite, before anything of it reaches a checkpoint."""
        names = ["loss"]
        if self.training.precision != "mixed_float16":  # whose optimiser skips such a step
            names.append("gradient_norm")
        for name in names:
            if math.isfinite(sums[name]):
                continue
            size = self.training.batch_size
            rows = plan.video[batch * size : (batch + 1) * size]
            videos = ", ".join(self.record_set.videos[k].id for k in rows)
            raise UserError(
                f"the {name.replace('_', ' ')} of step {self.progress.step} is {sums[name]}; its "
                f"videos: {videos}. {NOT_FINITE_ADVICE}"
            )

    def _progress_bar(self, batches):
        """Of the current epoch; on the chief's terminal alone."""
        return tqdm(
            total=batches,
            initial=self.progress.batch,
            desc=f"stage {self.progress.stage + 1} epoch {self.progress.epoch + 1}",
            unit="batch",
            disable=not self.chief,
            mininterval=0.5,
            leave=False,
        )

    def _train_epoch(self, steps):
        progress, size = self.progress, self.training.batch_size
        plan = plans.plan_training(
            self.record_set,
            self.located.train,
            self.clip,
            self.training,
            progress.stage,
            progress.epoch,
        )
        batches = len(plan) // size
        if progress.batch and progress.planned != len(plan):
            print(
                f"the records have other videos than at the last checkpoint: stage "
                f"{progress.stage + 1} epoch {progress.epoch + 1} begins again",
                flush=True,
            )
            progress.batch, progress.loss_sum, progress.correct_sum = 0, 0.0, 0.0
        progress.planned = len(plan)
        rest = plan[np.arange(progress.batch * size, len(plan))]
        done_before = progress.batch
        waited, start = 0.0, time.monotonic()
        bar = self._progress_bar(batches)
        iterator = iter(self._dataset(rest, self.training.augmentation)) if len(rest) else None
        with bar:
            while progress.batch < batches:
                before = time.monotonic()
                batch = next(iterator)
                waited += time.monotonic() - before
                rate = learning_rate(
                    self.training,
                    progress.stage,
                    progress.epoch * batches + progress.batch,
                    batches,
                )
                self.optimizer.learning_rate = rate
                self.callbacks.on_train_batch_begin(progress.batch)
                sums = self.steps.train(batch, tf.constant(float(self.stopping)))
                found = {name: float(value) for name, value in sums.items()}
                self._check_finite(found, plan, progress.batch)
                logs = {
                    "loss": found["loss"],
                    "accuracy": found["correct"] / size,
                    "learning_rate": rate,
                    "gradient_norm": found["gradient_norm"],
                    "step": progress.step,
                    "stage": progress.stage + 1,
                    "epoch": progress.epoch + 1,
                }
                steps.writerow(logs)
                progress.loss_sum += found["loss"]
                progress.correct_sum += found["correct"]
                self.callbacks.on_train_batch_end(progress.batch, logs)
                progress.batch += 1
                progress.step += 1
                elapsed = time.monotonic() - start
                clips = (progress.batch - done_before) * size
                bar.set_postfix_str(
                    f"loss {progress.loss_sum / progress.batch:.3f}, "
                    f"accuracy {progress.correct_sum / progress.batch / size:.3f}, "
                    f"{clips / elapsed:.1f} clips/s, {waited / elapsed:.0%} waiting for input",
                    refresh=False,
                )
                bar.update()
                if self._must_stop(found):
                    self._save_and_stop()
                if time.monotonic() - self.saved_at >= self.training.checkpoint_minutes * 60:
                    self.save_checkpoint()
        elapsed = max(time.monotonic() - start, 1e-9)
        return {
            "stage": progress.stage + 1,
            "epoch": progress.epoch + 1,
            "learning_rate": learning_rate(
                self.training, progress.stage, (progress.epoch + 1) * batches - 1, batches
            ),
            "loss": progress.loss_sum / batches,
            "accuracy": progress.correct_sum / batches / size,
            "clips_per_second": (batches - done_before) * size / elapsed,
            "input_wait": waited / elapsed,
        }

    def _must_stop(self, sums):
        """Whether SIGTERM came to any worker: all of them learn of it in the same step."""
        return bool(sums["stopping"] or (self.replicas == 1 and self.stopping))

    def _save_and_stop(self):
        self.save_checkpoint()
        strategies.wait_for_all(self.strategy)  # the chief may still be writing
        raise Preempted(f"saved at step {self.progress.step}; the same command goes on")

    def _validate(self):
        """Figures and confusion matrix of the validation part, or None where SIGTERM came."""
        plan = plans.plan_evaluation(
            self.record_set, self.located.val, self.clip, self.training.batch_size
        )
        sums = {"loss": 0.0, "correct": 0.0, "count": 0.0, "confusion": 0.0}
        for batch in self._dataset(plan):
            found = self.steps.test(batch, tf.constant(float(self.stopping)))
            if self._must_stop(found):
                return None
            for name in sums:
                sums[name] += found[name].numpy()
        figures = {
            "val_loss": float(sums["loss"] / sums["count"]),
            "val_accuracy": float(sums["correct"] / sums["count"]),
        }
        if not math.isfinite(figures["val_loss"]):
            raise UserError(
                f"the validation loss behind step {self.progress.step - 1} is "
                f"{figures['val_loss']}. {NOT_FINITE_ADVICE}"
            )
        return figures, np.rint(sums["confusion"]).astype(int)

    def _keep_if_best(self, logs):
        """Saves best.keras where validation accuracy (at equality, loss) is the best so far."""
        best, progress = self.progress.best, self.progress
        rank = (logs["val_accuracy"], -logs["val_loss"])
        if best is not None and rank <= (best["val_accuracy"], -best["val_loss"]):
            progress.waited += 1
            return
        progress.waited = 0
        progress.best = {
            "val_accuracy": logs["val_accuracy"],
            "val_loss": logs["val_loss"],
            "stage": progress.stage + 1,
            "epoch": progress.epoch + 1,
        }
        if self.chief:
            # Keras takes the format from the ending, which the temporary name keeps.
            files.write_with(self.workdir / run.BEST_FILE, self.model.save)

    def _end_epoch(self, logs):
        self.callbacks.on_test_begin()
        with self.steps.averaged_weights():
            validated = self._validate()
            if validated:
                figures, confusion = validated
                logs.update(figures)
                self._keep_if_best(logs)
                self.callbacks.on_test_end({**logs, "confusion": confusion})
        if not validated:  # saved with the weights of training, and validated again afterwards
            self._save_and_stop()
        progress = self.progress
        self.callbacks.on_epoch_end(len(progress.history), logs)
        progress.history.append(logs)
        self._write_history()
        if self.chief:
            print(
                f"stage {logs['stage']} epoch {logs['epoch']:3d}: loss {logs['loss']:.4f} "
                f"accuracy {logs['accuracy']:.3f} | validation loss {logs['val_loss']:.4f} "
                f"accuracy {logs['val_accuracy']:.3f} | {logs['clips_per_second']:.1f} clips/s, "
                f"{logs['input_wait']:.0%} waiting",
                flush=True,
            )
        progress.epoch += 1
        progress.batch, progress.loss_sum, progress.correct_sum = 0, 0.0, 0.0
        stage_over = (
            progress.epoch >= self.training.max_epochs[progress.stage]
            or progress.waited >= self.training.patience
        )
        if stage_over:
            self._next_stage()
        self.save_checkpoint()

    def _next_stage(self):
        progress = self.progress
        progress.stage, progress.epoch, progress.waited = progress.stage + 1, 0, 0
        if progress.stage == len(self.training.learning_rates):
            progress.finished = True
            return
        strategies.wait_for_all(self.strategy)  # the chief may still be writing
        path = self.workdir / run.BEST_FILE
        try:
            checkpoints.check_members(path)
            self.model.load_weights(path)
        except checkpoints.DAMAGED as error:
            raise UserError(
                f"{path}, from which stage {progress.stage + 1} starts, is missing or damaged "
                f"({error}): restore it from a copy, or train the run again in another folder"
            ) from error
        self._start_stage()
        self.callbacks.set_model(self.model)

    def train(self):
        """Runs every stage to its end.

        Returns:
            Progress, with `best` and `history`.

        Raises:
            Preempted: SIGTERM came; the run is saved.
            UserError: the loss is no longer finite, or another worker was lost.
        """
        writing = run.writing(self.workdir, self.config, self.videos)
        previous = signal.signal(signal.SIGTERM, self._stop_soon)
        try:
            with self._naming_lost_workers(), writing if self.chief else contextlib.nullcontext():
                self._check_shared_folder()
                return self._train()
        finally:
            signal.signal(signal.SIGTERM, previous)

    @contextlib.contextmanager
    def _naming_lost_workers(self):
        """Turns what TensorFlow makes of a worker that is gone into one line."""
        try:
            yield
        except LOST_WORKER as error:
            if strategies.num_workers(self.strategy) == 1:
                raise
            raise UserError(
                f"a worker was lost at step {self.progress.step}: look for the reason in what it "
                "said, start all workers again with the same command, and the run goes on from its "
                f"last checkpoint ({str(error).splitlines()[0]})"
            ) from error

    def _check_shared_folder(self):
        """Ends the run, on every worker, where one does not see the chief's files and records."""
        strategies.wait_for_all(self.strategy)  # the chief has written them
        missing = not self.chief and not run.holds(self.workdir, self.videos)
        if strategies.total(self.strategy, float(missing)):
            raise UserError(
                f"the workers do not share {self.workdir}: every worker needs the chief's folder "
                "under this name (shared storage), and the same records"
            )
        newest = [path.name for path in checkpoints.existing(self.workdir / run.CHECKPOINTS_FOLDER)]
        self._must_agree(newest, f"do not share {self.workdir}: their checkpoints differ")
        # Those of the run alone do not tell: records may have changed since it started.
        videos = [(v.id, v.label, v.num_frames, v.source_sha256) for v in self.record_set.videos]
        self._must_agree(videos, f"do not have the same records as {self.record_set.folder}")

    def _must_agree(self, value, otherwise):
        if not strategies.all_agree(self.strategy, repr(value)):
            raise UserError(f"the workers {otherwise}")

    def _train(self):
        self._start_stage()
        self._restore()
        self._must_agree(self.progress.step, "read different checkpoints: one of them is damaged")
        if self.progress.finished:
            return self.progress
        self.callbacks = keras.callbacks.CallbackList(
            self.user_callbacks, model=self.model, validated=self.located.val
        )
        file, steps = self._open_steps()
        self.saved_at = time.monotonic()
        with file, reader.naming_damaged_records():
            self.callbacks.on_train_begin()
            while not self.progress.finished:
                self.callbacks.on_epoch_begin(len(self.progress.history))
                self._end_epoch(self._train_epoch(steps))
            self.callbacks.on_train_end()
            strategies.wait_for_all(self.strategy)  # one that leaves early looks lost to others
        return self.progress

    def _stop_soon(self, *_):
        self.stopping = True
