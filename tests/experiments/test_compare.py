"""The program that writes the tables of the paper."""

import json

import pytest
from helpers import read_csv


def test_tables_are_printed_and_written(run_program, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    figures = {"dataset": "ucf11", "protocol": "paper", "fold": "1", "streams": "rgb"}
    (own / "results.json").write_text(
        json.dumps(figures | {"top1": 0.875, "leak": 0.99, "num_test": 480})
    )
    done = run_program("compare", f"--results={own}", f"--output={tmp_path / 'tables'}")
    assert done.returncode == 0, done.stderr
    assert "| STFNet here, frames alone | 87.5 |" in done.stdout
    printed, _, written = done.stdout.rpartition("written: ")
    assert printed.strip() == (tmp_path / "tables" / "comparison.md").read_text().strip()
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {name.split("/")[-1].strip() for name in written.split(",")} == names
    assert {"table1_ucf101.tex", "table2_ucf_sports.png", "times.csv"} <= names


@pytest.mark.slow
@pytest.mark.timeout(1800)  # two networks train several times
def test_baselines_are_trained_and_compared_and_the_same_command_does_nothing_twice(
    small, run_program, tiny_records, tmp_path
):
    arguments = (
        "compare",
        "--study=baselines",
        *small,
        f"--records={tiny_records.folder}",
        f"--output={tmp_path}",
        "--seeds=2",
        "--baselines=c3d",
        "--rate_factors=0.1,1",
        "--cache=features",
        "--config.training.frozen_blocks=(5,5)",
    )
    done = run_program(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": learning rate ") == 2
    assert (tmp_path / "baselines.md").read_text().strip() in done.stdout
    figures = json.loads((tmp_path / "baselines.json").read_text())
    values = {one["value"]: one for one in figures["values"]}
    assert list(values) == ["stfnet", "c3d"]
    tried = [len(one["validation_of_learning_rates"]) for one in values.values()]
    assert min(tried) > 2  # of two the best is at an edge
    assert done.stdout.count("training: ") == sum(tried) + 2  # rates, and a second seed
    times = json.loads((tmp_path / "prediction_times.json").read_text())
    assert list(times["seconds"]) == list(values) and times["rounds"] == 5
    for one in values.values():
        assert one["seeds"] == [0, 1] and one["prediction"] > 0 and one["training"] > 0
    assert {one.get("stfnet") for one in values.values()} <= {
        None,
        "wins",
        "loses",
        "cannot be distinguished",
    }
    assert len(read_csv(tmp_path / "baselines.csv")) == 4
    assert (tmp_path / "baselines.png").stat().st_size > 10_000
    table = (tmp_path / "baselines.md").read_text()
    again = run_program(*arguments)
    assert again.returncode == 0 and "training: " not in again.stdout
    assert (tmp_path / "baselines.md").read_text() == table  # the same rates, and the same times
    assert again.stdout.count("finished before: ") == 4


def test_a_mistake_is_one_line_and_leaves_nothing(small, check_mistakes, tiny_records, tmp_path):
    output = tmp_path / "out"
    study = ("--study=baselines", *small, f"--records={tiny_records.folder}", f"--output={output}")
    mistakes = [
        ((f"--results={tmp_path / 'none'}",), "results.json is missing"),
        (("--study=baselines",), "--config is missing"),
        (("--seeds=2",), "--seeds has no effect without --study=baselines: leave it out"),
        ((*study, "--results=run"), "--results has no effect with --study"),
        ((*study, "--rate_factors=1,fast"), "--rate_factors=1,fast are not numbers above 0"),
        ((*study, "--baselines=resnet"), "--baselines=resnet: give some of stfnet, two_stream"),
        ((*study, "--config.model.streams=auto"), "the configuration chooses its streams"),
        ((*study, "--config.model.streams=rgb"), "the study baselines needs model.streams=both"),
    ]
    check_mistakes("compare", mistakes)
    assert not output.exists()
