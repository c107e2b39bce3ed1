import subprocess
import sys

import pytest


def _run(*arguments):
    command = [sys.executable, "-m", "experiments.export", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_an_export_prints_its_size_and_classes(make_run, tmp_path):
    # Of frames alone, so that there is no flow solver to be traced.
    done = _run(f"--workdir={make_run(streams='rgb')}", f"--output={tmp_path / 'export'}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "export" / "classes.txt").read_text().split() == ["Bow", "Jump", "Wave"]
    assert done.stdout.startswith(f"written: {tmp_path / 'export'} (")
    assert "3 classes" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--output=new"], "error: --workdir is missing"),
        (["--workdir=/nowhere", f"--output={__file__}"], f"error: --output={__file__}: "),
    ],
)
def test_a_mistake_is_one_line(arguments, line):
    done = _run(*arguments)
    assert done.returncode == 1 and done.stderr.startswith(line)
