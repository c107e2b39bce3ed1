"""Maps of frozen blocks: those of the network, computed once, and the same training on them."""

import dataclasses
import gc
import json
import signal
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import read_csv, run_config

from preprocessing import files
from preprocessing.errors import UserError
from stfnet import ClipConfig, run
from stfnet.clips import input_pipeline, plans
from stfnet.config import TrainingConfig
from stfnet.frame_features import stream_maps
from stfnet.layers.score_average import training_logits
from stfnet.networks import C3DConfig, SmallDataConfig, TwoStreamConfig, parts
from stfnet.training import loop, stages
from stfnet.training.preemption import Preempted

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)
MODEL = SmallDataConfig(
    3, CLIP, width_divisor=32, fc6_units=8, lstm_units=8, rgb_input="unit", flow_input="pixels"
)
TRAINING = TrainingConfig(
    learning_rates=(1e-2, 1e-3),
    max_epochs=(2, 1),
    frozen_blocks=(5, 4),
    batch_size=4,
    tau_range=(1, 3),
    validation_fraction=0.2,
    augmentation="flip",
)


def _losses(workdir):
    return np.array([float(row["loss"]) for row in read_csv(workdir / run.STEPS_FILE)])


def _vgg16(clips, stream, block):
    """The first blocks of VGG-16 in float64, with TensorFlow's operations."""
    x = tf.cast(tf.reshape(clips, (-1, *clips.shape[2:])), tf.float64)
    for number, count in enumerate((2, 2, 3, 3, 3)[:block], 1):
        for k in range(1, count + 1):
            layer = stream.convolutions[f"block{number}_conv{k}"]
            kernel, bias = (tf.cast(w.value, tf.float64) for w in (layer.kernel, layer.bias))
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "SAME") + bias)
        if number < 5:
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
    return tf.reshape(x, (*clips.shape[:2], *x.shape[1:]))


@pytest.mark.parametrize(
    ("streams", "block", "shape"),
    [
        ("both", 5, (2, 2, 16)),
        ("flow", 4, (2, 2, 16)),
        ("both", 3, (4, 4, 8)),
        ("rgb", 1, (16, 16, 2)),
    ],
)
def test_a_clips_maps_are_those_of_vgg16_for_it(tiny_records, tmp_path, streams, block, shape):
    config = run_config(dataclasses.replace(MODEL, streams=streams), tiny_records, TRAINING)
    model = stages.make_model(config)
    maps = stream_maps.Features(tmp_path, model, tiny_records, config, block)
    positions = np.array([1, 6])
    maps.compute(positions, trained=positions)
    plan = plans.plan_training(tiny_records, positions, CLIP, config.training, 0, 0)
    plan = dataclasses.replace(plan, flip=np.arange(len(plan)) % 2 == 0)
    (batch,) = maps.dataset(plan, len(plan))
    (clips,) = input_pipeline.clip_dataset(tiny_records, plan, CLIP, len(plan))
    inputs = input_pipeline.network_inputs(clips)
    for name in model.input:
        frames = model.get_layer(f"{name}_normalization")(inputs[name])
        expected = _vgg16(frames, model.get_layer(f"{name}_stream"), block)
        assert batch[name].dtype == np.float16
        assert batch[name].shape == (len(plan), 3, *shape)
        np.testing.assert_allclose(batch[name], expected, rtol=2**-10, atol=1e-5)
    assert set(batch) == {*model.input, "label", "weight", "video"}
    np.testing.assert_array_equal(batch["label"], clips["label"])


def test_maps_that_are_there_are_read_while_others_are_computed(tiny_records, tmp_path):
    config = run_config(dataclasses.replace(MODEL, streams="rgb"), tiny_records, TRAINING)
    maps = stream_maps.Features(tmp_path, stages.make_model(config), tiny_records, config, 5)
    maps.compute([1])
    with files.locked(maps.folders["rgb"], "computation of maps"):
        assert maps.compute([1])
        with pytest.raises(UserError, match="another computation of maps"):
            maps.compute([1, 2])


