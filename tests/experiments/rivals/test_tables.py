"""The table of rivals against figures worked by hand, and its files."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from experiments.ablation import tables as ablation
from experiments.ablation.runs import Outcome
from experiments.ablation.studies import Study
from experiments.rivals import tables
from experiments.rivals.study import Search, Trained
from experiments.rivals.tables import Cost
from preprocessing.records import RecordedVideo, RecordSet
from stfnet.evaluation import seeds
from stfnet.evaluation.seeds import Compared

STUDY = Study("rivals", {name: {} for name in ("stfnet", "tsn", "c3d", "lrcn")}, "stfnet", "claim")
# Right videos of each seed, of the 24 test videos: eight groups of three, the first seven alike.
RIGHT = {
    name: [7 * seed[:3] + seed[3:] for seed in seeds]
    for name, seeds in {
        "stfnet": ["111110", "111111"],
        "tsn": ["100100", "110100"],
        "c3d": ["111111", "111111"],
        "lrcn": ["111001", "111001"],
    }.items()
}
COSTS = {
    "stfnet": Cost(188_757_343, 574_000_000_000, 2.5, 0.5),
    "tsn": Cost(29_535_882, 524_243_817_472, None, 4.0),
    "c3d": Cost(78_409_573, 38_500_000_000, 12.0, 8.0),
    "lrcn": Cost(243_928_202, 527_888_312_832, 3.0, 0.25),
}
SEARCHES = {
    "stfnet": Search({3e-5: 0.5, 1e-4: 0.75, 3e-4: 0.5}, 1e-4),
    "tsn": Search({1e-4: 0.25, 3e-4: 0.5, 9e-4: None}, 3e-4),
    "c3d": Search({1e-4: 0.25, 3e-4: 0.5, 9e-4: 0.75}, 9e-4),
    "lrcn": Search({1e-5: 0.5, 1e-4: 0.25}, 1e-5),
}
TIMES = {
    "seconds": {name: 1 / cost.prediction for name, cost in COSTS.items()},
    **{"rounds": 5, "device": "a CPU"},
}
RECORDS = RecordSet(
    Path("records"),
    "tiny",
    *({}, {}, {}, ("x", "y", "z"), {}),
    tuple(
        RecordedVideo(f"v{k}", k % 3, "xyz"[k % 3], "abcdefgh"[k // 3], {}, 20, 1.0, 0, 0, 0)
        for k in range(24)
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
                "num_test": 24,
                "num_train": 54,
            },
            **{"top1": sum(right.values()) / 24, "top5": 1.0, "mean_class_accuracy": 0.5},
            **{"chance": 1 / 3, "majority": 0.4, "leak": 0.0, "certificate": {}},
            "validated_on": "groups held back from training",
        }
        return Outcome(Path(f"runs/{name}/{seed}"), seed, results, right, 0.5, 4)

    trained = {
        name: Trained([outcome(name, seed, bits) for seed, bits in enumerate(some)], SEARCHES[name])
        for name, some in RIGHT.items()
    }
    monkeypatch.setattr(tables, "cost_of", lambda folder, seconds: COSTS[folder.parent.name])
    return tables.write(tmp_path, STUDY, trained, TIMES, RECORDS)


def test_every_figure_of_the_table_is_worked_by_hand(written):
    table, paths = written
    rows = {row[0]: dict(zip(tables.COLUMNS, row, strict=True)) for row in table.rows}
    own, tsn, c3d, lrcn = (rows[name] for name in ("stfnet (paper)", "tsn", "c3d", "lrcn"))
    assert own["top-1 of each seed (%)"] == "95.8, 100.0" and own["mean"] == "97.9"
    assert (own["STFNet"], own["minus STFNet"], own["95 %, paired"]) == ("–", "–", "–")
    # Groups a to g: 3 of 3 against 1.5; group h: 2.5 of 3 against 1.
    assert (tsn["minus STFNet"], tsn["95 %, paired"]) == ("-50.0", "-50.0 to -50.0")
    # All eight agree: 2 of 2^8 signs, times three networks. Of c3d and lrcn one group differs.
    assert (tsn["p"], tsn["p (Holm)"]) == ("0.0078", "0.023")
    assert (c3d["minus STFNet"], lrcn["minus STFNet"]) == ("+2.1", "-6.2")
    assert [row["p"] for row in (own, c3d, lrcn)] == ["–", "1", "1"]
    assert [row["STFNet"] for row in (tsn, c3d, lrcn)] == [tables.WINS, tables.OPEN, tables.OPEN]
    assert (tsn["parameters (M)"], tsn["G multiply-adds"]) == ("29.54", "524")
    assert (tsn["training (clips/s)"], tsn["prediction (clips/s)"]) == ("–", "4")
    rates = [row["learning rate"] for row in (own, tsn, c3d, lrcn)]
    assert rates == ["0.0001", "0.0003", "0.0009 (edge)", "1e-05 (edge)"]
    notes = " ".join(table.notes)
    assert "STFNet wins against: tsn." in notes
    assert (
        "STFNet cannot be distinguished from: c3d, lrcn." in notes and "loses" not in table.notes[0]
    )
    assert "tsn 0.0001: 0.250, 0.0003: 0.500, 0.0009: not finite; c3d 0.0001" in notes
    assert "Edge: of c3d, lrcn the best rate" in notes
    assert "bootstrap over 8 groups of test videos (few" in notes
    assert "all networks in turns, median of 5 rounds on a CPU" in notes
    assert "The least p of as many groups is 0.0078." in notes
    assert paths.table.read_text().count("\n| ") == 5


@pytest.mark.parametrize(
    ("difference", "adjusted", "wanted"),
    [
        (-0.2, 0.049, tables.WINS),
        (0.2, 0.0001, tables.LOSES),
        (-0.2, 0.05, tables.OPEN),
        (0.2, 0.9, tables.OPEN),
    ],
)
def test_p_by_holm_decides(difference, adjusted, wanted):
    ends = [difference, difference]  # an interval without zero is not enough
    assert tables.verdict(Compared(0.5, ends, difference, ends, 0.01, adjusted)) == wanted


@pytest.mark.parametrize(("groups", "wanted"), [(5, tables.OPEN), (6, tables.WINS)])
def test_five_groups_that_all_agree_decide_nothing(groups, wanted):
    right = {"stfnet": np.ones((1, groups)), "tsn": np.zeros((1, groups))}
    assert tables.verdict(seeds.compare(right, "stfnet", range(groups))["tsn"]) == wanted


def test_a_table_that_cannot_decide_says_how_many_groups_it_takes():
    assert "so nothing is decided here: that takes 9 groups" in ablation.about_p(7, 10)
    assert "nothing is decided" not in ablation.about_p(9, 10)
    assert "adjusted for 0 comparisons" in ablation.about_p(9, 0)


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
    assert values["c3d"]["learning_rate_at_edge"] and not values["tsn"]["learning_rate_at_edge"]
    tried = values["tsn"]["validation_of_learning_rates"]
    assert tried == {"0.0001": 0.25, "0.0003": 0.5, "0.0009": None}
    assert values["tsn"]["p_holm"] == 3 * values["tsn"]["p"] == 3 / 128
