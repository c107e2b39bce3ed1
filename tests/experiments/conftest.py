"""Programs as a person runs them: `python -m experiments.NAME ...`."""

import json
import os
import subprocess
import sys

import pytest

# Runs a program with one list of flags after the other: starting it again takes seconds.
CHILD = """
import contextlib, importlib, io, json, sys, traceback
from absl import flags
program = importlib.import_module("experiments." + sys.argv[1])
ends = []
for arguments in json.loads(sys.argv[2]):
    for override in [flag for flag in flags.FLAGS if flag.startswith("config.")]:
        delattr(flags.FLAGS, override)
    flags.FLAGS.unparse_flags()
    sys.argv[1:] = arguments
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        try:
            program.cli()
        except SystemExit as end:
            ends.append((end.code or 0, printed.getvalue(), errors.getvalue()))
        except BaseException:
            ends.append((None, printed.getvalue(), errors.getvalue() + traceback.format_exc()))
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
print(json.dumps(ends))
"""


def _run(root, command, folder, timeout=900):
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder or root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="session")
def run_program(request):
    """Function of a program's name and flags that returns the ended process."""
    root = request.config.rootpath
    return lambda name, *flags: _run(root, ["-m", f"experiments.{name}", *flags], None)


@pytest.fixture(scope="session")
def small():
    """Flags of a network so small that a training takes seconds."""
    return (
        "--config=experiments/configs/synthetic.py",
        "--config.model.clip.num_frames=3",
        "--config.model.clip.image_size=32",
        "--config.model.width_divisor=32",
        "--config.model.fc6_units=8",
        "--config.model.lstm_units=8",
        "--config.training.max_epochs=(1,1)",
        "--config.training.batch_size=4",
    )


@pytest.fixture(scope="session")
def run_often(request):
    """Function of a program's name and lists of flags that runs it with each, in one process.

    Returns for each the exit status (None after a traceback), what was printed, and the errors.
    """

    def run(name, lists, folder=None, timeout=300):
        flags = json.dumps([list(map(str, one)) for one in lists])
        command = ["-c", CHILD, name, flags]
        ended = _run(request.config.rootpath, command, folder, timeout)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout.splitlines()[-1])

    return run


@pytest.fixture(scope="session")
def check_mistakes(run_often):
    """Function that checks mistakes, a program's flags and what its error says, of one process.

    Each ends with status 1 and one line on stderr, and prints nothing else.
    """

    def check(name, mistakes, folder=None):
        ends = run_often(name, [case for case, _ in mistakes], folder)
        for end, (case, message) in zip(ends, mistakes, strict=True):
            status, printed, errors = end
            assert (status, printed) == (1, ""), (case, end)
            assert errors.startswith("error: ") and errors.count("\n") == 1, (case, errors)
            assert message in errors, (case, errors)

    return check
