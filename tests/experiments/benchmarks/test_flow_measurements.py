import functools

import cv2
import numpy as np
import pytest

from experiments.benchmarks import films, flow_measurements
from preprocessing.flow import device


@pytest.mark.slow
def test_each_solver_has_a_row_and_the_ratio_is_to_opencv_on_one_core():
    textures = films.moving_textures(4, 24, 24)
    frames = np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in textures])
    rows = flow_measurements.solver_speeds(frames, batches=[2], backends=["tensorflow"])
    solvers = [(row.solver, row.batch) for row in rows]
    assert solvers[0] == ("opencv", 1) and solvers[-1] == ("keras (tensorflow)", 2)
    for row in rows:
        assert row.pairs_per_second > 0
        assert row.ratio == pytest.approx(row.pairs_per_second / rows[0].pairs_per_second)
    # The second call is the timed one: it does not compile.
    keras = rows[-1]
    assert keras.first_seconds > 2 * len(frames) / keras.pairs_per_second
    assert keras.bound > 0 and rows[0].bound is None


def stand_in(size, batch):
    return lambda first, second: np.stack([first, second], -1).astype("float32"), batch, "cpu"


def test_the_device_reports_how_busy_it_was(monkeypatch):
    monkeypatch.setattr(device, "Device", functools.partial(device.Device, make_solver=stand_in))
    frames = list(films.moving_textures(9, 48, 32))
    done, seconds = flow_measurements.device_statistics(frames, 6, size=16, workers=2, flow_batch=4)
    assert done.pairs == 4 + 12 + 6 + 10 + 4 + 12 and done.batch == 4
    assert 0 < done.busy <= 1 and 0.25 < done.fill <= 1
    assert done.start_seconds + done.span_seconds < seconds
    assert f"48 pairs in {done.batches} batches of 4" in str(done)
