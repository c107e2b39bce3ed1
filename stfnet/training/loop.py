"""The training loop: one for every tf.distribute strategy, and repeatable from any checkpoint."""

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from preprocessing.records.reader import RecordReader
from stfnet import run
from stfnet.clips import input_pipeline, plans
from stfnet.config import TrainingConfig
from stfnet.frame_features.stream_maps import Features, map_dataset
from stfnet.run import checkpoints
from stfnet.run.config import RunConfig
from stfnet.training import linear_start, logs, stages, strategies, variables
from stfnet.training.preemption import Preempted, StopSignals
from stfnet.training.schedule import Progress, learning_rate
from stfnet.training.steps import DistributedSteps


class NotFinite(UserError):
    """The loss, the gradients or the weights of a run are no longer finite numbers."""

    def __init__(self, found: str):
        super().__init__(
            f"{found}. A lower learning rate, training.clip_norm or precision=float32 may help; "
            "the last checkpoint is untouched"
        )


def train(
    config: RunConfig,
    record_set: RecordSet,
    workdir: Path,
    strategy: tf.distribute.Strategy | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    cache_in_memory: bool = False,
    features_folder: Path | None = None,
) -> Progress:
    """Trains one run in its folder, from the start or from its last checkpoint, to its end.

    Args:
        config: of the run.
        record_set: of the records, already checked against the configuration.
        workdir: folder of the run.
        strategy: tf.distribute strategy; None for one device.
        callbacks: more Keras callbacks, called on the chief alone. A step's logs have the fields of
            steps.csv and come when the next step may be under way already. An epoch's logs have the
            fields of history.csv, and those of `on_test_end` the `confusion` matrix too; the
            positions of the validation videos are `params["validated"]`.
        cache_in_memory: whether the records of training and validation are read into memory once.
        features_folder: where the maps of frozen blocks are kept. The stages until whose end blocks
            keep their initial weights then read them, and compute the blocks after these alone.

    Returns:
        Progress, with `best` and `history`.

    Raises:
        Preempted: SIGTERM or Ctrl-C came; the run is saved.
        NotFinite: the loss, the gradients or the weights.
        UserError: the folder or the records are not those of the run, or another worker was lost.
    """
    strategy = strategy or tf.distribute.get_strategy()
    training = _Training(
        config, record_set, Path(workdir), strategy, cache_in_memory, features_folder
    )
    return training.run(callbacks)


