"""Programs as a person runs them: `python -m experiments.NAME ...`."""

import json
import os
import subprocess
import sys

import pytest

# Runs a program with one list of flags after the other: starting it again takes seconds.
CHILD = """
import contextlib, importlib, io, json, sys
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
            ends.append((end.code, printed.getvalue(), errors.getvalue()))
print(json.dumps(ends))
"""


def _run(root, command, folder):
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder or root,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="session")
def run_program(request):
    """Function of a program's name and flags that returns the ended process."""
    root = request.config.rootpath
    return lambda name, *flags: _run(root, ["-m", f"experiments.{name}", *flags], None)


@pytest.fixture(scope="session")
def check_mistakes(request):
    """Function that checks mistakes, a program's flags and what its error says, of one process.

    Each ends with status 1 and one line on stderr, and prints nothing else.
    """

    def check(name, mistakes, folder=None):
        flags = json.dumps([list(map(str, case)) for case, _ in mistakes])
        ended = _run(request.config.rootpath, ["-c", CHILD, name, flags], folder)
        assert ended.returncode == 0, ended.stderr
        for end, (case, message) in zip(json.loads(ended.stdout), mistakes, strict=True):
            status, printed, errors = end
            assert (status, printed) == (1, ""), (case, end)
            assert errors.startswith("error: ") and errors.count("\n") == 1, (case, errors)
            assert message in errors, (case, errors)

    return check
