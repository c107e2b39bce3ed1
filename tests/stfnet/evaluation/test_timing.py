"""The time of a prediction: what is timed, and that it is the time that passes."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import run_config

from preprocessing import records
from stfnet import build_stfnet, run
from stfnet.clips import plans
from stfnet.config import ClipConfig
from stfnet.evaluation import timing
from stfnet.inference.clip import read_clip
from stfnet.inference.prediction import predict_clip
from stfnet.networks import ModelConfig

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


class _Network:
    """Stands in for a network; its prediction takes some seconds of a clock that it has."""

    def __init__(self, seconds=0.0):
        self.now, self.seconds, self.inputs = 0.0, seconds, []

    def predict_on_batch(self, inputs):
        self.inputs.append(inputs)
        self.now += self.seconds
        return np.array([[1.0, 0.0, 0.0]])


def test_the_time_is_that_of_the_network_and_of_reading(tiny_records, monkeypatch):
    config, network = run_config(ModelConfig(3, CLIP), tiny_records), _Network(0.25)
    stored_clip = timing.stored_clip

    def slow_clip(*arguments):
        network.now += 0.5
        return stored_clip(*arguments)

    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: network.now))
    monkeypatch.setattr(timing, "stored_clip", slow_clip)
    figures = timing.measure(network, tiny_records, config, np.arange(4), repeats=3)
    assert (figures["with_flow_stored"], figures["with_flow_computed"]) == (0.75, 0.25)
    assert (figures["videos"], figures["num_frames"], figures["image_size"]) == (3, 3, 32)
    assert len(network.inputs) == 2 * (1 + 3)  # the first call of each is not timed
    assert {len(inputs["rgb"]) for inputs in network.inputs} == {1}  # one video at a time
    json.dumps(figures, allow_nan=False)


def test_a_network_of_frames_alone_has_no_time_with_flow(tiny_records):
    network = _Network()
    config = run_config(ModelConfig(3, CLIP, streams="rgb"), tiny_records)
    figures = timing.measure(network, tiny_records, config, np.arange(2), repeats=1)
    assert figures["with_flow_computed"] is None
    assert all(set(inputs) == {"rgb"} for inputs in network.inputs)


def test_records_of_a_grid_lack_the_frames_of_which_flow_is_computed(grid_records):
    clip = ClipConfig(num_frames=3, flow_length=2, image_size=32)
    config = run_config(ModelConfig(3, clip), grid_records, frame_grid=3)
    figures = timing.measure(_Network(), grid_records, config, np.arange(2), repeats=1)
    assert figures["with_flow_stored"] > 0 and figures["with_flow_computed"] is None


def test_both_clips_are_those_of_the_video(tiny_records):
    config = run_config(ModelConfig(3, CLIP), tiny_records)
    for position in (0, 13):
        stored = timing.stored_clip(tiny_records, config, position)
        computed = timing.computed_clip(tiny_records, config, position)
        video = tiny_records.videos[position]
        (path,) = (tiny_records.folder.parent / "videos").rglob(f"{video.id.split('/')[-1]}.*")
        original = read_clip(path, CLIP)
        for name in ("rgb", "flow"):
            assert stored[name].shape == computed[name].shape == original[name].shape
            # But for the loss of JPEG.
            for clip in (stored, computed):
                difference = np.abs(clip[name].astype(int) - original[name])
                assert difference.mean() < 6, name
        np.testing.assert_array_equal(stored["rgb"], computed["rgb"])


def test_flow_is_solved_from_the_stored_frames(tiny_records):
    import cv2

    video = tiny_records.videos[0]
    images = records.read_video(tiny_records, video)["frames"]
    plan = plans.plan_evaluation(tiny_records, np.array([0]), CLIP, 1)
    first = int(plan.flow[0, 1, 0])
    gray = [
        cv2.cvtColor(records.decode_frame(images[k]), cv2.COLOR_RGB2GRAY)
        for k in (first, first + 1)
    ]
    field = cv2.optflow.DualTVL1OpticalFlow_create().calc(*gray, None)
    expected = np.clip(np.round(128 + field * 127.5 / CLIP.flow_bound), 0, 255)
    computed = timing.computed_clip(
        tiny_records, run_config(ModelConfig(3, CLIP), tiny_records), 0
    )["flow"][1, ..., :2]
    # One level from the solver, and JPEG as in the records.
    assert np.abs(computed.astype(int) - expected).max() <= 3


def test_a_run_is_timed_and_its_file_is_written(tiny_records, make_run):
    folder = make_run(record_set=tiny_records)
    figures, path = timing.time_run(folder, tiny_records)
    assert path == folder / "timing.json" and json.loads(path.read_text()) == figures
    assert 0 < figures["with_flow_stored"] < 60 and figures["device"]


def test_networks_are_timed_in_turns_and_once(tiny_records, make_run, tmp_path, monkeypatch):
    order = []

    def predict(model, inputs):
        order.append((len(model.weights), inputs["rgb"].tobytes()))
        return predict_clip(model, inputs)

    monkeypatch.setattr(timing, "predict_clip", predict)
    folders = {name: make_run(record_set=tiny_records, streams=name) for name in ("both", "rgb")}
    path = tmp_path / "times.json"
    figures = timing.time_in_turns(folders, tiny_records, path)
    assert json.loads(path.read_text()) == figures and list(figures["seconds"]) == list(folders)
    assert all(0 < seconds < 60 for seconds in figures["seconds"].values())
    assert figures["rounds"] == 5 and len(order) == 2 * (1 + 5)  # the first call is not timed
    rounds = [order[k : k + 2] for k in range(2, 12, 2)]
    assert all(first[0] > second[0] and first[1] == second[1] for first, second in rounds)
    # What was timed in one run stands; with another network all are timed again.
    assert timing.time_in_turns({"rgb": folders["rgb"]}, tiny_records, path) == figures
    assert len(order) == 12
    timing.time_in_turns({**folders, "again": folders["both"]}, tiny_records, path)
    assert len(order) == 12 + 3 * (1 + 5)
    model = run.read_config(folders["rgb"]).model
    build_stfnet(model).save(folders["rgb"] / run.BEST_FILE)  # trained again
    timing.time_in_turns(folders, tiny_records, path)
    assert len(order) == 30 + 2 * (1 + 5)
    path.write_text(path.read_text()[:-9])
    timing.time_in_turns(folders, tiny_records, path)  # a damaged file is made again
    assert len(order) == 42 + 2 * (1 + 5)


def test_clips_of_a_runs_test_videos_are_those_of_its_records(tiny_records, make_run):
    folder = make_run(record_set=tiny_records)
    config = run.read_config(folder)
    test = run.locate(run.read_videos(folder), tiny_records).test
    clips = timing.stored_test_clips(folder, tiny_records, config, 2)
    assert {name: len(clip) for name, clip in clips.items()} == {"rgb": 2, "flow": 2}
    for row, position in enumerate((test[0], test[-1])):
        clip = timing.stored_clip(tiny_records, config, position)
        assert all((clips[name][row] == clip[name]).all() for name in clips)
    # Fewer where there are fewer, and what the network reads.
    config = run_config(ModelConfig(3, CLIP, streams="flow"), tiny_records)
    clips = timing.stored_test_clips(folder, tiny_records, config, 1000)
    assert {name: len(clip) for name, clip in clips.items()} == {"flow": len(test)}


def test_the_device_has_a_name():
    assert timing.device() and timing.device().isprintable()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_test_videos_will_do(tiny_records, count):
    network = _Network()
    config = run_config(ModelConfig(3, CLIP, streams="rgb"), tiny_records)
    timing.measure(network, tiny_records, config, np.arange(count), repeats=5)
    assert len(network.inputs) == 1 + 5
