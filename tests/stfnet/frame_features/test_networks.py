"""Networks over single frames: VGG-16 as keras.applications has it, and a run's own fc6."""

import dataclasses
import hashlib

import keras
import numpy as np
import pytest

from preprocessing.errors import UserError
from preprocessing.records.reader import RecordReader
from stfnet import build_stfnet, sampling
from stfnet.clips import input_pipeline, plans
from stfnet.config import ClipConfig
from stfnet.frame_features import networks
from stfnet.inference import prediction

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


def _images(record_set, position, frames):
    count = record_set.videos[position].num_frames
    fields = sampling.flow_indices(frames, count, 4)
    rgb, flow = RecordReader(record_set).clips([position], np.array(frames)[None], fields[None])
    return rgb[0], flow[0]


@pytest.mark.parametrize("levels", [(5,), (3, 4, 5)])
def test_maps_are_those_of_keras_applications(tiny_records, notop, vgg16_maps, levels):
    model = networks.vgg16_streams(CLIP, notop, levels=levels)
    frames = [0, 3, 7]
    rgb, fields = _images(tiny_records, 2, frames)
    inputs = input_pipeline.network_inputs({"rgb": rgb[:, None], "fields": fields[:, None]})
    maps = model.predict_on_batch({name: np.asarray(inputs[name]) for name in model.input})
    names = [f"block{level}_{'conv3' if level == 5 else 'pool'}" for level in levels]
    expected = [vgg16_maps(tiny_records, 2, frames, name) for name in names]
    for stream in ("rgb", "flow"):
        want = np.concatenate([one[stream].mean((1, 2)) for one in expected], -1)
        got = np.asarray(maps[stream])[:, 0].mean((1, 2))
        assert np.max(want) > 0.01
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * np.max(want), err_msg=stream)


def test_vgg16s_fc1_reads_the_rgb_stream(
    tiny_records, vgg16, notop, write_vgg16, tmp_path, vgg16_maps, monkeypatch
):
    rng = np.random.default_rng(0)
    fc1 = rng.normal(0, 0.1, (512, 4096)), rng.normal(0, 0.1, 4096)
    layers = {layer.name: layer.get_weights() for layer in vgg16.layers if layer.weights}
    full = write_vgg16(tmp_path / "full.h5", {**layers, "fc1": fc1})
    assert networks.vgg16_network(tiny_records, full).fc6_units == 0  # the records have 32 pixels
    monkeypatch.setattr(networks, "FC1_SIZE", 32)
    assert networks.vgg16_network(tiny_records, notop).fc6_units == 0  # the file has no fc1
    network = networks.vgg16_network(tiny_records, full)
    assert network.fc6_units == 4096
    assert network.identity["sha256"] == hashlib.sha256(full.read_bytes()).hexdigest()
    frames = [1, 4]
    got = network.fc6(network.maps(*_images(tiny_records, 0, frames)))
    maps = vgg16_maps(tiny_records, 0, frames, "block5_conv3")["rgb"].astype(float)
    pooled = maps.max((1, 2))  # a map of 32 pixels has 2 x 2 cells, one window
    want = np.maximum(pooled @ fc1[0] + fc1[1], 0)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * want.max())


# As real_videos.py has it.
LEVELS = {
    "network": "small_data",
    "map_levels": (3, 4, 5),
    "map_norm": True,
    "map_dropout": 0.5,
    "linear_parts": 2,
    "fusion_filters": 16,
    "conv_pool": True,
    "normalize": "all",
}


