import subprocess
import sys

import pytest

PROGRAM = '''"""Adds one.

And no more.
"""
from absl import flags
from experiments import program
from preprocessing.errors import UserError

flags.DEFINE_string("name", None, "whose")
flags.DEFINE_float("weight", 1.0, "of it")
flags.DEFINE_string("output", None, "folder")
NUMBER = flags.DEFINE_integer("number", None, "what to add to", required=True)


def main(argv):
    if NUMBER.value < 0:
        raise UserError("number -1 is negative:\\ngive 0 or more")
    if NUMBER.value == 7:
        raise ZeroDivisionError("a fault of the program")
    if NUMBER.value == 8:
        raise KeyboardInterrupt
    if NUMBER.value == 9:
        open(__file__ + "/x")
    if NUMBER.value == 10:
        program.refuse_without_effect(["weight", "name"], "with --number=10")
    if NUMBER.value == 11:
        program.output_folder("output")
    if NUMBER.value == 12:
        print("a\\udcff")
    if NUMBER.value == 13:
        with open("/dev/full", "w") as file:
            file.write("weights")
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
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "", "PYTHONIOENCODING": "utf-8:strict"},
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "error: --number is missing (--help lists the flags)"),
        (["--number=-1"], "error: number -1 is negative: give 0 or more"),
        (["--number=8"], "error: stopped by Ctrl-C"),
        (["--number=2", "more"], "error: 'more' is not a flag: write --name=value (--help lists"),
        (["--nunber=2"], "error: Unknown command line flag 'nunber'. Did you mean: number ?"),
        (["--number=2", "--name="], "error: --name is empty: give it a value or leave it out"),
        (["--number=2", "--weight=nan"], "error: --weight=nan is not a finite number"),
        (["--number=9"], "error: [Errno 20] Not a directory"),
        (
            ["--number=13"],
            "error: [Errno 28] No space left on device; make room, and start the same command",
        ),
        (["--number=10", "--name=a"], "error: --name has no effect with --number=10: leave it out"),
        (["--number=11", f"--output={__file__}"], f"error: --output={__file__}: {__file__} is no"),
        (["--number=11", f"--output={__file__}/x"], f"error: --output={__file__}/x: {__file__} is"),
        (["--number=11", "--output=/proc/x"], "error: --output=/proc/x: /proc cannot be written"),
        (["--number=two"], "error: flag --number=two: invalid literal for int()"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_1(tmp_path, arguments, line):
    done = _run(tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "lines",
    [
        "from experiments import program\nraise KeyboardInterrupt",  # while modules are imported
        "from experiments import program\nimport interrupted",
    ],
)
def test_ctrl_c_before_the_program_runs_is_one_line(tmp_path, lines):
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt")
    (tmp_path / "adds.py").write_text(lines)
    done = subprocess.run(
        [sys.executable, tmp_path / "adds.py"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
    )
    assert (done.returncode, done.stderr) == (1, "error: stopped by Ctrl-C\n")


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


def test_a_path_that_is_no_text_can_be_printed(tmp_path):
    assert _run(tmp_path, "--number=12").stdout.startswith("a\\udcff\n")


def test_an_output_that_can_be_made_is_taken_and_not_yet_made(tmp_path):
    assert _run(tmp_path, "--number=11", f"--output={tmp_path}/new/one").returncode == 0
    assert not (tmp_path / "new").exists()


STARTED = """
import sys, matplotlib
from experiments import program
program.start_tensorflow()
print([name in sys.modules for name in ("keras", "sklearn", "matplotlib")])
import keras, sklearn.linear_model
print(keras.ops.sum(keras.ops.ones(3)).numpy(), sys.modules["matplotlib"] is matplotlib)
"""


def test_tensorflow_starts_without_what_only_keras_imports():
    done = subprocess.run([sys.executable, "-c", STARTED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[True, False, True]", "3.0 True"]
