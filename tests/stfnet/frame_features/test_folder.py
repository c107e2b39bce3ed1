"""The files of features, read back with NumPy and compared with keras.applications' network."""

import dataclasses
import json

import numpy as np
import pytest
from helpers import read_csv

from preprocessing.errors import UserError
from stfnet import ClipConfig
from stfnet.frame_features import folder, networks
from stfnet.inference import prediction


@pytest.fixture(scope="module")
def three(tiny_records):
    """The first three videos of `tiny_records`, the first with an official split."""
    first, *others = tiny_records.videos[:3]
    first = dataclasses.replace(first, splits={"1": "test"})
    return dataclasses.replace(tiny_records, videos=(first, *others))


@pytest.fixture(scope="module")
def network(three, notop):
    return networks.vgg16_network(three, notop)


@pytest.fixture(scope="module")
def pooled(network, three, tmp_path_factory):
    path = tmp_path_factory.mktemp("pooled")
    assert folder.write(network, three, path, pooled=True)
    return path


def _array(path, video, name):
    return np.load(path / video.class_name / f"{video.id}-{name}.npy")


def test_a_row_is_the_mean_of_the_map_of_its_frame(pooled, three, vgg16_maps):
    for position, video in enumerate(three.videos):
        maps = vgg16_maps(three, position, range(video.num_frames), "block5_conv3")
        for stream in ("rgb", "flow"):
            array = _array(pooled, video, stream)
            want = maps[stream].astype(float).mean((1, 2))
            assert array.dtype == np.float32 and array.shape == (video.num_frames, 512)
            np.testing.assert_allclose(array, want, rtol=1e-3, atol=1e-4 * want.max())
            if video.class_name != "Still":
                assert not np.allclose(array[0], array[-1], rtol=1e-2)


def test_the_index_names_every_video_and_its_files(pooled, three):
    rows = read_csv(pooled / "index.csv")
    assert [row["video"] for row in rows] == [video.id for video in three.videos]
    for row, video in zip(rows, three.videos, strict=True):
        assert (row["class"], row["group"]) == (video.class_name, video.group)
        assert row["split_1"] == video.splits.get("1", "")
        for name in ("rgb", "flow"):
            assert len(np.load(pooled / row[name])) == int(row["frames"]) == video.num_frames
    values = json.loads((pooled / "features.json").read_text())
    assert values["records_sha256"] == three.sha256
    assert values["arrays"]["flow"] == {"shape": ["frames", 512], "dtype": "float32"}


def test_whole_maps_have_the_pooled_ones_as_their_means(network, three, pooled, tmp_path):
    folder.write(network, three, tmp_path, pooled=False)
    video = three.videos[1]
    array = _array(tmp_path, video, "flow")
    assert array.dtype == np.float16 and array.shape == (video.num_frames, 2, 2, 512)
    want = _array(pooled, video, "flow")
    np.testing.assert_allclose(array.astype(float).mean((1, 2)), want, rtol=2e-3, atol=1e-4)


def test_a_runs_features_have_its_own_fc6(three, tiny_run, tmp_path):
    run = networks.run_network(three, tiny_run)
    folder.write(run, three, tmp_path, pooled=True)
    video = three.videos[0]
    array = _array(tmp_path, video, "fc6")
    assert array.dtype == np.float32 and array.shape == (video.num_frames, 8)
    assert _array(tmp_path, video, "rgb").shape == (video.num_frames, 512 // 16)


def test_a_stopped_computation_resumes_and_whole_videos_are_left_alone(
    network, three, pooled, tmp_path
):
    asked = []

    def after_one():
        asked.append(len(list(tmp_path.rglob("*.npy"))))
        return len(asked) == 2

    assert not folder.write(network, three, tmp_path, True, after_one)
    assert asked == [0, 2] and not (tmp_path / "index.csv").exists()
    first, second = ({f: p for f, p in _paths(tmp_path, v).items()} for v in three.videos[:2])
    first["rgb"].write_bytes(b"")  # not computed again: it is there
    assert folder.write(network, three, tmp_path, True)
    assert first["rgb"].read_bytes() == b""
    assert second["rgb"].read_bytes() == _paths(pooled, three.videos[1])["rgb"].read_bytes()
    second["flow"].unlink()
    assert folder.write(network, three, tmp_path, True)
    np.testing.assert_allclose(
        np.load(second["flow"]), np.load(_paths(pooled, three.videos[1])["flow"]), rtol=1e-5
    )


def _paths(path, video):
    return {n: path / p for n, p in folder.paths_of(video, ("rgb", "flow")).items()}


def test_features_of_other_weights_or_forms_are_refused(network, three, pooled, tiny_run):
    with pytest.raises(UserError, match=r"is of other features .*other pooled, arrays.*another"):
        folder.write(network, three, pooled, pooled=False)
    with pytest.raises(UserError, match=r"other weights, arrays"):
        folder.write(networks.run_network(three, tiny_run), three, pooled, pooled=True)
    gained = dataclasses.replace(three, sha256="0" * 64)
    with pytest.raises(UserError, match="other records_sha256"):
        folder.write(network, gained, pooled, pooled=True)


def test_a_damaged_description_is_refused(network, three, tmp_path):
    (tmp_path / "features.json").write_text("{")
    with pytest.raises(UserError, match=r"features\.json is damaged"):
        folder.write(network, three, tmp_path, pooled=True)


def test_a_map_beyond_float16_is_refused(three, tiny_run, tmp_path):
    model, config = prediction.load_run(tiny_run)
    kernel = model.get_layer("flow_stream").convolutions["block5_conv3"].kernel
    kernel.assign(kernel * 1e9)
    run = networks.RunNetwork(model, config.model.clip, {})
    with pytest.raises(UserError, match=r"float16 cannot hold: give --pooled"):
        folder.write(run, three, tmp_path, pooled=False)
    assert not list(tmp_path.rglob("*.npy"))


def test_a_video_too_short_for_the_network_is_named(three, make_run, tmp_path):
    clip = ClipConfig(num_frames=60, flow_length=4, image_size=32, short_video="error")
    run = networks.run_network(three, make_run(clip=clip))
    with pytest.raises(UserError, match=rf"{three.videos[0].id}: a video of \d+ frames is shorter"):
        folder.write(run, three, tmp_path, pooled=True)


def test_records_without_every_frame_are_refused(network, grid_records, tmp_path):
    with pytest.raises(UserError, match="hold 3 frames of each video, and features are of every"):
        folder.write(network, grid_records, tmp_path / "new", pooled=True)
    assert not (tmp_path / "new").exists()


def test_an_id_that_is_a_path_stays_below_its_class(three):
    video = three.videos[0]

    def path_of(**changes):
        return folder.paths_of(dataclasses.replace(video, **changes), ("rgb",))["rgb"]

    assert path_of(class_name="A", id="A/anna/1.mp4") == "A/anna/1.mp4-rgb.npy"
    assert path_of(class_name="A", id="1") == "A/1-rgb.npy"
    for changes in ({"id": "../../x"}, {"class_name": ".."}, {"class_name": "/etc"}):
        with pytest.raises(UserError, match="has no place in a folder"):
            path_of(**changes)


def test_an_index_of_something_else_is_not_replaced(network, three, tmp_path):
    (tmp_path / "index.csv").write_text("mine")
    with pytest.raises(UserError, match=r"index\.csv is there and of something else than these"):
        folder.write(network, three, tmp_path, pooled=True)
    assert {path.name for path in tmp_path.iterdir()} == {"index.csv", ".lock"}
    assert (tmp_path / "index.csv").read_text() == "mine"
