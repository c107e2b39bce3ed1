"""The examples in CONTRIBUTING.md do what they say with the code as it is."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from preprocessing.datasets import load
from preprocessing.errors import UserError
from preprocessing.flow import solver
from stfnet.evaluation import breakdown, metrics

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def example(path, **names):
    """The names that an example defines, its first line being `# path`."""
    (code,) = re.findall(rf"```python\n# {re.escape(path)}\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(code, path, "exec"), names)
    return names


def test_the_data_set_gives_a_catalogue(tmp_path):
    gestures = example("preprocessing/datasets/gestures.py")
    (tmp_path / "wave").mkdir()
    with pytest.raises(UserError, match="has no clips"):
        gestures["load"](tmp_path)
    for name in ("anna_1.mp4", "anna_2.mp4", "ben_1.mp4"):
        (tmp_path / "wave" / name).write_bytes(b"")
    catalogue = gestures["load"](tmp_path)
    assert [video.group for video in catalogue.videos] == ["anna", "anna", "ben"]
    loader, archives = load._ON_DISK["folder"]  # what the example's line is one more of
    assert callable(loader) and archives == {}


def test_the_flow_follows_a_moving_texture():
    calc = example("preprocessing/flow/farneback.py")["calc"]
    frame = np.kron(np.random.default_rng(0).integers(0, 255, (16, 16)), np.ones((4, 4)))
    frame = frame.astype(np.uint8)
    field = calc(frame, np.roll(frame, 2, axis=1))
    assert field.dtype == np.float32 and field.shape == (64, 64, 2)
    assert np.median(field[16:-16, 16:-16, 0]) == pytest.approx(2, abs=0.3)
    source = inspect.getsource(solver.Solver.solve)
    assert "for first, second in pairs:" in source and solver.METHODS


def test_the_network_takes_clips_and_gives_probabilities():
    from stfnet import ClipConfig, build_stfnet, complexity

    cls = example("stfnet/networks/frame_average.py")["FrameAverageConfig"]
    config = cls(num_classes=3, clip=ClipConfig(num_frames=2, image_size=32), width_divisor=16)
    network = build_stfnet(config)
    clips = {name: np.zeros((1, *x.shape[1:]), np.uint8) for name, x in network.input.items()}
    answer = np.asarray(network(clips))
    assert answer.shape == (1, 3) and answer.sum() == pytest.approx(1)
    assert complexity.head_multiply_adds(config) == 2 * 32 * 3
    assert network.get_layer("logits").count_params() == (2 * 32 + 1) * 3


def test_the_metric_counts_from_one():
    mean_rank = example("stfnet/evaluation/metrics.py", **vars(metrics))["mean_rank"]
    assert mean_rank(np.array([[0.6, 0.4], [0.7, 0.3]]), np.array([0, 1])) == 1.5
    assert '"macro_f1": metrics.macro_f1(' in inspect.getsource(breakdown.breakdown)
