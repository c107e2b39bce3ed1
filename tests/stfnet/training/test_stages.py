"""What a stage trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import run_config

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, networks, run
from stfnet.config import to_dict
from stfnet.training import stages

MODEL = ModelConfig(
    3, ClipConfig(3, 4, 32), streams="rgb", width_divisor=32, fc6_units=8, lstm_units=8
)


def test_steps_are_used_again_where_the_same_blocks_are_frozen():
    config = run_config(
        MODEL, learning_rates=(1e-3,) * 4, max_epochs=(1,) * 4, frozen_blocks=(5, 4, 4, 5)
    )
    model, strategy, steps = stages.make_model(config), tf.distribute.get_strategy(), [None]
    for stage in range(4):
        one = stages.start(stage, config.training, model, strategy, steps[-1], on_maps=True)
        steps.append(one)
    assert [one.block for one in steps[1:]] == [5, 4, 4, 4]
    same = [one is previous for one, previous in zip(steps[1:], steps[:-1], strict=True)]
    assert same == [False, False, True, False]


def test_the_network_is_that_of_the_seed_and_the_best_weights_come_back(tmp_path):
    first, again, other = (stages.make_model(run_config(MODEL, seed=seed)) for seed in (1, 1, 2))
    kernels = [network.get_layer("logits").kernel.numpy() for network in (first, again, other)]
    assert (kernels[0] == kernels[1]).all() and (kernels[0] != kernels[2]).any()
    first.save(tmp_path / run.BEST_FILE)
    stages.load_best(tmp_path, other, stage=1)
    assert (other.get_layer("logits").kernel.numpy() == kernels[0]).all()


def test_best_weights_that_are_missing_or_damaged_are_named(tmp_path):
    network = stages.make_model(run_config(MODEL))
    with pytest.raises(UserError, match=r"best\.keras, from which stage 2 starts, is missing"):
        stages.load_best(tmp_path, network, stage=1)
    network.save(tmp_path / run.BEST_FILE)
    content = bytearray((tmp_path / run.BEST_FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / run.BEST_FILE).write_bytes(content)
    with pytest.raises(UserError, match="is missing or damaged"):
        stages.load_best(tmp_path, network, stage=1)


@pytest.mark.parametrize("linear_start", [False, True])
def test_a_linear_start_keeps_its_weights_and_statistics(linear_start):
    model = networks.read(
        networks.switched(to_dict(MODEL), "small_data") | {"linear_parts": 2, "map_norm": True}
    )
    config = run_config(model, linear_start=linear_start)
    network = stages.make_model(config)
    assert network.get_layer("linear_logits").trainable != linear_start
    clips = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32, 3), np.uint8)
    for name in ("rgb_map_norm", "linear_norm"):
        before = np.array(network.get_layer(name).moving_mean)
        network({"rgb": clips}, training=True)
        kept = (np.array(network.get_layer(name).moving_mean) == before).all()
        assert kept == linear_start, name


def test_a_networks_precision_is_the_runs_alone():
    before = keras.config.dtype_policy()
    network = stages.make_model(run_config(MODEL, precision="mixed_bfloat16"))
    assert network.get_layer("rgb_stream").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy() is before


_TWO_DEVICES = """
import dataclasses, sys
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
from stfnet import ClipConfig
from stfnet.config import TrainingConfig
from stfnet.networks import SmallDataConfig
from stfnet.run.config import RunConfig
from stfnet.training import stages

model = SmallDataConfig(
    3, ClipConfig(3, 4, 32), streams="rgb", width_divisor=32, fc6_units=8, lstm_units=8,
    rgb_input="unit", map_norm=True, linear_parts=2, fc6_dropout=0.0, lstm_dropout=0.0,
)
training = TrainingConfig(batch_size=8, optimizer="sgd", accumulation_steps=int(sys.argv[1]))
config = RunConfig("tiny", ("a", "b", "c"), model, training)
rng = np.random.default_rng(0)
clips = {
    "rgb": rng.integers(0, 256, (8, 3, 32, 32, 3), np.uint8),
    "fields": np.zeros((8, 3, 4, 2, 32, 32), np.uint8),
    "label": np.arange(8) % 3,
    "weight": np.ones(8, np.float32),
}
for strategy in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    with strategy.scope():
        network = stages.make_model(config)
    steps = stages.start(0, training, network, strategy)
    share = 8 // strategy.num_replicas_in_sync
    def values(context):
        first = context.replica_id_in_sync_group * share
        return {name: tf.constant(value[first : first + share]) for name, value in clips.items()}
    batch = strategy.experimental_distribute_values_from_function(values)
    norms = [float(steps.train(batch)["gradient_norm"]) for _ in range(2)]
    moving = np.asarray(network.get_layer("rgb_map_norm").moving_variance.value)
    print(*norms, moving.sum())
"""


def _on_one_and_two_devices(run_python, accumulation_steps):
    """Gradient norms of two steps, and the sum of moving variances, on one device and on two."""
    done = run_python("-c", _TWO_DEVICES, accumulation_steps)
    assert done.returncode == 0, done.stderr
    return [[float(value) for value in line.split()] for line in done.stdout.splitlines()]


def test_batch_normalisation_is_the_same_on_two_devices(run_python):
    one, two = _on_one_and_two_devices(run_python, 1)
    np.testing.assert_allclose(two, one, rtol=1e-3)


@pytest.mark.slow
def test_batch_normalisation_is_that_of_a_microbatch_on_one_device_and_on_two(run_python):
    one, two = _on_one_and_two_devices(run_python, 4)  # two clips at once on each
    np.testing.assert_allclose(two[0], one[0], rtol=1e-3)
