"""A small round of the benchmark of faults."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_small_round_survives(tmp_path):
    only = "prepare,train,videos,checkpoints"  # the others take minutes
    arguments = ["--rounds=1", "--mutations=10", f"--only={only}", f"--output={tmp_path / 'work'}"]
    command = [sys.executable, "-m", "experiments.benchmark", "faults", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    counts = ["1", "1", "10", "10"]
    assert [row[:3] for row in rows] == [
        [name, count, count] for name, count in zip(only.split(","), counts, strict=True)
    ]
