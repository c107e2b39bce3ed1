import cv2
import numpy as np
import pytest

from experiments.benchmarks import preparation as benchmark
from preprocessing import flow, video


def test_the_bare_loop_and_the_workers_have_the_same_pairs(tmp_path):
    frames = list(benchmark.moving_textures(9, 96, 64))
    assert frames[0].shape == (64, 96, 3) and (frames[0] != frames[1]).mean() > 0.5
    benchmark.write_clips(tmp_path / "clips", frames, 3)
    lengths = [
        len(list(video.read_frames(path))) for path in sorted((tmp_path / "clips").iterdir())
    ]
    assert sum(length - 1 for length in lengths) == 8
    grey = benchmark.decoded(tmp_path / "clips", 32)
    assert grey.shape == (9, 32, 32)
    for found, frame in zip(grey, frames, strict=True):
        expected = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (32, 32), interpolation=3)
        assert np.abs(found.astype(int) - expected).mean() < 4
    assert (flow.tvl1(grey) == benchmark.bare_loop(grey)[-1]).all()


def test_agreement_counts_values_within_one_level():
    level = 20 / 127.5
    reference = np.zeros((1, 2, 2, 2), np.float32)
    fields = reference.copy()
    fields[0, 0, 0] = level, -level  # one level away
    fields[0, 1, 1, 0] = 2 * level
    assert benchmark.agreement(fields, reference) == 7 / 8


def test_a_film_is_played_there_and_back(moving_square):
    film = [frame[..., ::-1] for frame in video.read_frames(moving_square)]
    played = list(benchmark.film_frames(moving_square, 25))
    order = [*range(11), *range(9, -1, -1), 1, 2, 3, 4]
    assert all((frame == film[k]).all() for frame, k in zip(played, order, strict=True))


@pytest.mark.slow
def test_every_figure_is_measured():
    frames = benchmark.moving_textures(9, 96, 64)
    found = benchmark.measure(frames, size=32, workers=2, memory_frames=8)
    assert found["pairs"] == 8 and found["workers"] == 2
    assert found["ratio"] == pytest.approx(
        found["reference_seconds"] * min(2, found["cores"]) / found["bare_seconds"]
    )
    # A process of its own has to load OpenCV before its first pair.
    assert found["processor_ratio"] > 1 and found["reference_ending_seconds"] > 0
    assert 0.5 < found["fast_agreement"] <= 1 and 0 < found["moving_pixels"] <= 1
    assert [count for count, _ in found["megabytes"]] == [4, 8]
    assert all(30 < size < 600 for _, size in found["megabytes"])
    lines = benchmark.table(found).splitlines()
    assert lines[0].startswith("8 pairs at 32 x 32") and len(lines) == 4 + 11
    assert all(line.count("|") == 4 for line in lines[2:])
