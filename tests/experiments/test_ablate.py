"""The program of ablations as a person runs it: studies on real records, stopped and resumed."""

import json
import signal

import pytest
from helpers import read_csv, wait_until

from experiments.studies.ablation import STUDIES


@pytest.fixture
def start(warm):
    """Function that starts `python -m experiments.ablate ...`."""
    started = []

    def begin(*arguments):
        started.append(warm.start("-m", "experiments.ablate", *arguments))
        return started[-1]

    yield begin
    for process in started:
        process.kill()


def _stop_when_trained(process, folder, epochs, how):
    """Sends a signal once a run has a history of so many epochs; returns the exit status."""
    history = folder / "history.csv"

    def trained():
        assert process.poll() is None, process.communicate()
        return history.is_file() and len(history.read_text().splitlines()) > epochs

    wait_until(trained, 240)
    process.send_signal(how)
    process.communicate(timeout=120)
    return process.returncode


@pytest.mark.slow
@pytest.mark.timeout(1800)  # on a slow machine beside other tests
def test_a_study_that_is_killed_and_stopped_goes_on_and_skips_what_is_finished(
    small, start, tiny_records, tmp_path
):
    # Training takes long enough to be stopped in its middle.
    long = ("--config.training.max_epochs=(4,1)", "--config.training.checkpoint_minutes=0")
    places = (f"--records={tiny_records.folder}", f"--output={tmp_path}")
    short = [flag for flag in small if "max_epochs" not in flag]
    arguments = (*short, *long, *places, "--seeds=2")
    runs = tmp_path / "runs"
    seeds = [runs / "as-configured" / f"seed-{seed}" for seed in (0, 1)]
    process = start(*arguments, "--study=fusion_init")
    assert _stop_when_trained(process, seeds[0], 2, signal.SIGKILL) == -signal.SIGKILL
    process = start(*arguments, "--study=fusion_init")
    assert _stop_when_trained(process, seeds[1], 2, signal.SIGTERM) == 143
    assert not (tmp_path / "fusion_init.md").exists()
    first = (seeds[0] / "results.json").stat().st_mtime_ns

    # Another study shares the runs of the reference.
    process = start(*arguments, "--study=fusion_init", "--study=merge", "--cache=memory")
    printed, errors = process.communicate(timeout=560)
    assert process.returncode == 0, errors
    assert (seeds[0] / "results.json").stat().st_mtime_ns == first
    assert printed.count("finished before: ") == 3  # seed 0; for merge both seeds
    assert sorted(path.name for path in runs.iterdir()) == [
        "as-configured",
        "fusion_init-identity_sum",
        "merge-product",
        "merge-sum",
    ]
    for seed in seeds:
        epochs = [(row["stage"], row["epoch"]) for row in read_csv(seed / "history.csv")]
        assert len(epochs) == len(set(epochs)) >= 2

    assert (tmp_path / "fusion_init.md").read_text().strip() in printed
    figures = json.loads((tmp_path / "merge.json").read_text())
    assert [row["value"] for row in figures["values"]] == ["concat", "sum", "product"]
    rows = read_csv(tmp_path / "merge.csv")
    for row in rows:
        tested = read_csv(f"{row['folder']}/predictions.csv")
        right = sum(one["class"] == one["predicted"] for one in tested)
        assert float(row["top1"]) == pytest.approx(right / len(tested))
    assert len(rows) == 6 and (tmp_path / "merge.png").stat().st_size > 5000


def test_the_studies_are_listed(start):
    process = start("--list")
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert [line for line in printed.splitlines() if not line.startswith(" ")] == list(STUDIES)


def test_a_mistake_is_one_line_and_leaves_nothing(small, check_mistakes, tiny_records, tmp_path):
    output = tmp_path / "out"
    places = (f"--records={tiny_records.folder}", f"--output={output}")
    mistakes = [
        (["--study=colour"], "--study"),
        (["--study=streams", "--config.model.streams=auto"], "chooses its streams"),
        (
            ["--study=merge", "--config.model.branches=fc"],
            "the study merge needs model.branches=both",
        ),
    ]
    check_mistakes("ablate", [((*small, *places, *case), text) for case, text in mistakes])
    assert not output.exists()