class _Training:
    """A run while it is trained: what its steps, epochs and stages share.

    The arguments are those of `train`.
    """

    steps: DistributedSteps  # of the stage
    listeners: keras.callbacks.CallbackList

    def __init__(
        self,
        config: RunConfig,
        record_set: RecordSet,
        workdir: Path,
        strategy: tf.distribute.Strategy,
        cache_in_memory: bool,
        features_folder: Path | None,
    ):
        self.config, self.training, self.size = config, config.training, config.training.batch_size
        self.record_set, self.workdir, self.strategy = record_set, workdir, strategy
        self.features_folder = features_folder
        self.maps: Features | None = None  # that the stage reads in place of images
        strategies.check_run(strategy, config)
        self.chief = strategies.is_chief(strategy)
        self.videos = run.open_videos(workdir, config, record_set)
        self.located = run.locate(self.videos, record_set)
        run.check_learned_videos(workdir, self.videos, self.located, record_set)
        self.learned = self.located.learned(self.training.train_on_validation)
        both = self.located.learned(train_on_validation=True)
        self.reader = RecordReader(record_set, both if cache_in_memory else ())
        self.progress = Progress()
        with strategies.naming_lost_workers(strategy, self.progress), strategy.scope():
            self.model = stages.make_model(config)  # the workers send each other its variables
        if self.chief:
            devices, weights = strategy.num_replicas_in_sync, self.model.count_params()
            logs.print_header(config, record_set, self.videos, self.located, weights, devices)
        self.stack, self.signals = contextlib.ExitStack(), StopSignals()
        self.saved_at = time.monotonic()

    def run(self, callbacks: Sequence[keras.callbacks.Callback]) -> Progress:
        """Trains to the end; see `train`."""
        with self.stack as stack:
            stack.enter_context(self.signals)
            stack.enter_context(strategies.naming_lost_workers(self.strategy, self.progress))
            if self.chief:
                stack.enter_context(run.writing(self.workdir, self.config, self.videos))
            stack.enter_context(input_pipeline.naming_damage(self.reader))
            strategies.check_shared_folder(
                self.strategy, self.workdir, self.videos, self.record_set
            )
            self._begin_or_resume()
            if self.progress.finished:
                return self.progress
            if self.chief:
                own = logs.callbacks_of_run(self.workdir, self.progress, self.size)
                callbacks = [*stack.enter_context(own), *callbacks]
            self.listeners = keras.callbacks.CallbackList(
                list(callbacks) if self.chief else [], model=self.model, validated=self.located.val
            )
            self.listeners.on_train_begin()
            while not self.progress.finished:
                row = self._train_epoch()
                if not self._validate(row):  # saved as trained, and validated again later
                    self._save_and_stop()
                self._end_epoch(row)
            self.listeners.on_train_end()
            strategies.wait_for_all(self.strategy)  # one that leaves early looks lost to the others
        return self.progress

    def _begin_or_resume(self) -> None:
        """Goes on from the last checkpoint; without one, begins, with the linear path if asked."""
        checkpoint = checkpoints.load_latest(self.workdir / run.CHECKPOINTS_FOLDER)
        if checkpoint:
            self.progress.resume(checkpoint[1], self.training)
        step = self.progress.step
        strategies.must_agree(
            self.strategy, step, "read different checkpoints: one of them is damaged"
        )
        if self.progress.finished:
            note = self.progress.ended_early(self.training)
            if note and self.chief:
                print(note, flush=True)
            return
        self._start_stage()
        if checkpoint:
            variables.assign(checkpoint[0], self.model, self.steps.optimizer)
            logging.info("resuming from step %d", step)
        elif self.training.linear_start:
            self._open_maps()
            # On each worker, so that all fit the same.
            clips = self._read(self._evaluation_plan(self.learned), self.size)
            block = self.steps.block
            linear_start.start(self.model, block, clips, self.record_set, self._stopping)
        self.saved_at = time.monotonic()

    def _train_epoch(self) -> dict[str, Any]:
        """Trains what is left of an epoch; returns its row of history.csv, without validation."""
        progress, training, size = self.progress, self.training, self.size
        stage, epoch = progress.stage, progress.epoch
        if self.steps.block != (self.maps.block if self.maps else 0):
            self._open_maps()
        plan = plans.plan_training(
            self.record_set, self.learned, self.config.model.clip, training, stage, epoch
        )
        batches = len(plan) // size
        if progress.begin_epoch(len(plan)):
            print(
                "the records have other videos than at the last checkpoint: stage "
                f"{stage + 1} epoch {epoch + 1} begins again",
                flush=True,
            )
        first = progress.batch
        self.listeners.on_epoch_begin(len(progress.history))

        # A step a batch. The figures of a step are read when the next one has been launched, so
        # that a device never waits for them; before a checkpoint, none is under way.
        watch = logs.Stopwatch()
        stop, launched = False, None
        for batch in watch.waiting(self._clips(plan[first * size :])):
            number = progress.batch + (launched is not None)
            rate = learning_rate(training, stage, epoch * batches + number, batches)
            self.steps.optimizer.learning_rate = rate
            self.listeners.on_train_batch_begin(number)
            sums = self.steps.train(batch, tf.constant(float(self.signals.received)))
            if launched:
                stop = self._finish_step(*launched)
            launched = sums, rate, plan, first, watch
            if stop or (self.signals.received and self.strategy.num_replicas_in_sync == 1):
                self._finish_step(*launched)
                self._save_and_stop()
            if time.monotonic() - self.saved_at >= training.checkpoint_minutes * 60:
                # Several workers stop after the next step: all of them, if one is to.
                stop, launched = self._finish_step(*launched), None
                self._save()
        if launched:
            stop = self._finish_step(*launched)
        if stop:
            self._save_and_stop()
        return {
            "stage": stage + 1,
            "epoch": epoch + 1,
            "learning_rate": learning_rate(training, stage, (epoch + 1) * batches - 1, batches),
            "loss": progress.loss_sum / batches,
            "accuracy": progress.correct_sum / batches / size,
            **watch.figures((batches - first) * size),
        }

    def _finish_step(
        self,
        sums: Mapping[str, tf.Tensor],
        rate: float,
        plan: plans.ClipPlan,
        first: int,
        watch: logs.Stopwatch,
    ) -> bool:
        """Waits for a step's figures, counts and logs it; whether the run must stop."""
        progress, size = self.progress, self.size
        figures = {name: float(value) for name, value in sums.items()}
        rows = plan.video[progress.batch * size : (progress.batch + 1) * size]
        _check_finite(figures, self.training, progress.step, self.record_set, rows)
        row = {
            "step": progress.step,
            "stage": progress.stage + 1,
            "epoch": progress.epoch + 1,
            "loss": figures["loss"],
            "accuracy": figures["correct"] / size,
            "learning_rate": rate,
            "gradient_norm": figures["gradient_norm"],
        }
        progress.add_step(figures["loss"], figures["correct"])
        speed = watch.figures((progress.batch - first) * size)
        self.listeners.on_train_batch_end(progress.batch - 1, row | speed)
        return self.signals.stops(figures, self.strategy)

    def _validate(self, row: dict[str, Any]) -> bool:
        """Validates, adds the figures to the epoch's row, and keeps the network where it is best.

        Returns:
            False where a signal came.
        """
        self.listeners.on_test_begin()
        with self.steps.averaged_weights():
            plan = self._evaluation_plan(self.located.val, self.training.validation_clips)
            validation = _validate(self.steps, self._clips(plan), self.signals, self.progress.step)
            if not validation:
                return False
            figures, confusion = validation
            row |= figures
            kept = self.training.keep
            best = self.progress.is_best(row["val_accuracy"], row["val_loss"], kept)
            if best and self.chief:
                # Keras takes the format from the ending: the temporary name keeps it.
                files.write_with(self.workdir / run.BEST_FILE, self.model.save)
            self.listeners.on_test_end({**row, "confusion": confusion})
        return True

    def _end_epoch(self, row: dict[str, Any]) -> None:
        """Goes on to the next epoch, or to the next stage from the best weights so far; saves."""
        stage_is_over = self.progress.end_epoch(row, self.training)
        self.listeners.on_epoch_end(len(self.progress.history) - 1, row)
        if stage_is_over and not self.progress.finished:
            strategies.wait_for_all(self.strategy)  # the chief may still be writing
            stages.load_best(self.workdir, self.model, self.progress.stage)
            self._start_stage(self.steps)
        self._save()

    def _start_stage(self, previous: DistributedSteps | None = None) -> None:
        on_maps = self.features_folder is not None
        self.steps = stages.start(
            self.progress.stage, self.training, self.model, self.strategy, previous, on_maps
        )

    def _read(self, plan: plans.ClipPlan, batch_size: int) -> tf.data.Dataset:
        """The clips of a plan, or their maps in a stage that reads maps."""
        if self.maps:
            return map_dataset(self.maps, self.record_set, plan, self.config, batch_size)
        clip = self.config.model.clip
        return input_pipeline.clip_dataset(self.record_set, plan, clip, batch_size, self.reader)

    def _clips(self, plan: plans.ClipPlan) -> Iterable:
        """This worker's clips of a plan."""
        return strategies.batches(self.strategy, plan, self.size, self._read)

    def _evaluation_plan(self, positions: np.ndarray, clips_per_video: int = 1) -> plans.ClipPlan:
        clip, grid = self.config.model.clip, self.training.frame_grid
        return plans.plan_evaluation(
            self.record_set, positions, clip, self.size, clips_per_video, grid
        )

    def _open_maps(self) -> None:
        """Computes the maps that this stage reads, where it reads any."""
        self.maps = None
        if not self.features_folder or not self.steps.block:
            return
        # Of the streams as they are now: the starting weights' file may have changed since.
        opened = Features(
            self.features_folder, self.model, self.record_set, self.config, self.steps.block
        )
        positions = [*self.located.train, *self.located.val]
        if not opened.compute(positions, self._stopping):
            raise Preempted("stopped among the maps; the same command resumes the run")
        self.stack.enter_context(input_pipeline.naming_damage(opened))
        self.maps = opened

    def _stopping(self) -> bool:
        return self.signals.received

    def _save(self) -> None:
        """Writes a checkpoint."""
        if self.chief:
            _save(self.workdir, self.model, self.steps.optimizer, self.progress)
        self.saved_at = time.monotonic()

    def _save_and_stop(self) -> None:
        self._save()
        strategies.wait_for_all(self.strategy)  # the chief may still be writing
        step = self.progress.step
        raise Preempted(f"saved at step {step}; the same command resumes the run")


