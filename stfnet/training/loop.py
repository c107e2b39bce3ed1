"""The training loop: one for every tf.distribute strategy, and repeatable from any checkpoint."""

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from preprocessing.records.reader import RecordReader
from stfnet import run
from stfnet.clips import input_pipeline, plans
from stfnet.config import RunConfig, TrainingConfig
from stfnet.frame_features.stream_maps import Features, map_dataset
from stfnet.layers.vgg_stream import VGGStream
from stfnet.model import build_stfnet
from stfnet.run import checkpoints
from stfnet.training import linear_start, logs, strategies, variables
from stfnet.training.preemption import Preempted, Sigterm
from stfnet.training.schedule import Progress, learning_rate, make_optimizer
from stfnet.training.steps import DistributedSteps
from stfnet.weights import load_run_weights, load_vgg16_weights

NOT_FINITE_ADVICE = (
    "A lower learning rate, training.clip_norm or precision=float32 may help; the last checkpoint "
    "is untouched"
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
        Preempted: SIGTERM came; the run is saved.
        UserError: the folder or the records are not those of the run, the loss is no longer finite,
            or another worker was lost.
    """
    workdir, training, clip = Path(workdir), config.training, config.model.clip
    size = training.batch_size
    strategy = strategy or tf.distribute.get_strategy()
    strategies.check_run(strategy, config)
    chief = strategies.is_chief(strategy)
    videos = run.open_videos(workdir, config, record_set)
    located = run.locate(videos, record_set)
    run.check_learned_videos(workdir, videos, located, record_set)
    both = np.concatenate([located.train, located.val])
    learned = np.sort(both) if training.train_on_validation else located.train
    cached = both if cache_in_memory else ()
    reader = RecordReader(record_set, cached)
    progress = Progress()
    with strategies.naming_lost_workers(strategy, progress), strategy.scope():
        model = make_model(config)  # the workers send each other its variables
    if chief:
        devices = strategy.num_replicas_in_sync
        logs.print_header(config, record_set, videos, located, model.count_params(), devices)

    maps: Features | None = None

    def read(plan: plans.ClipPlan, batch_size: int) -> tf.data.Dataset:
        """The clips of a plan, or their maps in a stage that reads maps."""
        if maps:
            return map_dataset(maps, record_set, plan, config, batch_size)
        return input_pipeline.clip_dataset(record_set, plan, clip, batch_size, reader)

    def clips(plan: plans.ClipPlan) -> Iterable:
        """This worker's clips of a plan."""
        return strategies.batches(strategy, plan, size, read)

    def evaluation_plan(positions: np.ndarray, clips_per_video: int = 1) -> plans.ClipPlan:
        grid = training.frame_grid
        return plans.plan_evaluation(record_set, positions, clip, size, clips_per_video, grid)

    def open_maps() -> Features | None:
        """The maps that this stage reads, all of them computed; None where it reads images."""
        if not features_folder or not steps.block:
            return None
        # Of the streams as they are now: the starting weights' file may have changed since.
        opened = Features(features_folder, model, record_set, config, steps.block)
        if not opened.compute([*located.train, *located.val], lambda: sigterm.received):
            raise Preempted("stopped among the maps; the same command resumes the run")
        stack.enter_context(input_pipeline.naming_damage(opened))
        return opened

    def save() -> float:
        """Writes a checkpoint and returns the time."""
        if chief:
            _save(workdir, model, steps.optimizer, progress)
        return time.monotonic()

    def save_and_stop() -> None:
        save()
        strategies.wait_for_all(strategy)  # the chief may still be writing
        raise Preempted(f"saved at step {progress.step}; the same command resumes the run")

    def finish_step(
        sums: Mapping[str, tf.Tensor],
        rate: float,
        plan: plans.ClipPlan,
        first: int,
        watch: logs.Stopwatch,
    ) -> bool:
        """Waits for a step's figures, counts and logs it; whether the run must stop."""
        figures = {name: float(value) for name, value in sums.items()}
        rows = plan.video[progress.batch * size : (progress.batch + 1) * size]
        _check_finite(figures, training, progress.step, record_set, rows)
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
        return sigterm.stops(figures, strategy)

    with contextlib.ExitStack() as stack:
        sigterm = stack.enter_context(Sigterm())
        stack.enter_context(strategies.naming_lost_workers(strategy, progress))
        if chief:
            stack.enter_context(run.writing(workdir, config, videos))

        stack.enter_context(input_pipeline.naming_damage(reader))
        # Where the run is.
        strategies.check_shared_folder(strategy, workdir, videos, record_set)
        checkpoint = checkpoints.load_latest(workdir / run.CHECKPOINTS_FOLDER)
        if checkpoint:
            progress.resume(checkpoint[1])
        strategies.must_agree(
            strategy, progress.step, "read different checkpoints: one of them is damaged"
        )
        if progress.finished:
            return progress
        on_maps = features_folder is not None
        steps = start_stage(progress.stage, training, model, strategy, on_maps=on_maps)
        if checkpoint:
            variables.assign(checkpoint[0], model, steps.optimizer)
            logging.info("resuming from step %d", progress.step)
        elif training.linear_start:
            maps = open_maps()
            whole = read(evaluation_plan(learned), size)  # on each worker, so that all fit the same
            linear_start.start(model, steps.block, whole, record_set, lambda: sigterm.received)
        del checkpoint  # as large as the network and its optimiser
        saved_at = time.monotonic()

        if chief:
            own = stack.enter_context(logs.callbacks_of_run(workdir, progress, size))
            callbacks = [*own, *callbacks]
        listeners = keras.callbacks.CallbackList(
            list(callbacks) if chief else [], model=model, validated=located.val
        )
        listeners.on_train_begin()
        while not progress.finished:
            # The clips of the epoch that are left.
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
            first = progress.batch
            listeners.on_epoch_begin(len(progress.history))

            # A step a batch. The figures of a step are read when the next one has been launched, so
            # that a device never waits for them; before a checkpoint, none is under way.
            watch = logs.Stopwatch()
            stop, launched = False, None
            for batch in watch.waiting(clips(plan[first * size :])):
                number = progress.batch + (launched is not None)
                rate = learning_rate(training, stage, epoch * batches + number, batches)
                steps.optimizer.learning_rate = rate
                listeners.on_train_batch_begin(number)
                sums = steps.train(batch, tf.constant(float(sigterm.received)))
                if launched:
                    stop = finish_step(*launched)
                launched = sums, rate, plan, first, watch
                if stop or (sigterm.received and strategy.num_replicas_in_sync == 1):
                    finish_step(*launched)
                    save_and_stop()
                if time.monotonic() - saved_at >= training.checkpoint_minutes * 60:
                    # Several workers stop after the next step: all of them, if one is to.
                    stop, launched = finish_step(*launched), None
                    saved_at = save()
            if launched:
                stop = finish_step(*launched)
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

            # Validation, which decides what is kept.
            listeners.on_test_begin()
            with steps.averaged_weights():
                test_plan = evaluation_plan(located.val, training.validation_clips)
                validation = _validate(steps, clips(test_plan), sigterm, progress.step)
                if validation:
                    figures, confusion = validation
                    row |= figures
                    better = progress.is_best(row["val_accuracy"], row["val_loss"], training.keep)
                    if better and chief:
                        # Keras takes the format from the ending: the temporary name keeps it.
                        files.write_with(workdir / run.BEST_FILE, model.save)
                    listeners.on_test_end({**row, "confusion": confusion})
            if not validation:  # saved with the weights of training, and validated again later
                save_and_stop()

            # The next epoch, or the next stage from the best weights so far.
            stage_is_over = progress.end_epoch(row, training)
            listeners.on_epoch_end(len(progress.history) - 1, row)
            if stage_is_over and not progress.finished:
                strategies.wait_for_all(strategy)  # the chief may still be writing
                _load_best(workdir, model, progress.stage)
                steps = start_stage(progress.stage, training, model, strategy, steps, on_maps)
            saved_at = save()
        listeners.on_train_end()
        strategies.wait_for_all(strategy)  # one that leaves early looks lost to the others
    return progress


def make_model(config: RunConfig) -> keras.Model:
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
        if unfit := load_run_weights(model, training.weights):
            logging.warning("%s: does not fit %s", training.weights, ", ".join(unfit))
    elif training.weights:
        load_vgg16_weights(
            model,
            training.weights,
            temporal_conv1=training.temporal_conv1,
            fc6_init=training.fc6_init,
        )
    return model


def start_stage(
    stage: int,
    training: TrainingConfig,
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    previous: DistributedSteps | None = None,
    on_maps: bool = False,
) -> DistributedSteps:
    """Freezes the blocks of a stage and gives its steps, with an optimiser at its first step.

    Args:
        stage: 0-based.
        training: the configuration.
        model: the network.
        strategy: that trains it.
        previous: the steps of the stage before, used again where the same blocks are frozen:
            compiling the same graph again would only take time.
        on_maps: whether a stage reads the maps of the blocks that keep their initial weights.
    """
    frozen = training.frozen_blocks
    # Where the same blocks are frozen the maps are the same too.
    if previous and frozen[stage] == frozen[stage - 1]:
        previous.reset_optimizer()
        return previous
    with strategy.scope():
        for stream in _streams(model):
            stream.freeze(frozen[stage])
        optimizer = make_optimizer(training, training.learning_rates[stage])
    block = training.unchanged_blocks(stage) if on_maps else 0
    return DistributedSteps(model, optimizer, training, strategy, block)


def _streams(model: keras.Model) -> list[VGGStream]:
    return [layer for layer in model.layers if isinstance(layer, VGGStream)]


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
            raise UserError(
                f"the {name.replace('_', ' ')} of step {step} is {sums[name]}; its videos: {ids}. "
                f"{NOT_FINITE_ADVICE}"
            )


def _validate(
    steps: DistributedSteps, batches: Iterable, sigterm: Sigterm, step: int
) -> tuple[dict[str, float], np.ndarray] | None:
    """Figures and confusion matrix of the validation part, or None where SIGTERM came."""
    sums = {"loss": 0.0, "correct": 0.0, "count": 0.0, "confusion": 0.0}
    for batch in batches:
        results = steps.test(batch, tf.constant(float(sigterm.received)))
        if sigterm.stops(results, steps.strategy):
            return None
        for name in sums:
            sums[name] += results[name].numpy()
    figures = {
        "val_loss": float(sums["loss"] / sums["count"]),
        "val_accuracy": float(sums["correct"] / sums["count"]),
    }
    if not math.isfinite(figures["val_loss"]):
        raise UserError(
            f"the validation loss after step {step - 1} is {figures['val_loss']}. "
            f"{NOT_FINITE_ADVICE}"
        )
    return figures, np.rint(sums["confusion"]).astype(int)


def _save(
    workdir: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer, progress: Progress
) -> None:
    arrays = variables.to_arrays(model, optimizer)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise UserError(
            f"the weights after step {progress.step - 1} are not finite. {NOT_FINITE_ADVICE}"
        )
    folder = workdir / run.CHECKPOINTS_FOLDER
    checkpoints.save(folder, progress.step, arrays, dataclasses.asdict(progress))


def _load_best(workdir: Path, model: keras.Model, stage: int) -> None:
    path = workdir / run.BEST_FILE
    try:
        checkpoints.check_members(path)
        model.load_weights(path)
    except checkpoints.DAMAGED as error:
        raise UserError(
            f"{path}, from which stage {stage + 1} starts, is missing or damaged ({error}): "
            "restore it from a copy, or train the run again in another folder"
        ) from error
