"""The program that writes the tables of the paper."""

import json
import subprocess
import sys


def _run(*arguments):
    command = [sys.executable, "-m", "experiments.compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_tables_are_printed_and_written(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    figures = {"dataset": "ucf11", "protocol": "paper", "fold": "1", "streams": "rgb"}
    (own / "results.json").write_text(
        json.dumps(figures | {"top1": 0.875, "leak": 0.99, "num_test": 480})
    )
    done = _run(f"--results={own}", f"--output={tmp_path / 'tables'}")
    assert done.returncode == 0, done.stderr
    assert "| STFNet here, frames alone | 87.5 |" in done.stdout
    printed, _, written = done.stdout.rpartition("written: ")
    assert printed.strip() == (tmp_path / "tables" / "comparison.md").read_text().strip()
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {name.split("/")[-1].strip() for name in written.split(",")} == names
    assert {"table1_ucf101.tex", "table2_ucf_sports.png", "times.csv"} <= names


def test_mistakes_are_one_line(tmp_path):
    done = _run(f"--results={tmp_path / 'none'}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "results.json is missing" in done.stderr and not done.stdout
