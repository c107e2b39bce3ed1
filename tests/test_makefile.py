"""What make does before there is an environment; continuous integration runs the rest."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_central_tests_are_there():
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    (central,) = re.findall(r"^CENTRAL := (.*)$", text, re.MULTILINE)
    assert [name for name in central.split() if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("uv", [True, False])
def test_uv_installs_where_there_is_one(tmp_path, uv):
    for name in ["sh", "make"] + ["uv"] * uv:
        (tmp_path / name).symlink_to(shutil.which("true" if name == "uv" else name))
    command = ["make", "--dry-run", "install", "SHELL=sh", f"VENV={tmp_path}/venv"]
    alone = {"PATH": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=alone)
    python = f"{tmp_path}/venv/bin/python"
    by_uv = f"uv pip install --quiet --python {python} -e '.[cpu]'"
    assert (by_uv in ended.stdout) == uv, ended
    assert (f"{python} -m pip install" in ended.stdout) != uv


def _install(tmp_path, minor):
    """Runs `make install` with a Python that calls itself 3.MINOR and makes no environment."""
    python = tmp_path / "python"
    code = f"sys.version_info = (3, {minor}, 0)\nexec({{'-c': sys.argv[2]}}[sys.argv[1]])"
    python.write_text(f"#!{sys.executable}\nimport sys\n{code}\n")
    python.chmod(0o755)
    command = ["make", "install", f"PYTHON={python}", f"VENV={tmp_path}/venv"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return python, subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=alone)


@pytest.mark.parametrize("minor", [10, 14])
def test_a_python_that_setup_does_not_allow_is_refused_in_one_line(tmp_path, minor):
    python, ended = _install(tmp_path, minor)
    found = f"error: {python} is Python 3.{minor}, and 3.11 to 3.13 are needed"
    line, of_make = ended.stderr.splitlines()
    assert line == f"{found}: name one, PYTHON=python3.12" and of_make.startswith("make: ***")
    assert ended.returncode and not ended.stdout


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_the_others_make_an_environment(tmp_path, minor):
    python, ended = _install(tmp_path, minor)
    assert f"{python} -m venv {tmp_path}/venv" in ended.stdout and "error:" not in ended.stderr
