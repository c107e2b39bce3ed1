"""The tables of studies against figures worked by hand, and their files."""

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import read_csv

from experiments.studies import study_tables
from experiments.studies.ablation import STUDIES
from experiments.studies.runs import Outcome, Search, Trained
from experiments.studies.study_tables import Cost
from experiments.studies.variants import Study
from preprocessing.errors import UserError
from preprocessing.records import RecordedVideo, RecordSet
from stfnet.evaluation import significance
from stfnet.evaluation.significance import Compared
from stfnet.report import report

STREAMS = STUDIES["streams"]
# Right videos of each seed, of the 6 test videos: two groups of three.
RIGHT = {"both": ["111110", "111111", "111100"], "rgb": ["100100", "110100", "100100"]}
VALIDATION = {"both": 0.9, "rgb": 0.5}


def _records(count):
    """Groups of three videos, one a class."""
    videos = tuple(
        RecordedVideo(f"v{k}", k % 3, "xyz"[k % 3], "abcdefgh"[k // 3], {}, 20, 1.0, 0, 0, 0)
        for k in range(count)
    )
    return RecordSet(Path("records"), "tiny", {}, {}, {}, ("x", "y", "z"), {}, videos, (), {})


def _outcome(name, seed, bits, validation):
    right = {f"v{k}": bit == "1" for k, bit in enumerate(bits)}
    results = {
        "dataset": "tiny",
        "protocol": "group",
        "fold": "1",
        "num_test": len(bits),
        "num_train": 18,
        "top1": sum(right.values()) / len(bits),
        "top5": 1.0,
        "mean_class_accuracy": 0.5,
        "chance": 1 / 3,
        "majority": 0.4,
        "leak": 0.0,
        "split_fingerprint": {},
        "validated_on": "groups held back from training",
    }
    return Outcome(Path(f"runs/{name}/{seed}"), seed, results, right, validation, 4)


@pytest.fixture
def trained():
    return {
        name: Trained(
            [_outcome(name, seed, bits, VALIDATION[name]) for seed, bits in enumerate(some)]
        )
        for name, some in RIGHT.items()
    }


def test_every_figure_of_the_table_is_worked_by_hand(trained, tmp_path):
    table, paths = study_tables.write(tmp_path, STREAMS, trained, _records(6))
    both, rgb = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert (both["value"], rgb["value"]) == ("both (paper)", "rgb")
    assert both["top-1 of each seed (%)"] == "83.3, 100.0, 66.7"
    assert rgb["top-1 of each seed (%)"] == "33.3, 50.0, 33.3"
    assert (both["mean"], rgb["mean"]) == ("83.3", "38.9")
    # Deviations 16.67 and 9.62 points; 4.3027 / sqrt(3) of them are 41.4 and 23.9.
    assert both["95 % over seeds"] == "41.9 to 100.0"
    assert rgb["95 % over seeds"] == "15.0 to 62.8"
    # Of two groups a quarter of the resamples are one group twice. both: 1 and 2/3; rgb: 4/9, 1/3.
    assert both["95 % over test groups"] == "66.7 to 100.0"
    assert rgb["95 % over test groups"] == "33.3 to 44.4"
    assert rgb["minus reference"] == "-44.4"
    assert rgb["95 %, paired"] == "-55.6 to -33.3"
    assert (both["minus reference"], both["95 %, paired"]) == ("–", "–")
    # Both groups agree: 2 of 4 signs, and one comparison.
    assert (both["p"], rgb["p"], rgb["p (Holm)"]) == ("–", "0.5", "0.5")
    assert (both["validation"], rgb["validation"]) == ("90.0", "50.0")
    notes = " ".join(table.notes)
    assert "Chance 33.3 %" in notes and "bootstrap over 2 groups of test videos (few" in notes
    assert "The least p of as many groups is 0.5, so nothing is decided here: that takes 6" in notes
    assert paths.table.read_text().count("\n| ") == 3


def test_the_files_have_every_run_and_every_figure(trained, tmp_path):
    _, paths = study_tables.write(tmp_path, STREAMS, trained, _records(6))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "streams.csv",
        "streams.json",
        "streams.md",
        "streams.png",
    ]
    rows = read_csv(paths.runs)
    assert [(row["value"], row["seed"]) for row in rows] == [
        (name, str(seed)) for name in ("both", "rgb") for seed in range(3)
    ]
    assert [float(row["top1"]) * 6 for row in rows] == pytest.approx([5, 6, 4, 2, 3, 2])
    assert rows[4]["folder"] == "runs/rgb/1" and float(rows[0]["chance"]) == pytest.approx(1 / 3)
    figures = json.loads(paths.figures.read_text())
    assert figures["values"][1]["difference"] == pytest.approx(-8 / 18)
    assert figures["values"][1]["paired_interval"] == pytest.approx([-10 / 18, -6 / 18])
    assert (figures["values"][1]["p"], figures["values"][1]["p_holm"]) == (0.5, 0.5)
    # As the report reads it.
    assert report._read_ablation(paths.figures) == pytest.approx({"both": 15 / 18, "rgb": 7 / 18})


def _has(picture, rgb):
    return (np.abs(picture[..., ::-1].astype(int) - rgb).max(-1) < 20).any()


def test_the_picture_shows_intervals_over_seeds_only_of_several(trained, tmp_path):
    orange, blue = (255, 127, 14), (31, 119, 180)
    for count in (3, 1):
        some = {name: Trained(one.outcomes[:count]) for name, one in trained.items()}
        table, paths = study_tables.write(tmp_path, STREAMS, some, _records(6))
        picture = cv2.imread(str(paths.picture))
        assert _has(picture, blue)
        assert _has(picture, orange) == (count == 3)
    assert table.rows[0][3] == "–"  # a single seed has no interval


def test_runs_of_other_test_videos_are_refused(trained):
    right = trained["rgb"].outcomes[1].right
    right["another"] = right.pop("v0")
    with pytest.raises(UserError, match="runs/rgb/1 was tested on other videos"):
        study_tables.rows_of(STREAMS, trained, _records(6))


def test_validation_videos_that_were_trained_on_give_no_figure(trained, tmp_path):
    trained_on = {
        name: Trained([dataclasses.replace(one, validation=None) for one in some.outcomes])
        for name, some in trained.items()
    }
    table, paths = study_tables.write(tmp_path, STREAMS, trained_on, _records(6))
    assert [row[table.columns.index("validation")] for row in table.rows] == ["–", "–"]
    assert any("choose by cross-validation" in note for note in table.notes)
    assert "choose by the validation" not in " ".join(table.notes)
    figures = json.loads(paths.figures.read_text())
    assert [value["validation"] for value in figures["values"]] == [None, None]
    assert read_csv(paths.runs)[0]["validation"] == ""


NETWORKS = Study(
    "baselines",
    {name: {} for name in ("stfnet", "tsn", "c3d", "lrcn")},
    "stfnet",
    "claim",
    of_networks=True,
)
# Right videos of each seed, of the 24 test videos: eight groups of three, the first seven alike.
RIGHT_OF_NETWORKS = {
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
    "rounds": 5,
    "device": "a CPU",
}


@pytest.fixture
def written(tmp_path, monkeypatch):
    networks = {
        name: Trained(
            [_outcome(name, seed, bits, 0.5) for seed, bits in enumerate(some)], SEARCHES[name]
        )
        for name, some in RIGHT_OF_NETWORKS.items()
    }
    monkeypatch.setattr(study_tables, "cost_of", lambda folder, seconds: COSTS[folder.parent.name])
    return study_tables.write(tmp_path, NETWORKS, networks, _records(24), TIMES)


def test_every_figure_of_networks_is_worked_by_hand(written):
    table, paths = written
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    own, tsn, c3d, lrcn = (rows[name] for name in ("stfnet (paper)", "tsn", "c3d", "lrcn"))
    assert own["top-1 of each seed (%)"] == "95.8, 100.0" and own["mean"] == "97.9"
    assert (own["STFNet"], own["minus reference"], own["95 %, paired"]) == ("–", "–", "–")
    # Groups a to g: 3 of 3 against 1.5; group h: 2.5 of 3 against 1.
    assert (tsn["minus reference"], tsn["95 %, paired"]) == ("-50.0", "-50.0 to -50.0")
    # All eight agree: 2 of 2^8 signs, times three networks. Of c3d and lrcn one group differs.
    assert (tsn["p"], tsn["p (Holm)"]) == ("0.0078", "0.023")
    assert (c3d["minus reference"], lrcn["minus reference"]) == ("+2.1", "-6.2")
    assert [row["p"] for row in (own, c3d, lrcn)] == ["–", "1", "1"]
    assert [row["STFNet"] for row in (tsn, c3d, lrcn)] == [
        study_tables.WINS,
        study_tables.OPEN,
        study_tables.OPEN,
    ]
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
        (-0.2, 0.049, study_tables.WINS),
        (0.2, 0.0001, study_tables.LOSES),
        (-0.2, 0.05, study_tables.OPEN),
        (0.2, 0.9, study_tables.OPEN),
    ],
)
def test_p_by_holm_decides(difference, adjusted, wanted):
    ends = [difference, difference]  # an interval without zero is not enough
    assert study_tables.verdict(Compared(0.5, ends, difference, ends, 0.01, adjusted)) == wanted


