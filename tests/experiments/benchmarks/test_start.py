import json

import pytest


@pytest.mark.slow
def test_the_parts_of_a_training_and_of_a_prediction_add_up(run_benchmark, tmp_path):
    output = tmp_path / "start.json"
    ended = run_benchmark(
        *("start", "--only=training,prediction", "--jit=off", "--width_divisor=64"),
        *("--image_size=32", f"--output={output}"),
    )
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(output.read_text())
    training = figures["training"]["off"]
    names = ["start", "network", "optimiser", "graph", "first step", "second step"]
    assert list(training) == names
    assert training["second step"]["seconds"] < training["graph"]["seconds"]  # nothing is traced
    to_step = sum(training[name]["seconds"] for name in names[:-1])
    assert f"to the end of the first step: {to_step:.2f}"[:-1] in ended.stdout
    names = ["start", "load", "decode", "flow", "network", "drawing"]
    prediction = figures["prediction"]
    assert list(prediction) == names
    to_label = sum(prediction[name]["seconds"] for name in ("start", "load", "flow", "network"))
    assert f"label after {round(to_label, 2)} s" in ended.stdout


@pytest.mark.parametrize(
    ("flag", "line"),
    [
        ("--only=x", "error: --only=x is not one of training, prediction, live, recurrence"),
        ("--jit=yes", "error: --jit=yes is not one of off, on"),
    ],
)
def test_a_mistake_is_one_line(run_benchmark, flag, line):
    ended = run_benchmark("start", flag)
    assert ended.returncode == 1 and ended.stderr.startswith(line)
