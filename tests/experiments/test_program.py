import subprocess
import sys

import pytest

PROGRAM = '''"""Adds one.

And no more.
"""
from absl import flags
from experiments import program
from preprocessing.errors import UserError

NUMBER = flags.DEFINE_integer("number", None, "what to add to", required=True)


def main(argv):
    if NUMBER.value < 0:
        raise UserError("number -1 is negative:\\ngive 0 or more")
    if NUMBER.value == 7:
        raise ZeroDivisionError("a fault of the program")
    if NUMBER.value == 8:
        raise KeyboardInterrupt
    print(NUMBER.value + 1)


if __name__ == "__main__":
    program.run(main)
'''


def _run(tmp_path, *arguments):
    path = tmp_path / "adds.py"
    path.write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, path, *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "error: --number is missing (--help lists the flags)"),
        (["--number=-1"], "error: number -1 is negative: give 0 or more"),
        (["--number=8"], "error: stopped by Ctrl-C"),
        (["--number=2", "more"], "error: 'more' is not a flag: write --name=value (--help lists"),
        (["--nunber=2"], "error: Unknown command line flag 'nunber'. Did you mean: number ?"),
        (["--number=two"], "error: flag --number=two: invalid literal for int()"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_1(tmp_path, arguments, line):
    done = _run(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_a_fault_of_the_program_keeps_its_traceback(tmp_path):
    done = _run(tmp_path, "--number=7")
    assert done.returncode != 0
    assert "Traceback" in done.stderr and "ZeroDivisionError" in done.stderr


def test_help_and_plain_run_exit_0(tmp_path):
    shown = _run(tmp_path, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("Adds one.")
    assert "--number: what to add to" in shown.stdout
    assert _run(tmp_path, "--number=41").stdout == "42\n"
