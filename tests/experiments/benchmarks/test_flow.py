import functools

import numpy as np
import pytest

from experiments.benchmarks import flow, preparation
from preprocessing import video
from preprocessing.flow.service import server


def test_each_solver_has_a_row_and_the_ratio_is_to_opencv_on_one_core():
    frames = flow.moving_textures(4, 24)
    assert frames.dtype == np.uint8 and frames.shape == (4, 24, 24)
    assert frames[0].std() > 20 and (frames[0] != frames[1]).mean() > 0.5
    rows = flow.flow(frames, batches=[2], backends=["tensorflow"])
    solvers = [(row["solver"], row["batch"]) for row in rows]
    assert solvers[0] == ("opencv", 1) and solvers[-1] == ("keras (tensorflow)", 2)
    for row in rows:
        assert row["pairs_per_second"] > 0
        ratio = row["pairs_per_second"] / rows[0]["pairs_per_second"]
        assert row["ratio"] == pytest.approx(ratio)
    # The second call is the timed one: it does not compile.
    keras = rows[-1]
    assert keras["first_seconds"] > 2 * len(frames) / keras["pairs_per_second"]
    lines = flow.table(rows).splitlines()
    assert len(lines) >= len(rows) + 1
    assert "keras (tensorflow)" in lines[len(rows)]


def stand_in(size, batch):
    return lambda first, second: np.stack([first, second], -1).astype("float32"), batch, "cpu"


def test_clips_differ_in_length_and_the_device_process_tells_its_share(tmp_path, monkeypatch):
    serving = functools.partial(server.serving, make_solver=stand_in)
    monkeypatch.setattr(server, "serving", serving)
    frames = list(preparation.moving_textures(9, 48, 32))
    flow.write_clips(tmp_path / "clips", frames, 6)
    paths = sorted((tmp_path / "clips").iterdir())
    lengths = [len(list(video.read_frames(path))) - 1 for path in paths]
    assert lengths == [4, 12, 6, 10, 4, 12]
    device, seconds = flow.device_share(frames, 6, size=16, workers=2, flow_batch=4)
    assert device.pairs == sum(lengths) and device.batch == 4
    assert 0 < device.busy <= 1 and 0.25 < device.fill <= 1
    assert device.start_seconds + device.span_seconds < seconds
    assert f"48 pairs in {device.batches} batches of 4" in str(device)
