"""The training loop: one for every tf.distribute strategy, and repeatable from any checkpoint."""

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import keras
import numpy as np
import tensorflow as tf

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from preprocessing.records.reader import RecordReader
from stfnet import run
from stfnet.clips import input_pipeline, plans
from stfnet.frame_features.stream_maps import Features
from stfnet.run import checkpoints
from stfnet.run.config import RunConfig
from stfnet.training import linear_start, logs, stages, strategies
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

    The records are already checked against the configuration; without a strategy one device trains.

    More Keras callbacks are called on the chief alone. A step's logs have the fields of steps.csv
    and come when the next step may be under way already. An epoch's logs have the fields of
    history.csv, and those of `on_test_end` the `confusion` matrix too; the positions of the
    validation videos are `params["validated"]`.

    With a folder for them the maps of frozen blocks are kept: the stages until whose end blocks
    keep their initial weights read them, and compute the blocks after these alone.
    `cache_in_memory` reads the records of training and validation into memory once.

    Raises:
        Preempted: SIGTERM or Ctrl-C came; the run is saved.
        NotFinite: the loss, the gradients or the weights.
        UserError: the folder or the records are not those of the run, or another worker was lost.
    """
    training, clip, size = config.training, config.model.clip, config.training.batch_size
    workdir, strategy = Path(workdir), strategy or tf.distribute.get_strategy()
    strategies.check_run(strategy, config)
    devices, chief = strategy.num_replicas_in_sync, strategies.is_chief(strategy)
    videos = run.open_videos(workdir, config, record_set)
    located = run.locate(videos, record_set)
    run.check_learned_videos(workdir, videos, located, record_set)
    learned = located.learned(training.train_on_validation)
    both = located.learned(train_on_validation=True)
    reader = RecordReader(record_set, both if cache_in_memory else ())
    progress, signals = Progress(), StopSignals()
    with strategies.naming_lost_workers(strategy, progress), strategy.scope():
        model = stages.make_model(config)  # the workers send each other its variables
    if chief:
        logs.print_header(config, record_set, videos, located, model.count_params(), devices)

    with (
        signals,
        strategies.naming_lost_workers(strategy, progress),
        run.writing(workdir, config, videos) if chief else contextlib.nullcontext(),
        input_pipeline.naming_damage(reader),
        contextlib.ExitStack() as stack,
    ):
        # The last checkpoint, or the first step.
        strategies.check_shared_folder(strategy, workdir, videos, record_set)
        checkpoint = checkpoints.load_latest(workdir / run.CHECKPOINTS_FOLDER)
        if checkpoint:
            progress.resume(checkpoint[1], training)
        otherwise = "read different checkpoints: one of them is damaged"
        strategies.must_agree(strategy, progress.step, otherwise)
        if progress.finished:
            if chief and (note := progress.ended_early(training)):
                print(note, flush=True)
            return progress
        on_maps = features_folder is not None
        steps = stages.start(progress.stage, training, model, strategy, on_maps=on_maps)
        maps: Features | None = None  # that the stage reads in place of images

        def open_maps() -> Features | None:
            if not features_folder or not steps.block:
                return None
            # Of the streams as they are now: the starting weights' file may have changed since.
            opened = Features(features_folder, model, record_set, config, steps.block)
            if not opened.compute(both, lambda: signals.received, learned):
                raise Preempted("stopped among the maps; the same command resumes the run")
            stack.enter_context(input_pipeline.naming_damage(opened))
            return opened

        def read(plan: plans.ClipPlan, batch_size: int) -> tf.data.Dataset:
            if maps:
                return maps.dataset(plan, batch_size)
            return input_pipeline.clip_dataset(record_set, plan, clip, batch_size, reader)

        if checkpoint:
            checkpoints.assign(checkpoint[0], model, steps.optimizer)
            logging.info("resuming from step %d", progress.step)
        elif training.linear_start:
            maps = open_maps()
            plan = plans.plan_evaluation(record_set, learned, clip, size, 1, training.frame_grid)
            clips = read(plan, size)  # on each worker, so that all fit the same
            linear_start.start(model, steps.block, clips, record_set, lambda: signals.received)
        del checkpoint  # as large as the network and its optimiser
        saved_at = time.monotonic()

        shown: list[keras.callbacks.Callback] = []
        if chief:
            own = logs.RunLog(workdir, progress, size)
            shown = [stack.enter_context(contextlib.closing(own)), *callbacks]
        listeners = keras.callbacks.CallbackList(shown, model=model, validated=located.val)

        def finish_step(sums: Mapping[str, tf.Tensor], rate: float) -> bool:
            """Waits for a step's figures, counts and logs it; whether the run must stop."""
            figures = {name: float(value) for name, value in sums.items()}
            # In float16 the optimiser skips a step whose gradient is not finite.
            half = training.precision == "mixed_float16"
            for name in ["loss"] if half else ["loss", "gradient_norm"]:
                if not math.isfinite(figures[name]):
                    rows = plan.video[progress.batch * size : (progress.batch + 1) * size]
                    raise NotFinite(
                        f"the {name.replace('_', ' ')} of step {progress.step} is {figures[name]}; "
                        f"its videos: {', '.join(record_set.videos[k].id for k in rows)}"
                    )
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
            listeners.on_train_batch_end(progress.batch - 1, row | speed)
            return signals.stops(figures["stopping"], strategy)

        def save() -> None:
            nonlocal saved_at
            if chief:
                arrays = checkpoints.to_arrays(model, steps.optimizer)
                if not all(np.isfinite(array).all() for array in arrays.values()):
                    raise NotFinite(f"the weights after step {progress.step - 1} are not finite")
                folder, state = workdir / run.CHECKPOINTS_FOLDER, dataclasses.asdict(progress)
                checkpoints.save(folder, progress.step, arrays, state)
            saved_at = time.monotonic()

        def save_and_stop() -> NoReturn:
            save()
            strategies.wait_for_all(strategy)  # the chief may still be writing
            raise Preempted(f"saved at step {progress.step}; the same command resumes the run")

        listeners.on_train_begin()
        while not progress.finished:
            # The steps of an epoch, or those that are left of it.
            stage, epoch = progress.stage, progress.epoch
            if steps.block != (maps.block if maps else 0):
                maps = open_maps()
            plan = plans.plan_training(record_set, learned, clip, training, stage, epoch)
            batches = len(plan) // size
            if progress.begin_epoch(len(plan)):
                print(
                    "the records have other videos than at the last checkpoint: stage "
                    f"{stage + 1} epoch {epoch + 1} begins again",
                    flush=True,
                )
            listeners.on_epoch_begin(len(progress.history))
            # The figures of a step are read when the next one has been launched, so that a device
            # never waits for them; before a checkpoint, none is under way.
            first, watch = progress.batch, logs.Stopwatch()
            stop, launched = False, None
            clips = strategies.batches(strategy, plan[first * size :], size, read)
            for number, batch in enumerate(watch.waiting(clips), first):
                rate = learning_rate(training, stage, epoch * batches + number, batches)
                steps.optimizer.learning_rate = rate
                listeners.on_train_batch_begin(number)
                sums = steps.train(batch, tf.constant(float(signals.received)))
                if launched:
                    stop = finish_step(*launched)
                launched = sums, rate
                stop = signals.stops(stop, strategy)
                if stop:
                    break
                if time.monotonic() - saved_at >= training.checkpoint_minutes * 60:
                    # Several workers stop after the next step: all of them, if one is to.
                    stop, launched = finish_step(*launched), None
                    save()
            if launched:
                stop |= finish_step(*launched)
            if stop:
                save_and_stop()
            row = {
                "stage": stage + 1,
                "epoch": epoch + 1,
                "learning_rate": learning_rate(training, stage, (epoch + 1) * batches - 1, batches),
                "loss": progress.loss_sum / batches,
                "accuracy": progress.correct_sum / batches / size,
                **watch.figures((batches - first) * size),
            }

            # Its validation, and the network where it is the best.
            listeners.on_test_begin()
            plan = plans.plan_evaluation(
                record_set, located.val, clip, size, training.validation_clips, training.frame_grid
            )
            with steps.averaged_weights():
                clips = strategies.batches(strategy, plan, size, read)
                validation = _validate(steps, clips, signals, progress.step)
                if validation:
                    row |= validation[0]
                    best = progress.is_best(row["val_accuracy"], row["val_loss"], training.keep)
                    if best and chief:
                        # Keras takes the format from the ending: the temporary name keeps it.
                        files.write_with(workdir / run.BEST_FILE, model.save)
                    listeners.on_test_end({**row, "confusion": validation[1]})
            if not validation:
                save_and_stop()  # as trained, and validated again later

            # The next epoch, or the next stage from the best weights so far.
            stage_is_over = progress.end_epoch(row, training)
            listeners.on_epoch_end(len(progress.history) - 1, row)
            if stage_is_over and not progress.finished:
                strategies.wait_for_all(strategy)  # the chief may still be writing
                stages.load_best(workdir, model, progress.stage)
                steps = stages.start(progress.stage, training, model, strategy, steps, on_maps)
            save()
        listeners.on_train_end()
        strategies.wait_for_all(strategy)  # one that leaves early looks lost to the others
    return progress


def _validate(
    steps: DistributedSteps, batches: Iterable, signals: StopSignals, step: int
) -> tuple[dict[str, float], np.ndarray] | None:
    """Figures and confusion matrix of the validation part, or None where a signal came."""
    sums = {"loss": 0.0, "correct": 0.0, "count": 0.0, "confusion": 0.0}
    for batch in batches:
        results = steps.test(batch, tf.constant(float(signals.received)))
        if signals.stops(results["stopping"], steps.strategy):
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
