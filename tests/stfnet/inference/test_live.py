import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from preprocessing import flow, video
from preprocessing.errors import UserError
from stfnet import sampling
from stfnet.config import ClipConfig, RecordsConfig, TrainingConfig
from stfnet.inference import capture, live, prediction
from stfnet.inference.clip import read_clip
from stfnet.networks import ModelConfig
from stfnet.run.config import RunConfig


@pytest.fixture
def computed(monkeypatch):
    """Pairs of grey frames that flow was computed of, in order."""
    pairs, fields = [], flow.Solver.fields

    def counted(solver, frames):
        pairs.append(frames)
        return fields(solver, frames)

    monkeypatch.setattr(flow.Solver, "fields", counted)
    return pairs


def _fill(window, path):
    for frame in video.read_frames(path):
        window.add(frame)
    return window


def test_a_window_over_a_whole_video_is_its_test_clip(tiny_run, moving_square, computed):
    config = prediction.load_run(tiny_run)[1]
    clip = config.model.clip
    config = dataclasses.replace(config, records=RecordsConfig("jpeg", 60))
    expected = read_clip(moving_square, clip, stored=config.records)  # frames 0, 3, 6
    computed.clear()
    window = live.SlidingWindow(config, 3, "fast")
    inputs = _fill(window, moving_square).clip_inputs()
    assert [number for number, *_ in window.samples] == [0, 3, 6]
    for stream in ("rgb", "flow"):
        np.testing.assert_array_equal(inputs[stream], expected[stream])
    # Once a pair, in the order of the frames.
    assert len(computed) == 10
    for first, second in itertools.pairwise(computed):
        np.testing.assert_array_equal(first[1], second[0])


def test_the_window_follows_what_moves_and_flow_is_of_one_window(tiny_run):
    """A bright block over still noise, first on the left, then on the right."""
    config = prediction.load_run(tiny_run)[1]
    clip = dataclasses.replace(config.model.clip, resize="motion")
    model = dataclasses.replace(config.model, clip=clip)
    window = live.SlidingWindow(dataclasses.replace(config, model=model), 3, "fast")
    rng = np.random.default_rng(0)
    still = rng.integers(0, 90, (60, 160, 3), np.uint8)
    brightness = []
    for k in range(60):
        frame = still.copy()
        left = (10 if k < 30 else 130) + k % 6
        frame[20:40, left : left + 14] = 255
        window.add(frame)
        if window.samples:
            brightness.append(window.samples[-1][1].max(axis=(0, 1)).min())
    # The block is in the window but for the first frames after it came and after it jumped.
    assert np.mean(np.array(brightness) > 200) > 0.75 and brightness[-1] > 200
    # The background stands still: a field between two windows would move all of it.
    fields = np.stack([stack for *_, stack in window.samples]).astype(int)
    assert np.median(np.abs(fields - 128)) <= 1
    inputs = window.clip_inputs()
    assert inputs["rgb"].shape[1:3] == (clip.image_size, clip.image_size)


@pytest.mark.parametrize(
    ("tau_range", "num_frames", "interval"),
    [
        ((2, 10), 240, 6),
        ((2, 10), 10, 4),  # three frames fit into ten with every fourth
        ((5, 1000), 240, 119),
        ((5, 1000), 2, 1),
        ((5, 1000), 0, 124),  # of a run that does not say how long its videos are
        ((2, 10), 0, 6),
    ],
)
def test_the_usual_interval_is_that_of_the_training_clips(tau_range, num_frames, interval):
    config = RunConfig(
        "tiny",
        ("Bow", "Jump"),
        ModelConfig(2, ClipConfig(num_frames=3)),
        TrainingConfig(tau_range=tau_range),
        records=RecordsConfig(num_frames=num_frames),
    )
    assert live.usual_interval(config) == interval
    if num_frames:
        rng = np.random.default_rng(0)
        trained = [sampling.train_indices(num_frames, 3, tau_range, rng) for _ in range(500)]
        assert np.median(np.diff(trained)) == pytest.approx(interval, abs=1)


def test_only_fields_of_a_stack_are_computed(tiny_run, moving_square, computed):
    config = prediction.load_run(tiny_run)[1]
    window = _fill(live.SlidingWindow(config, 6), moving_square)
    # Of 10 fields, frame 0 takes 0 and 1, frame 6 takes 4 to 7; 10 begins the stack of frame 12.
    assert len(computed) == 2 + 4
    assert [number for number, *_ in window.samples] == [0, 6]
    computed.clear()
    model = dataclasses.replace(config.model, streams="rgb")
    _fill(live.SlidingWindow(dataclasses.replace(config, model=model), 6), moving_square)
    assert not computed


def test_a_file_is_followed_to_its_end(tiny_run, moving_square, tmp_path):
    model, config = prediction.load_run(tiny_run)
    lines, path = [], tmp_path / "live.mp4"
    source = capture.open_capture(str(moving_square))
    ranking = live.watch(model, config, source, path, interval=2, show=lines.append)
    assert ranking[0][0] in config.classes
    # T = 3, every second frame: windows end at the samples 4, 6 and 8, whose stacks need 2 more.
    assert [line.split()[1] for line in lines[:-1]] == ["7", "9", "11"]
    assert "frames/s" in lines[0] and "latency" in lines[0]
    assert lines[-1].startswith("11 frames at") and "3 predictions" in lines[-1]
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 11
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_shorter_than_the_window_gets_a_label(tiny_run, moving_square):
    model, config = prediction.load_run(tiny_run)
    lines = []
    source = capture.open_capture(str(moving_square))
    assert live.watch(model, config, source, interval=10, show=lines.append)
    assert len(lines) == 2


def test_a_camera_that_disappears_is_named_and_its_video_kept(tiny_run, camera, tmp_path):
    model, config = prediction.load_run(tiny_run)
    path, lines = tmp_path / "live.mp4", []
    source = capture.open_capture(camera)
    with pytest.raises(UserError, match=r"camera\.mjpeg ended after 12 frames: it was disconn"):
        live.watch(model, config, source, path, interval=2, show=lines.append)
    assert lines[-1].startswith("12 frames at")
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 12


@pytest.mark.parametrize("path", ["new/live.mp4", None])
def test_a_stop_before_the_first_frame_is_one_line_and_leaves_nothing(tiny_run, tmp_path, path):
    class Stopped:
        fps, dropped, notes = 25.0, 0, ()

        def __iter__(self):
            raise KeyboardInterrupt

        def close(self):
            pass

    model, config = prediction.load_run(tiny_run)
    with pytest.raises(UserError, match="stopped before the first frame"):
        live.watch(model, config, Stopped(), path and tmp_path / path, interval=2)
    assert not list(tmp_path.iterdir())