def _check_finite(
    sums: Mapping[str, float],
    training: TrainingConfig,
    step: int,
    record_set: RecordSet,
    positions: np.ndarray,
) -> None:
    """Ends the run where a step was not finite, before anything of it reaches a checkpoint."""
    names = ["loss"]
    if training.precision != "mixed_float16":  # whose optimiser skips such a step
        names.append("gradient_norm")
    for name in names:
        if not math.isfinite(sums[name]):
            ids = ", ".join(record_set.videos[k].id for k in positions)
            what = name.replace("_", " ")
            raise NotFinite(f"the {what} of step {step} is {sums[name]}; its videos: {ids}")


def _validate(
    steps: DistributedSteps, batches: Iterable, signals: StopSignals, step: int
) -> tuple[dict[str, float], np.ndarray] | None:
    """Figures and confusion matrix of the validation part, or None where a signal came."""
    sums = {"loss": 0.0, "correct": 0.0, "count": 0.0, "confusion": 0.0}
    for batch in batches:
        results = steps.test(batch, tf.constant(float(signals.received)))
        if signals.stops(results, steps.strategy):
            return None
        for name in sums:
            sums[name] += results[name].numpy()
    figures = {
        "val_loss": float(sums["loss"] / sums["count"]),
        "val_accuracy": float(sums["correct"] / sums["count"]),
    }
    if not math.isfinite(figures["val_loss"]):
        raise NotFinite(f"the validation loss after step {step - 1} is {figures['val_loss']}")
    return figures, np.rint(sums["confusion"]).astype(int)


def _save(
    workdir: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer, progress: Progress
) -> None:
    arrays = variables.to_arrays(model, optimizer)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise NotFinite(f"the weights after step {progress.step - 1} are not finite")
    folder = workdir / run.CHECKPOINTS_FOLDER
    checkpoints.save(folder, progress.step, arrays, dataclasses.asdict(progress))
