import importlib

from experiments import benchmark
from experiments.benchmarks import everything


def test_every_benchmark_is_a_part_but_the_one_that_needs_a_run():
    assert {*everything.PARTS, "export", "all"} == set(benchmark.BENCHMARKS)


def test_the_flags_that_shorten_a_part_are_its_own():
    for name, given in everything.PARTS.items():
        source = importlib.import_module(benchmark.BENCHMARKS[name]).__file__
        with open(source) as file:
            text = file.read()
        for flag in given:
            assert f'"{flag[2:].partition("=")[0]}"' in text


def test_a_part_that_fails_is_named_at_the_end(run_benchmark, tmp_path):
    (tmp_path / "growth.json").mkdir()  # in the place of its figures
    ended = run_benchmark("all", "--parts=growth", f"--output={tmp_path}")
    assert ended.returncode == 1
    assert "== growth: 0." in ended.stdout and "(target: 40)" in ended.stdout
    assert ended.stderr.splitlines()[-1].startswith("error: not measured, for the reasons above: g")


def test_a_mistake_is_one_line(run_benchmark):
    ended = run_benchmark("all", "--parts=x")
    assert ended.returncode == 1 and ended.stderr.startswith("error: --parts=x is not one of netw")
