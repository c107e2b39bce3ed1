import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import configs, program

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
    if NUMBER.value == 15:
        with open(__file__) as file:
            print(flags.FLAGS.name, file.encoding)
    if NUMBER.value == 14:
        for _ in range(100_000):
            print("a line that nobody reads")
    if NUMBER.value == 13:
        with open("/dev/full", "w") as file:
            file.write("weights")
    print(NUMBER.value + 1)


if __name__ == "__main__":
    program.run(main)
'''


def _run(tmp_path, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, environment=None):
    path = tmp_path / "adds.py"
    path.write_text(PROGRAM)
    environment = environment or {"PYTHONIOENCODING": "utf-8:strict"}
    return subprocess.run(
        [sys.executable, path, *arguments],
        stdout=stdout,
        stderr=stderr,
        encoding="utf-8",
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "", **environment},
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
def test_ctrl_c_before_the_program_runs_is_one_line(run_python, tmp_path, lines):
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt")
    (tmp_path / "adds.py").write_text(lines)
    done = run_python(tmp_path / "adds.py")
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


EXPERIMENTS = Path(configs.__file__).parents[1]
PROGRAMS = sorted(
    path.stem for path in EXPERIMENTS.glob("*.py") if "program.run(" in path.read_text()
)
# Flags of text or lists that name no file or folder; every other is one of paths.
NO_PATHS = {
    "fold",
    "folds",
    "mirror_pairs",
    "class_name",
    "host",
    "beam_options",
    "classes",
    "baselines",
    "rate_factors",
}
SHOWN = """
import importlib, json, sys
from absl import flags
from experiments import program
module = importlib.import_module("experiments." + sys.argv.pop(1))
getattr(module, "define_flags", lambda: None)()

def main(_):
    shown = {name: flags.FLAGS[name].value for name in flags.FLAGS if flags.FLAGS[name].present}
    print(json.dumps(shown, default=lambda config: config.to_dict()))

main.__module__ = module.__name__
program.run(main)
"""
FLAGS = """
import importlib, json, sys
from absl import flags
module = importlib.import_module("experiments." + sys.argv[1])
getattr(module, "define_flags", lambda: None)()
own = flags.FLAGS.get_flags_for_module(module.__name__)
print(json.dumps({flag.name: flag.flag_type() for flag in own}))
"""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_home_is_found_in_every_flag_of_a_path(run_python, name, tmp_path):
    """A shell puts it in the place of ~ in `--workdir ~/run`, not in `--workdir=~/run`."""
    shutil.copy(EXPERIMENTS / "configs" / "paper.py", tmp_path / "mine.py")

    def ran(program, *arguments):
        done = run_python("-c", program, name, *arguments, HOME=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    given, expected = [], {}
    for flag, kind in ran(FLAGS, name).items():
        if flag == "config":
            given += ["--config=~/mine.py", "--config.training.weights=~/vgg16.h5"]
        elif flag in NO_PATHS or kind not in ("string", "comma separated list of strings"):
            continue
        elif kind == "string":
            given.append(f"--{flag}={'folder:' * (flag == 'source')}~/a~/b")
            expected[flag] = f"{'folder:' * (flag == 'source')}{tmp_path}/a~/b"
        else:
            given.append(f"--{flag}=~/a:1.5,~/b,c/~/d,~")
            expected[flag] = [f"{tmp_path}/a:1.5", f"{tmp_path}/b", "c/~/d", str(tmp_path)]
    shown = ran(SHOWN, *given)
    if name in ("train", "ablate", "compare"):
        assert shown["config"]["training"]["weights"] == f"{tmp_path}/vgg16.h5"
    assert {flag: shown[flag] for flag in expected} == expected
    assert expected


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_into_a_pipe_that_closes_ends_without_a_word(name):
    command = [sys.executable, "-m", f"experiments.{name}", "--help"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (14, 1, "error: stopped, since the pipe that takes the output was closed\n"),
        (1, 0, ""),  # all was done before
        (-1, 1, "error: number -1 is negative: give 0 or more\n"),
    ],
)
def test_a_pipe_that_closes_is_no_fault_of_the_program(tmp_path, number, status, line):
    reading, writing = os.pipe()
    os.close(reading)
    done = _run(tmp_path, f"--number={number}", stdout=writing)
    assert (done.returncode, done.stderr) == (status, line)
    done = _run(tmp_path, f"--number={number}", stdout=writing, stderr=writing)
    assert done.returncode == status
    os.close(writing)


def test_a_full_disk_below_the_output_is_a_line(tmp_path):
    with open("/dev/full", "w") as full:
        done = _run(tmp_path, "--number=1", stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: [Errno 28] No space left on device; make room")


def test_a_locale_of_ascii_starts_the_program_again_in_utf_8(tmp_path):
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = _run(tmp_path, "--number=15", "--name=Bücken", environment=ascii_only)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "Bücken utf-8\n16\n")


@pytest.mark.slow
def test_a_run_with_letters_beyond_ascii_works_in_a_locale_of_ascii(
    write_squares, run_in_turn, tmp_path
):
    write_squares(tmp_path / "videos", range(1, 6))
    first, *_ = sorted((tmp_path / "videos").iterdir())
    first.rename(first.with_name("Bücken"))
    film = sorted((tmp_path / "videos" / "Bücken").iterdir())[0]
    ascii_only = ("env", "LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0")
    small = {"clip.num_frames": 3, "clip.image_size": 32, "width_divisor": 32, "fc6_units": 8}
    commands = [
        ("prepare", "--source=folder:videos", "--output=records", "--image_size=32"),
        ("inspect_records", "--records=records", "--output=shown"),
        (
            "train",
            "--config=synthetic.py",
            "--records=records",
            "--workdir=run",
            *(f"--config.model.{setting}={value}" for setting, value in small.items()),
            "--config.training.max_epochs=(1,1)",
            "--config.training.batch_size=2",
        ),
        ("evaluate", "--records=records", "--workdir=run"),
        ("report", "--records=records", "--workdir=run", "--output=report"),
        ("predict", "--model=run", f"--video={film}", "--output=prediction"),
        ("export", "--workdir=run", "--output=export"),
    ]
    ends = run_in_turn(commands, folder=tmp_path, begin=ascii_only)
    for (name, *_), (status, printed, errors) in zip(commands, ends, strict=True):
        assert status == 0, (name, errors)
        assert "Traceback" not in errors
        if name in ("prepare", "evaluate", "predict"):
            assert "Bücken" in printed, (name, printed)
    assert "Bücken" in (tmp_path / "export" / "classes.txt").read_text("utf-8").splitlines()
    assert "Bücken" in (tmp_path / "report" / "report.html").read_text("utf-8")


def test_an_output_that_can_be_made_is_taken_and_not_yet_made(tmp_path):
    assert _run(tmp_path, "--number=11", f"--output={tmp_path}/new/one").returncode == 0
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 videos"), (1, "1 video"), (2, "2 videos"), (1000, "1000 videos")]
)
def test_a_number_has_its_noun(number, text):
    assert program.counted(number, "video") == text
    other = "of 3 classes has" if number == 1 else "of 3 classes have"
    assert program.counted(number, "of 3 classes has", "of 3 classes have") == f"{number} {other}"


BACKEND = """
from experiments import program
program.start_tensorflow()
import keras
print(keras.backend.backend())
"""


@pytest.mark.parametrize("named", ["variable", "file"])
def test_a_program_that_needs_tensorflow_takes_it_whatever_keras_is_set_to(
    run_python, named, tmp_path
):
    settings = {"backend": "torch", "image_data_format": "channels_first", "floatx": "float32"}
    (tmp_path / "keras.json").write_text(json.dumps({**settings, "epsilon": 1e-7}))
    file = {"KERAS_BACKEND": None, "KERAS_HOME": tmp_path}
    variables = {"KERAS_BACKEND": "jax"} if named == "variable" else file
    done = run_python("-c", BACKEND, **variables)
    assert (done.returncode, done.stdout) == (0, "tensorflow\n"), done.stderr


STARTED = """
import gc
from experiments import program
program.start_tensorflow()
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


def test_what_starts_with_tensorflow_is_not_searched_for_garbage_again(run_python):
    done = run_python("-c", STARTED)
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr
