import importlib
import subprocess
import sys

import pytest

from experiments import benchmark


def _run(*command):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True)


def test_without_a_name_it_is_said_what_can_be_measured():
    ended = _run("-m", "experiments.benchmark", "speed")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: 'speed' is not a flag")
    ended = _run("-m", "experiments.benchmark")
    assert ended.stderr.startswith("error: name what to measure, one of network, flow, ")


@pytest.mark.parametrize("name", benchmark.BENCHMARKS)
def test_every_benchmark_has_flags_and_a_docstring_that_gives_its_command(name):
    module = importlib.import_module(benchmark.BENCHMARKS[name])
    assert f"python -m experiments.benchmark {name}" in module.__doc__
    assert callable(module.define_flags) and callable(module.main)


@pytest.mark.parametrize(
    ("module", "flag", "line"),
    [
        ("flow", "--batches=x", "error: --batches=x: write whole numbers of at least 1"),
        ("network", "--xla=yes", "error: --xla=yes is not one of off, on"),
    ],
)
def test_a_benchmark_can_be_started_directly(module, flag, line):
    ended = _run("-m", f"experiments.benchmarks.{module}", flag)
    assert ended.returncode == 1 and ended.stderr.startswith(line)
    assert ended.stderr.count("\n") == 1
