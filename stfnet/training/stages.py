"""What a stage trains: the network, the blocks that it leaves as they are, and the optimiser."""

import logging
from pathlib import Path

import keras
import tensorflow as tf

from preprocessing.errors import UserError
from stfnet import run
from stfnet.config import TrainingConfig, microbatches_per_device
from stfnet.networks import parts
from stfnet.networks.model import STFNet
from stfnet.run import checkpoints
from stfnet.run.config import RunConfig
from stfnet.training.schedule import make_optimizer
from stfnet.training.steps import DistributedSteps
from stfnet.weights import load_run_weights, load_vgg16_weights


def make_model(config: RunConfig) -> keras.Model:
    """Builds the network of a run, with the weights that its configuration names.

    Batch normalisation takes its statistics over the clips of all devices of the strategy's scope;
    not over microbatches, which follow each other (`partial_statistics`).
    """
    training = config.training
    keras.utils.set_random_seed(training.seed)
    model = STFNet(config.model, training.precision, learned=config.learned)
    for stream in parts.streams_of(model).values():
        stream.remat = training.remat
    devices = tf.distribute.get_strategy().num_replicas_in_sync
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # One device needs none of the sums over devices, which round more.
            layer.synchronized = devices > 1 and microbatches_per_device(training, devices) == 1
            # A linear start gives it the statistics of all clips; a few batches' would say less.
            layer.trainable = not training.linear_start
    if training.linear_start:
        # Its training clips are right already: steps would only undo the penalty it was fitted with
        model.get_layer(parts.LINEAR_LOGITS).trainable = False
    if training.weights.endswith(".keras"):
        if unfit := load_run_weights(model, training.weights):
            logging.warning("%s: does not fit %s", training.weights, ", ".join(unfit))
    elif training.weights:
        load_vgg16_weights(model, training.weights, training.temporal_conv1, training.fc6_init)
    return model


def start(
    stage: int,
    training: TrainingConfig,
    model: keras.Model,
    strategy: tf.distribute.Strategy,
    previous: DistributedSteps | None = None,
    on_maps: bool = False,
) -> DistributedSteps:
    """Freezes the blocks of a stage, from 0, and gives its steps, with an optimiser at its first
    step.

    The steps of the stage before are used again where the same blocks are frozen: compiling the
    same graph again would only take time. With `on_maps` a stage reads the maps of the blocks that
    keep their initial weights.
    """
    frozen = training.frozen_blocks
    # Where the same blocks are frozen the maps are the same too.
    if previous and frozen[stage] == frozen[stage - 1]:
        previous.reset_optimizer()
        return previous
    with strategy.scope():
        for stream in parts.streams_of(model).values():
            stream.freeze(frozen[stage])
        optimizer = make_optimizer(training, training.learning_rates[stage])
    block = training.unchanged_blocks(stage) if on_maps else 0
    return DistributedSteps(model, optimizer, training, strategy, block)


def load_best(workdir: Path, model: keras.Model, stage: int) -> None:
    """Gives the network the best weights of the run so far, from which a later stage starts."""
    path = workdir / run.BEST_FILE
    try:
        checkpoints.check_members(path)
        model.load_weights(path)
    except checkpoints.DAMAGED as error:
        raise UserError(
            f"{path}, from which stage {stage + 1} starts, is missing or damaged ({error}): "
            "restore it from a copy, or train the run again in another folder"
        ) from error