def test_maps_that_16_bits_cannot_hold_are_refused_and_not_written(tiny_records, tmp_path):
    config = run_config(dataclasses.replace(MODEL, streams="rgb"), tiny_records, TRAINING)
    model = stages.make_model(config)
    bias = model.get_layer("rgb_stream").convolutions["block5_conv3"].bias
    bias.assign(np.full(bias.shape, 7e4, "float32"))
    maps = stream_maps.Features(tmp_path, model, tiny_records, config, 5)
    with pytest.raises(UserError, match="have values that float16 cannot hold: train without"):
        maps.compute([1])
    assert not list(tmp_path.glob("*/*.npy"))


ONE_STAGE = {"learning_rates": (1e-2,), "max_epochs": (2,), "frozen_blocks": (5,)}


# Without dropout, whose masks depend on how often random numbers were drawn.
CERTAIN = dataclasses.replace(MODEL, fc6_dropout=0.0, lstm_dropout=0.0)


class _Changed(keras.callbacks.Callback):
    """The blocks of the streams whose weights a run changed."""

    def _weights(self):
        return {
            f"{stream} {name}": np.asarray(layer.kernel)
            for stream in ("rgb", "flow")
            for name, layer in self.model.get_layer(f"{stream}_stream").convolutions.items()
        }

    def on_train_begin(self, logs=None):
        self.before = self._weights()

    def on_train_end(self, logs=None):
        after = self._weights()
        changed = {name for name in after if (after[name] != self.before[name]).any()}
        self.blocks = {name.partition("_")[0] for name in changed}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "blocks", "trained"),
    [
        ({**ONE_STAGE, "learning_rates": (0.1,)}, {5}, set()),
        ({"remat": True}, {5, 4}, {"block5"}),
        pytest.param({"frozen_blocks": (3, 5)}, {3}, {"block4", "block5"}, marks=pytest.mark.slow),
        pytest.param(
            {"frozen_blocks": (5, 0)},
            {5},
            {f"block{k}" for k in range(1, 6)},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_training_on_maps_follows_training_without_them(
    tiny_records, tmp_path, changes, blocks, trained
):
    # Adam would divide what rounding leaves of a small gradient by its own size.
    config = run_config(
        CERTAIN,
        tiny_records,
        TRAINING,
        **{"learning_rates": (0.1, 0.03), **changes},
        optimizer="sgd",
    )
    maps, changed = tmp_path / "maps", _Changed()
    loop.train(config, tiny_records, tmp_path / "without")
    loop.train(config, tiny_records, tmp_path / "with", None, [changed], features_folder=maps)
    without, with_maps = _losses(tmp_path / "without"), _losses(tmp_path / "with")
    # Kept maps are of 16 bits; nine steps of SGD carry their rounding into the last losses.
    np.testing.assert_allclose(with_maps, without, rtol=5e-4)
    assert np.ptp(without) > 0.01
    identities = [json.loads(path.read_text()) for path in maps.glob("*/features.json")]
    assert sorted(one["block"] for one in identities) == sorted([*blocks, *blocks])  # two streams
    assert changed.blocks == {f"{stream} {name}" for stream in ("rgb", "flow") for name in trained}
    learned = run.locate(run.read_videos(tmp_path / "with"), tiny_records).train
    mirrored = {path.name for path in maps.glob("*/*-mirrored.npy")}
    assert mirrored == {f"{k:06d}-mirrored.npy" for k in learned}  # no clip of validation is


def test_maps_are_computed_once_and_a_stopped_computation_resumes(tiny_records, tmp_path):
    config = run_config(MODEL, tiny_records, TRAINING, augmentation="none")
    model = stages.make_model(config)
    maps = stream_maps.Features(tmp_path, model, tiny_records, config, 5)
    maps.compute([0, 1])
    paths = sorted(tmp_path.glob("*/*.npy"))
    assert len(paths) == 4  # two videos of two streams
    kept, lost = paths[0], paths[-1]
    before = {path: path.read_bytes() for path in paths}
    kept.write_bytes(b"")  # not computed again: it is there
    lost.unlink()
    maps.compute([0, 1])
    assert lost.read_bytes() == before[lost]
    plan = plans.plan_evaluation(tiny_records, np.array([0, 1]), CLIP, 1)
    damaged = rf"{kept.name} is missing or damaged .* delete it and"
    with pytest.raises(UserError, match=damaged), input_pipeline.naming_damage(maps):
        list(maps.dataset(plan, 1))


def test_a_computation_that_must_stop_keeps_what_it_has(tiny_records, tmp_path):
    config = run_config(MODEL, tiny_records, TRAINING, augmentation="none")
    maps = stream_maps.Features(tmp_path, stages.make_model(config), tiny_records, config, 5)
    asked = []

    def after_one():
        asked.append(len(list(tmp_path.glob("*/*.npy"))))
        return len(asked) == 2

    assert not maps.compute([0, 1, 2], after_one)
    assert asked == [0, 1]  # maps of a video
    assert maps.compute([0, 1, 2])
    assert len(list(tmp_path.glob("*/*.npy"))) == 6


class _BreakOff(keras.callbacks.Callback):
    """Breaks a run off in its second step of a stage."""

    def __init__(self, stage=1):
        super().__init__()
        self.stage = stage

    def on_train_batch_end(self, batch, logs=None):
        if batch == 1 and logs["stage"] == self.stage:
            raise KeyboardInterrupt


class _Terminate(keras.callbacks.Callback):
    """Sends SIGTERM when the first stage is over."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == TRAINING.max_epochs[0]:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.slow
def test_a_run_resumes_among_and_on_the_maps_of_its_second_stage(tiny_records, tmp_path):
    config, maps = (
        run_config(MODEL, tiny_records, TRAINING, checkpoint_minutes=0.0),
        tmp_path / "maps",
    )
    loop.train(config, tiny_records, tmp_path / "whole", features_folder=tmp_path / "other")
    with pytest.raises(Preempted, match="stopped among the maps"):
        loop.train(config, tiny_records, tmp_path / "run", None, [_Terminate()], False, maps)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, tiny_records, tmp_path / "run", None, [_BreakOff(2)], False, maps)
    loop.train(config, tiny_records, tmp_path / "run", features_folder=maps)
    np.testing.assert_array_equal(_losses(tmp_path / "run"), _losses(tmp_path / "whole"))
    assert len(list(maps.iterdir())) == 4  # two streams at the end of two blocks


@pytest.mark.slow
def test_a_resumed_run_takes_the_maps_of_its_own_streams(tiny_records, tmp_path, monkeypatch):
    config = run_config(CERTAIN, tiny_records, TRAINING, **ONE_STAGE, checkpoint_minutes=0.0)
    maps = tmp_path / "maps"
    loop.train(config, tiny_records, tmp_path / "whole", features_folder=maps)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config, tiny_records, tmp_path / "run", None, [_BreakOff()], False, maps)
    # As if the file of starting weights had changed since: the checkpoint has the run's streams.
    other = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=9))
    make_model = stages.make_model
    monkeypatch.setattr(stages, "make_model", lambda _: make_model(other))
    loop.train(config, tiny_records, tmp_path / "run", features_folder=maps)
    np.testing.assert_allclose(_losses(tmp_path / "run"), _losses(tmp_path / "whole"), rtol=1e-5)


def _folders(config, record_set, tmp_path, network=None, block=5):
    network = network or stages.make_model(config)
    return stream_maps.Features(tmp_path, network, record_set, config, block).folders


def test_other_weights_or_inputs_have_maps_of_their_own(tiny_records, tmp_path):
    rgb, flow = set(), set()
    for model, changes in (
        (MODEL, {}),
        (MODEL, {"seed": 1}),
        (dataclasses.replace(MODEL, flow_input="centered"), {}),  # of the flow stream alone
        (MODEL, {"precision": "mixed_bfloat16"}),
        (MODEL, {"frame_grid": 4}),
        (MODEL, {"learning_rates": (1.0, 1.0)}),  # the same maps as the first
        (dataclasses.replace(MODEL, fc6_units=9), {}),  # likewise
    ):
        folders = _folders(
            run_config(model, tiny_records, TRAINING, **changes), tiny_records, tmp_path
        )
        rgb.add(folders["rgb"])
        flow.add(folders["flow"])
    assert (len(rgb), len(flow), len(rgb | flow)) == (4, 5, 9)


def test_a_stream_alone_reads_the_maps_that_it_has_beside_the_other(tiny_records, tmp_path):
    config = run_config(MODEL, tiny_records, TRAINING)
    network = stages.make_model(config)
    alone = run_config(dataclasses.replace(MODEL, streams="flow"), tiny_records, TRAINING)
    flow = stages.make_model(alone)
    stream = flow.get_layer("flow_stream")
    stream.set_weights(network.get_layer("flow_stream").get_weights())
    expected = _folders(config, tiny_records, tmp_path, network)["flow"]
    assert _folders(alone, tiny_records, tmp_path, flow) == {"flow": expected}


def test_maps_depend_on_the_weights_up_to_their_block_alone(tiny_records, tmp_path):
    config = run_config(MODEL, tiny_records, TRAINING)
    network = stages.make_model(config)

    def folders():
        return [_folders(config, tiny_records, tmp_path, network, k)["flow"] for k in range(1, 6)]

    before = folders()
    assert len(set(before)) == 5
    bias = network.get_layer("flow_stream").convolutions["block4_conv1"].bias
    bias.assign(bias + 1)
    assert [one == other for one, other in zip(before, folders(), strict=True)] == [True] * 3 + [
        False
    ] * 2


def test_only_the_frames_of_the_grid_have_maps(tiny_records, tmp_path, capsys):
    config = run_config(MODEL, tiny_records, TRAINING, augmentation="none", frame_grid=4)
    maps = stream_maps.Features(tmp_path, stages.make_model(config), tiny_records, config, 5)
    assert maps.compute([0, 1])
    assert "8 maps of the rgb stream" in capsys.readouterr().out
    for path in tmp_path.glob("*/*.npy"):
        assert np.load(path).shape == (4, 2, 2, 16)
    every = run_config(MODEL, tiny_records, TRAINING, augmentation="none")
    whole = stream_maps.Features(tmp_path, stages.make_model(every), tiny_records, every, 5)
    whole.compute([0, 1])
    training = config.training
    plan = plans.plan_training(tiny_records, np.array([0, 1]), CLIP, training, 0, 0)
    asked = (plan.video, plan.frames, plan.flip)
    for one, other in zip(maps.clips(*asked), whole.clips(*asked), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "workers", "reason"),
    [
        ({"frozen_blocks": (0, 5)}, 1, r"no effect with training.frozen_blocks=\(0, 5\)"),
        ({"augmentation": "crop"}, 1, "keeps no maps of crops"),
        ({"map_levels": (3, 4, 5)}, 1, r"block 4 for stage 2 .* has an earlier one"),
        ({}, 2, "there are 2 workers"),
    ],
)
def test_what_cannot_be_trained_on_maps_is_refused(tiny_records, changes, workers, reason):
    with pytest.raises(UserError, match=reason):
        levels = {"map_levels": changes.pop("map_levels", (5,))}
        model = dataclasses.replace(MODEL, **levels)
        stream_maps.check(run_config(model, tiny_records, TRAINING, **changes), workers)
    stream_maps.check(run_config(MODEL, tiny_records, TRAINING), 1)


def test_a_network_without_vgg16_is_refused(tiny_records):
    model = C3DConfig(3, CLIP)
    config = run_config(model, tiny_records, TRAINING, frozen_blocks=(0, 0))
    with pytest.raises(UserError, match="network c3d has none: leave --cache=features out"):
        stream_maps.check(config, 1)


def test_the_head_can_end_at_the_scores_of_frames(tiny_records):
    model = stages.make_model(
        run_config(TwoStreamConfig(3, CLIP, width_divisor=32, fc6_units=8), tiny_records, TRAINING)
    )
    scores, weights = training_logits(model)
    head, whole = parts.from_block(model, 4, scores), parts.from_block(model, 4)
    maps = {
        name: np.random.default_rng(0).uniform(0, 1, (1, *x.shape[1:])).astype("float16")
        for name, x in head.input.items()
    }
    frames = np.asarray(head(maps))
    assert frames.shape == (1, len(weights), model.config.num_classes)
    np.testing.assert_allclose(model.get_layer("logits")(frames), whole(maps), rtol=1e-5, atol=1e-6)


def test_a_dataset_that_was_read_does_not_keep_the_network(tiny_records, tmp_path):
    config = run_config(MODEL, tiny_records, TRAINING)
    model = stages.make_model(config)
    maps = stream_maps.Features(tmp_path, model, tiny_records, config, 5)
    positions = np.array([1, 6])
    maps.compute(positions)
    plan = plans.plan_evaluation(tiny_records, positions, CLIP, 2)
    assert len(list(maps.dataset(plan, 2))) == 1
    alive = weakref.ref(maps)
    del maps
    gc.collect()
    assert alive() is None
