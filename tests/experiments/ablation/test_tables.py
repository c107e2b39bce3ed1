"""The table of a study against figures worked by hand, and its files."""

import csv
import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from experiments.ablation import tables
from experiments.ablation.runs import Outcome
from experiments.ablation.studies import STUDIES
from preprocessing.errors import UserError
from preprocessing.records import RecordedVideo, RecordSet
from stfnet.report import report

STREAMS = STUDIES["streams"]
# Right videos of each seed, of the 6 test videos: two groups of three.
RIGHT = {"both": ["111110", "111111", "111100"], "rgb": ["100100", "110100", "100100"]}
VALIDATION = {"both": 0.9, "rgb": 0.5}


RECORDS = RecordSet(
    Path("records"),
    "tiny",
    *({}, {}, {}, ("x", "y", "z"), {}),
    tuple(
        RecordedVideo(f"v{k}", k % 3, "xyz"[k % 3], "ab"[k // 3], {}, 20, 1.0, 0, 0, 0)
        for k in range(6)
    ),
    *((), {}),
)


@pytest.fixture
def outcomes():
    def outcome(name, seed, bits):
        right = {f"v{k}": bit == "1" for k, bit in enumerate(bits)}
        results = {
            **{"dataset": "tiny", "protocol": "group", "fold": "1", "num_test": 6, "num_train": 18},
            **{"top1": sum(right.values()) / 6, "top5": 1.0, "mean_class_accuracy": 0.5},
            **{"chance": 1 / 3, "majority": 0.4, "leak": 0.0, "certificate": {}},
            "validated_on": "groups held back from training",
        }
        return Outcome(Path(f"runs/{name}/{seed}"), seed, results, right, VALIDATION[name], 4)

    return {
        name: [outcome(name, seed, bits) for seed, bits in enumerate(some)]
        for name, some in RIGHT.items()
    }


def test_every_figure_of_the_table_is_worked_by_hand(outcomes, tmp_path):
    table, paths = tables.write(tmp_path, STREAMS, outcomes, RECORDS)
    both, rgb = (dict(zip(tables.COLUMNS, row, strict=True)) for row in table.rows)
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


def test_the_files_have_every_run_and_every_figure(outcomes, tmp_path):
    _, paths = tables.write(tmp_path, STREAMS, outcomes, RECORDS)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("streams.csv", "streams.json", "streams.md", "streams.png"),
    ]
    with open(paths.runs, newline="") as file:
        rows = list(csv.DictReader(file))
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


def test_the_picture_shows_intervals_over_seeds_only_of_several(outcomes, tmp_path):
    orange, blue = (255, 127, 14), (31, 119, 180)
    for count in (3, 1):
        some = {name: of[:count] for name, of in outcomes.items()}
        table, paths = tables.write(tmp_path, STREAMS, some, RECORDS)
        picture = cv2.imread(str(paths.picture))
        assert _has(picture, blue)
        assert _has(picture, orange) == (count == 3)
    assert table.rows[0][3] == "–"  # a single seed has no interval


def test_runs_of_other_test_videos_are_refused(outcomes):
    outcomes["rgb"][1].right["another"] = outcomes["rgb"][1].right.pop("v0")
    with pytest.raises(UserError, match="runs/rgb/1 was tested on other videos"):
        tables.rows_of(STREAMS, outcomes, RECORDS)


def test_validation_videos_that_were_trained_on_give_no_figure(outcomes, tmp_path):
    trained_on = {
        name: [dataclasses.replace(one, validation=None) for one in some]
        for name, some in outcomes.items()
    }
    table, paths = tables.write(tmp_path, STREAMS, trained_on, RECORDS)
    assert [row[tables.COLUMNS.index("validation")] for row in table.rows] == ["–", "–"]
    assert any("choose by cross-validation" in note for note in table.notes)
    assert "choose by the validation" not in " ".join(table.notes)
    figures = json.loads(paths.figures.read_text())
    assert [value["validation"] for value in figures["values"]] == [None, None]
    assert next(csv.DictReader(paths.runs.open()))["validation"] == ""