@pytest.mark.parametrize(("groups", "wanted"), [(5, study_tables.OPEN), (6, study_tables.WINS)])
def test_five_groups_that_all_agree_decide_nothing(groups, wanted):
    right = {"stfnet": np.ones((1, groups)), "tsn": np.zeros((1, groups))}
    assert (
        study_tables.verdict(significance.compare(right, "stfnet", range(groups))["tsn"]) == wanted
    )


def test_a_table_that_cannot_decide_says_how_many_groups_it_takes():
    assert "so nothing is decided here: that takes 9 groups" in study_tables.about_p(7, 10)
    assert "nothing is decided" not in study_tables.about_p(9, 10)
    assert "adjusted for 0 comparisons" in study_tables.about_p(9, 0)


def test_the_files_of_networks_have_every_run_and_every_cost(written):
    _, paths = written
    assert sorted(path.name for path in paths.table.parent.iterdir()) == [
        "baselines.csv",
        "baselines.json",
        "baselines.md",
        "baselines.png",
    ]
    assert paths.picture.stat().st_size > 10_000
    rows = read_csv(paths.runs)
    assert [(row["value"], row["seed"]) for row in rows] == [
        (name, str(seed)) for name in RIGHT_OF_NETWORKS for seed in (0, 1)
    ]
    values = {one["value"]: one for one in json.loads(paths.figures.read_text())["values"]}
    assert values["tsn"]["stfnet"] == "wins" and "stfnet" not in values["stfnet"]
    assert values["c3d"]["parameters"] == 78_409_573 and values["tsn"]["training"] is None
    assert values["lrcn"]["multiply_adds"] == 527_888_312_832
    assert values["c3d"]["learning_rate_at_edge"] and not values["tsn"]["learning_rate_at_edge"]
    tried = values["tsn"]["validation_of_learning_rates"]
    assert tried == {"0.0001": 0.25, "0.0003": 0.5, "0.0009": None}
    assert values["tsn"]["p_holm"] == 3 * values["tsn"]["p"] == 3 / 128
