"""Features as a person computes and loads them."""

import csv
import subprocess
import sys

import numpy as np
import pytest


def _run(*arguments):
    command = [sys.executable, "-m", "experiments.features", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_features_of_vgg16_load_with_numpy(tiny_records, notop, tmp_path):
    command = (
        f"--records={tiny_records.folder}",
        f"--output={tmp_path}",
        f"--weights={notop}",
        "--pooled",
    )
    done = _run(*command)
    assert done.returncode == 0, done.stderr
    without, forecast, written = done.stdout.splitlines()
    assert without.startswith("without fc6: it needs weights with VGG-16's fc1")
    frames = sum(video.num_frames for video in tiny_records.videos)
    assert forecast.startswith(f"features of {frames} frames of 24 videos in {tmp_path}: ")
    assert written == f"written: {tmp_path / 'index.csv'} (24 videos)"
    with open(tmp_path / "index.csv", newline="") as file:
        for row in csv.DictReader(file):
            assert np.load(tmp_path / row["rgb"]).shape == (int(row["frames"]), 512)
    again = _run(*command)
    assert again.returncode == 0 and "features of" not in again.stdout
    other = _run(*command[:3])
    assert other.returncode == 1 and "is of other features than these" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "error: one of --weights=FILE.h5 (or imagenet) and --network=RUN is needed"),
        (["--weights=a.h5", "--network=run"], "error: one of --weights=FILE.h5"),
        (["--weights=nowhere.h5"], "error: VGG-16 weights file nowhere.h5 is missing"),
        (["--network=nowhere"], "error: nowhere does not exist; a run's folder"),
        (["--weights=a.h5", f"--output={__file__}"], f"error: --output={__file__}: "),
    ],
)
def test_a_mistake_is_one_line(tiny_records, tmp_path, arguments, line):
    done = _run(f"--records={tiny_records.folder}", f"--output={tmp_path / 'new'}", *arguments)
    assert done.returncode == 1 and done.stderr.startswith(line), done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "new").exists()
