"""The flags of the evaluation, as a person gives them."""

import subprocess
import sys

import pytest

from preprocessing import splits
from stfnet import run


def _run(*arguments):
    command = [sys.executable, "-m", "experiments.evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_choices_of_the_flags_are_those_of_the_library():
    text = " ".join(_run("--help").stdout.split())
    for flag, choices in (("protocol", splits.PROTOCOLS), ("split", (*run.PARTS, "unseen"))):
        assert f"--{flag}: <{'|'.join(choices)}>" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split=all"], "--split"),
        (["--folds=all", "--fold=2"], "--folds names the splits: leave --protocol and --fold out"),
        ([], "does not exist; a run's folder"),
        (["--mirror_pairs=a:b"], "--mirror_pairs has no effect without --flip"),
        (["--fuse=a,b", "--split=val"], "--split has no effect with --fuse"),
        (["--fuse=a"], "--fuse=a names one run"),
        (["--fuse=a,b"], "a/results.json is missing: run experiments.evaluate --workdir=a first"),
        (["--timing", "--flip"], "--flip has no effect with --timing"),
        (["--num_clips=0"], "--num_clips"),
    ],
)
def test_mistakes_are_one_line(tiny_records, tmp_path, arguments, message):
    done = _run(f"--records={tiny_records.folder}", f"--workdir={tmp_path / 'none'}", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
