"""What a stage trains."""

import keras
import pytest
import tensorflow as tf

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import RunConfig, TrainingConfig
from stfnet.training import stages

MODEL = ModelConfig(
    3, ClipConfig(3, 4, 32), streams="rgb", width_divisor=32, fc6_units=8, lstm_units=8
)


def _config(**changes):
    return RunConfig("squares", ("Left", "Right", "Still"), MODEL, TrainingConfig(**changes))


def test_steps_are_used_again_where_the_same_blocks_are_frozen():
    config = _config(learning_rates=(1e-3,) * 4, max_epochs=(1,) * 4, frozen_blocks=(5, 4, 4, 5))
    model, strategy, steps = stages.make_model(config), tf.distribute.get_strategy(), [None]
    for stage in range(4):
        one = stages.start(stage, config.training, model, strategy, steps[-1], on_maps=True)
        steps.append(one)
    assert [one.block for one in steps[1:]] == [5, 4, 4, 4]
    same = [one is previous for one, previous in zip(steps[1:], steps[:-1], strict=True)]
    assert same == [False, False, True, False]


def test_the_network_is_that_of_the_seed_and_the_best_weights_come_back(tmp_path):
    first, again, other = (stages.make_model(_config(seed=seed)) for seed in (1, 1, 2))
    kernels = [network.get_layer("logits").kernel.numpy() for network in (first, again, other)]
    assert (kernels[0] == kernels[1]).all() and (kernels[0] != kernels[2]).any()
    first.save(tmp_path / run.BEST_FILE)
    stages.load_best(tmp_path, other, stage=1)
    assert (other.get_layer("logits").kernel.numpy() == kernels[0]).all()


def test_best_weights_that_are_missing_or_damaged_are_named(tmp_path):
    network = stages.make_model(_config())
    with pytest.raises(UserError, match=r"best\.keras, from which stage 2 starts, is missing"):
        stages.load_best(tmp_path, network, stage=1)
    network.save(tmp_path / run.BEST_FILE)
    content = bytearray((tmp_path / run.BEST_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / run.BEST_FILE).write_bytes(content)
    with pytest.raises(UserError, match="is missing or damaged"):
        stages.load_best(tmp_path, network, stage=1)


def test_a_networks_precision_is_the_runs_alone():
    before = keras.config.dtype_policy()
    network = stages.make_model(_config(precision="mixed_bfloat16"))
    assert network.get_layer("rgb_stream").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy() is before
