"""Figures beside the headline ones, against cases worked by hand."""

import json
import types

import numpy as np
import pytest

from stfnet.evaluation import breakdown

CLASSES = ("Bow", "Jump", "Wave", "Never tested")
PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1, 0.0],
        [0.3, 0.6, 0.1, 0.0],
        [0.1, 0.8, 0.1, 0.0],
        [0.5, 0.4, 0.1, 0.0],
        [0.1, 0.2, 0.6, 0.1],
    ],
    np.float32,
)
LABELS = np.array([0, 0, 1, 1, 2])
GROUPS = ("a", "a", "b", "b", "c")


def _videos(groups=GROUPS):
    return [types.SimpleNamespace(id=f"v{k}", group=group) for k, group in enumerate(groups)]


@pytest.fixture(scope="module")
def figures():
    return breakdown.breakdown(PROBABILITIES, LABELS, CLASSES, _videos())


def test_figures_are_those_worked_by_hand(figures):
    # Bow and Jump: one of two right, one of two predictions right; Wave: all right.
    assert figures["macro_f1"] == pytest.approx((0.5 + 0.5 + 1) / 3)
    assert figures["top_k"] == {"1": 0.6, "2": 1.0, "3": 1.0}
    bow = figures["classes"]["Bow"]
    assert (bow["videos"], bow["precision"], bow["recall"], bow["f1"]) == (2, 0.5, 0.5, 0.5)
    # Scores of Bow: .7 and .3 for its clips, .1, .5, .1 for the others: 5 of 6 pairs in order.
    assert bow["roc_auc"] == pytest.approx(5 / 6)
    # Its clips stand first and third: precisions 1 and 2/3.
    assert bow["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["classes"]["Wave"]["roc_auc"] == 1
    assert list(figures["classes"]) == ["Bow", "Jump", "Wave"]
    rocs = [one["roc_auc"] for one in figures["classes"].values()]
    assert figures["mean_roc_auc"] == pytest.approx(np.mean(rocs))


def test_intervals_are_over_groups_and_say_so(figures):
    # A resample of three groups: accuracy is the mean over the drawn videos.
    drawn = figures["bootstrap"]
    assert (drawn["drawn"], drawn["count"]) == ("groups", 3)
    low, high = figures["intervals"]["top1"]
    assert low == 0.5 and high == 1  # only groups of one right in two; only the group of Wave
    assert figures["intervals"]["top5"] == [1, 1]
    single = breakdown.breakdown(PROBABILITIES, LABELS, CLASSES, _videos("abcde"))
    assert single["bootstrap"]["drawn"] == "videos"


def test_mistakes_are_listed_the_worst_first(figures):
    assert figures["most_confused"] == [
        {"classes": ["Bow", "Jump"], "videos": 2, "directions": [1, 1]}
    ]
    assert [one["video"] for one in figures["most_wrong"]] == ["v1", "v3"]
    assert figures["most_wrong"][0] == {
        "video": "v1",
        "class": "Bow",
        "predicted": "Jump",
        "probability": pytest.approx(0.6),
        "probability_of_class": pytest.approx(0.3),
    }


def test_the_most_confused_pairs_count_both_directions():
    confusion = np.array([[5, 0, 2, 1], [1, 5, 0, 0], [3, 0, 5, 0], [0, 0, 0, 5]])
    pairs = breakdown.most_confused(confusion, CLASSES, count=2)
    assert pairs == [
        {"classes": ["Wave", "Bow"], "videos": 5, "directions": [3, 2]},
        {"classes": ["Jump", "Bow"], "videos": 1, "directions": [1, 0]},
    ]
    assert breakdown.most_confused(np.eye(3, dtype=int), CLASSES) == []


def test_a_part_of_one_class_has_no_roc_auc():
    one = breakdown.breakdown(PROBABILITIES[:2], LABELS[:2], CLASSES, _videos()[:2])
    assert one["classes"]["Bow"]["roc_auc"] is None and one["mean_roc_auc"] is None
    json.dumps(one, allow_nan=False)


def test_everything_is_json(figures):
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_the_error_of_five_predictions_is_that_worked_by_hand():
    # Of confidence .9, .9 (one right), .6, .6 (both right) and .55 (wrong).
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.45, 0.55]])
    labels = np.array([0, 1, 0, 0, 0])
    rows = breakdown.reliability(probabilities, labels)
    assert len(rows) == 15
    filled = {round(row["low"] * 15): row for row in rows if row["count"]}
    # .9 * 15 = 13.5, .6 * 15 = 9 (the upper edge of bin 8), .55 * 15 = 8.25.
    assert sorted(filled) == [8, 13]
    assert (filled[13]["count"], filled[13]["accuracy"]) == (2, 0.5)
    assert filled[8]["count"] == 3
    assert filled[8]["accuracy"] == pytest.approx(2 / 3)
    assert filled[8]["confidence"] == pytest.approx(1.75 / 3)
    expected = (2 * 0.4 + 3 * (2 / 3 - 1.75 / 3)) / 5
    assert breakdown.expected_calibration_error(rows) == pytest.approx(expected)


def test_confidences_on_an_edge_count_below_it():
    rows = breakdown.reliability(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), bins=2)
    assert [row["count"] for row in rows] == [1, 1]
    empty = breakdown.reliability(np.array([[1.0, 0.0]]), np.array([1]), bins=2)[0]
    assert empty == {"low": 0, "high": 0.5, "count": 0, "confidence": None, "accuracy": None}


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    certain = np.eye(4)
    for labels, error in ((np.arange(4), 0), (np.arange(4)[::-1], 1)):
        rows = breakdown.reliability(certain, labels)
        assert breakdown.expected_calibration_error(rows) == error


def test_drawn_labels_are_calibrated():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 20000)
    labels = (probabilities.cumsum(1) < rng.random((20000, 1))).sum(1)
    rows = breakdown.reliability(probabilities, labels)
    assert breakdown.expected_calibration_error(rows) < 0.02
