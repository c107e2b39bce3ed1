"""The table of rivals against figures worked by hand, and its files."""

import csv
import json
from pathlib import Path

import pytest

from experiments.ablation.runs import Outcome
from experiments.ablation.studies import Study
from experiments.rivals import tables
from experiments.rivals.tables import Cost
from preprocessing.errors import UserError
from preprocessing.records import RecordedVideo, RecordSet

STUDY = Study("rivals", {name: {} for name in ("stfnet", "tsn", "c3d", "lrcn")}, "stfnet", "claim")
# Right videos of each seed, of the 18 test videos: six groups of three, the first five alike.
RIGHT = {
    name: [5 * seed[:3] + seed[3:] for seed in seeds]
    for name, seeds in {
        "stfnet": ["111110", "111111"],
        "tsn": ["100100", "110100"],
        "c3d": ["111111", "111111"],
        "lrcn": ["111001", "111001"],
    }.items()
}
COSTS = {
    "stfnet": Cost(188_757_343, 574_000_000_000, 1e-4, 2.5, 0.5, "a CPU"),
    "tsn": Cost(29_535_882, 524_243_817_472, 3e-4, None, 4.0, "a CPU"),
    "c3d": Cost(78_409_573, 38_500_000_000, 1e-3, 12.0, 8.0, "a CPU"),
    "lrcn": Cost(243_928_202, 527_888_312_832, 1e-4, 3.0, 0.25, "a CPU"),
}
RECORDS = RecordSet(
    Path("records"),
    "tiny",
    *({}, {}, {}, ("x", "y", "z"), {}),
    tuple(
        RecordedVideo(f"v{k}", k % 3, "xyz"[k % 3], "abcdef"[k // 3], {}, 20, 1.0, 0, 0, 0)
        for k in range(18)
    ),
    *((), {}),
)


@pytest.fixture
def written(tmp_path, monkeypatch):
    def outcome(name, seed, bits):
        right = {f"v{k}": bit == "1" for k, bit in enumerate(bits)}
        results = {
            **{
                "dataset": "tiny",
                "protocol": "group",
                "fold": "1",
                "num_test": 18,
                "num_train": 54,
            },
            **{"top1": sum(right.values()) / 18, "top5": 1.0, "mean_class_accuracy": 0.5},
            **{"chance": 1 / 3, "majority": 0.4, "leak": 0.0, "certificate": {}},
            "validated_on": "groups held back from training",
        }
        return Outcome(Path(f"runs/{name}/{seed}"), seed, results, right, 0.5, 4)

    outcomes = {
        name: [outcome(name, seed, bits) for seed, bits in enumerate(some)]
        for name, some in RIGHT.items()
    }
    monkeypatch.setattr(tables, "cost_of", lambda folder: COSTS[folder.parent.name])
    return tables.write(tmp_path, STUDY, outcomes, RECORDS)


def test_every_figure_of_the_table_is_worked_by_hand(written):
    table, paths = written
    rows = {row[0]: dict(zip(tables.COLUMNS, row, strict=True)) for row in table.rows}
    own, tsn, c3d, lrcn = (rows[name] for name in ("stfnet (paper)", "tsn", "c3d", "lrcn"))
    assert own["top-1 of each seed (%)"] == "94.4, 100.0" and own["mean"] == "97.2"
    assert (own["STFNet"], own["minus STFNet"], own["95 %, paired"]) == ("–", "–", "–")
    # Groups a to e: 3 of 3 against 1.5; group f: 2.5 of 3 against 1.
    assert (tsn["minus STFNet"], tsn["95 %, paired"]) == ("-50.0", "-50.0 to -50.0")
    # c3d is better in one group alone, by 16.7, and lrcn worse, by 50; 97.5 % of the resamples
    # have that group at most 3 times of 6.
    assert (c3d["minus STFNet"], c3d["95 %, paired"]) == ("+2.8", "+0.0 to +8.3")
    assert (lrcn["minus STFNet"], lrcn["95 %, paired"]) == ("-8.3", "-25.0 to +0.0")
    assert [row["STFNet"] for row in (tsn, c3d, lrcn)] == [tables.WINS, tables.OPEN, tables.OPEN]
    assert (tsn["parameters (M)"], tsn["G multiply-adds"]) == ("29.54", "524")
    assert (tsn["training (clips/s)"], tsn["prediction (clips/s)"]) == ("–", "4")
    assert (c3d["learning rate"], c3d["training (clips/s)"]) == ("0.001", "12")
    notes = " ".join(table.notes)
    assert "STFNet wins against: tsn." in notes
    assert (
        "STFNet cannot be distinguished from: c3d, lrcn." in notes and "loses" not in table.notes[0]
    )
    assert "bootstrap over 6 groups of test videos (few" in notes and "a CPU" in notes
    assert paths.table.read_text().count("\n| ") == 5


@pytest.mark.parametrize(
    ("paired", "groups", "wanted"),
    [
        ((-0.2, -0.1), 6, tables.WINS),
        ((0.1, 0.2), 27, tables.LOSES),
        ((-0.1, 0.1), 27, tables.OPEN),
        ((0.0, 0.3), 27, tables.OPEN),
        ((-0.3, 0.0), 27, tables.OPEN),
        ((-0.2, -0.1), 5, tables.OPEN),
        ((0.1, 0.2), 3, tables.OPEN),
    ],
)
def test_zero_in_the_interval_and_few_groups_decide_nothing(paired, groups, wanted):
    assert tables.verdict(paired, groups) == wanted


def test_the_files_have_every_run_and_every_cost(written):
    _, paths = written
    assert sorted(path.name for path in paths.table.parent.iterdir()) == [
        *("rivals.csv", "rivals.json", "rivals.md", "rivals.png"),
    ]
    assert paths.picture.stat().st_size > 10_000
    with paths.runs.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["value"], row["seed"]) for row in rows] == [
        (name, str(seed)) for name in RIGHT for seed in (0, 1)
    ]
    values = {one["value"]: one for one in json.loads(paths.figures.read_text())["values"]}
    assert values["tsn"]["stfnet"] == "wins" and "stfnet" not in values["stfnet"]
    assert values["c3d"]["parameters"] == 78_409_573 and values["tsn"]["training"] is None
    assert values["lrcn"]["multiply_adds"] == 527_888_312_832


def test_a_run_that_was_not_timed_is_named(tiny_run):
    with pytest.raises(UserError, match="was not timed: start the same command again"):
        tables.cost_of(tiny_run)