@pytest.mark.parametrize(
    "settings", [{}, {"streams": "flow"}, LEVELS, {**LEVELS, "streams": "rgb"}]
)
def test_a_runs_features_are_those_of_its_network_on_the_test_clip(
    tiny_records, make_run, settings
):
    workdir = make_run(**settings)
    network = networks.run_network(tiny_records, workdir)
    model, config = prediction.load_run(workdir)
    position = 5
    plan = plans.plan_evaluation(tiny_records, np.array([position]), config.model.clip, 1)
    frames = plan.frames[0]
    rgb, fields = _images(tiny_records, position, frames)
    inputs = {"rgb": rgb, "flow": np.moveaxis(fields, (1, 2), (-2, -1)).reshape(3, 32, 32, 8)}
    clip = [inputs[name][None] for name in model.input]
    sequence = next(network.sequences(tiny_records.videos[position].num_frames))
    np.testing.assert_array_equal(sequence[:3], frames)
    maps = network.maps(*_images(tiny_records, position, sequence))
    assert set(maps) == set(model.input) == set(network.streams)
    for name in network.streams:
        output = model.get_layer(f"{name}_stream").output
        want = np.asarray(keras.Model(list(model.input.values()), output)(clip))[0]
        np.testing.assert_allclose(maps[name][:3], want, rtol=1e-4, atol=1e-5)
    want = np.asarray(keras.Model(list(model.input.values()), model.get_layer("fc6").output)(clip))
    assert want.max() > 0
    # The last frame of the test clip has none behind it, and one in the video.
    np.testing.assert_allclose(network.fc6(maps)[:2], want[0, :2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("length", "count"), [(3, 3), (3, 4), (3, 8), (4, 5), (4, 8)])
def test_fc6_of_a_sequence_is_that_of_a_network_of_its_length(make_run, count, length):
    clip = dataclasses.replace(CLIP, num_frames=length)
    model, config = prediction.load_run(make_run(clip=clip))
    network = networks.RunNetwork(model, clip, {})
    rng = np.random.default_rng(count)
    maps = {n: rng.uniform(0, 9, (count, *network.map_shape)).astype("f4") for n in network.streams}
    longer = build_stfnet(
        dataclasses.replace(config.model, clip=dataclasses.replace(clip, num_frames=count))
    )
    longer.set_weights(model.get_weights())
    outputs = [longer.get_layer(f"{name}_stream").output for name in network.streams]
    reference = keras.Model(outputs, longer.get_layer("fc6").output)
    want = np.asarray(reference([one[None] for one in maps.values()]))[0]
    assert want.max() > 0
    np.testing.assert_allclose(network.fc6(maps), want, rtol=1e-4, atol=1e-4)


def test_a_short_video_is_filled_as_its_test_clip_is(tiny_run):
    model, config = prediction.load_run(tiny_run)
    rng = np.random.default_rng(0)
    for short_video, order in (("pad_last", [0, 1, 1]), ("loop", [0, 1, 0])):
        clip = dataclasses.replace(config.model.clip, short_video=short_video)
        network = networks.RunNetwork(model, clip, {})
        maps = {n: rng.uniform(0, 9, (2, *network.map_shape)).astype("f4") for n in network.streams}
        want = network.fc6({name: one[order] for name, one in maps.items()})
        np.testing.assert_allclose(network.fc6(maps), want[:2], rtol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 40, 100])
def test_every_frame_comes_once(tiny_run, tiny_records, notop, count):
    run = networks.run_network(tiny_records, tiny_run)
    for sequences in (run.sequences(count), networks.FrameNetwork.sequences(run, count)):
        assert sorted(np.concatenate(list(sequences))) == list(range(count))


def test_records_of_another_size_are_refused_and_other_classes_are_not(tiny_records, make_run):
    other = dataclasses.replace(tiny_records, classes=("Nod",) * 3)
    networks.run_network(other, make_run())
    workdir = make_run(clip=dataclasses.replace(CLIP, image_size=48))
    with pytest.raises(UserError, match=r"image_size=32, but the model has clip.image_size=48"):
        networks.run_network(tiny_records, workdir)
    workdir = make_run(clip=dataclasses.replace(CLIP, flow_bound=15.0))
    with pytest.raises(UserError, match=r"experiments.prepare --flow_bound=15.0"):
        networks.run_network(tiny_records, workdir)


def test_a_run_without_vgg16_is_refused(tiny_records, make_run):
    workdir = make_run("c3d")
    with pytest.raises(UserError, match="network c3d, which has no features of single frames"):
        networks.run_network(tiny_records, workdir)
