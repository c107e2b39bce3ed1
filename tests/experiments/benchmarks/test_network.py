"""The benchmark of the network at 32 pixels."""

import json

import pytest


@pytest.mark.slow
def test_a_row_has_speed_peak_and_memory(run_benchmark, tmp_path):
    output = tmp_path / "network.json"
    ended = run_benchmark(
        *("network", "--image_size=32", "--backends=tensorflow", "--precisions=float32"),
        *("--xla=off", "--nopeer", "--repeats=1", "--peak_size=512", "--notraining"),
        f"--output={output}",
    )
    assert ended.returncode == 0, ended.stderr
    (row,) = json.loads(output.read_text())
    assert row["peak_gflops"] > 1 and row["peak_memory_gb"] > 0.5
    forward = row["forward"]
    assert forward["clips_per_second"] == pytest.approx(1 / forward["seconds"], rel=0.02)
    assert forward["gflops"] > 0 and "training" not in row
    ratio = forward["gflops"] / row["peak_gflops"]
    assert forward["share_of_peak"] == pytest.approx(ratio, rel=0.02)
    assert ended.stdout.splitlines()[1].startswith("tensorflow float32 ")


@pytest.mark.parametrize(
    ("flag", "line"),
    [
        ("--backends=mxnet", "error: --backends=mxnet is not one of tensorflow, jax, torch"),
        ("--batch_sizes=two", "error: --batch_sizes=two: write whole numbers of at least 1"),
        ("--batch_sizes=4,0", "error: --batch_sizes=4,0: write whole numbers of at least 1"),
        ("--row=x", "error: --row=x is not a row (Expecting value: line 1 column 1 (char 0)): "),
        ('--row={"backend": 1}', 'error: --row={"backend": 1} is not a row (Row.__init__()'),
    ],
)
def test_a_refused_value_is_one_line(run_benchmark, flag, line):
    ended = run_benchmark("network", flag)
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr.startswith(line) and ended.stderr.count("\n") == 1
