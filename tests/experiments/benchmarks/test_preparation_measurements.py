import cv2
import numpy as np
import pytest

from experiments.benchmarks import films, preparation
from experiments.benchmarks import preparation_measurements as measurements
from preprocessing import flow


def test_the_bare_loop_and_the_workers_have_the_same_pairs(tmp_path):
    frames = list(films.moving_textures(9, 96, 64))
    films.write_clips(tmp_path / "clips", frames, 3)
    grey = measurements.decoded(tmp_path / "clips", 32)
    assert grey.shape == (9, 32, 32)
    for decoded, frame in zip(grey, frames, strict=True):
        expected = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (32, 32), interpolation=3)
        assert np.abs(decoded.astype(int) - expected).mean() < 4
    assert (flow.tvl1(grey) == measurements.bare_loop(grey)[-1]).all()


def test_agreement_counts_values_within_one_level():
    level = 20 / 127.5
    reference = np.zeros((1, 2, 2, 2), np.float32)
    fields = reference.copy()
    fields[0, 0, 0] = level, -level  # one level away
    fields[0, 1, 1, 0] = 2 * level
    assert measurements.agreement(fields, reference) == 7 / 8


def test_the_reference_is_held_against_itself_at_the_scale_of_its_frames():
    grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in films.moving_textures(3, 64, 48)]
    reference = flow.tvl1(np.stack(grey))
    assert measurements.self_agreement(np.stack(grey), reference) > 0.8
    assert measurements.self_agreement(np.stack(grey), -reference) < 0.1


@pytest.mark.slow
def test_every_figure_is_measured():
    frames = films.moving_textures(9, 96, 64)
    figures = measurements.measure(frames, size=32, workers=2, memory_frames=8)
    assert figures["pairs"] == 8 and figures["workers"] == 2
    assert figures["ratio"] == pytest.approx(
        figures["reference_seconds"] * min(2, figures["cores"]) / figures["bare_seconds"]
    )
    # A process of its own has to load OpenCV before its first pair.
    assert figures["processor_ratio"] > 1 and figures["reference_ending_seconds"] > 0
    assert 0.5 < figures["self_agreement"] <= 1
    assert 0.5 < figures["fast_agreement"] <= 1 and 0 < figures["moving_pixels"] <= 1
    assert [count for count, _ in figures["megabytes"]] == [4, 8]
    assert all(30 < size < 600 for _, size in figures["megabytes"])
    lines = preparation.table(figures).splitlines()
    assert lines[0].startswith("8 pairs at 32 x 32") and len(lines) == 4 + 12
    assert all(line.count("|") == 4 for line in lines[2:])
