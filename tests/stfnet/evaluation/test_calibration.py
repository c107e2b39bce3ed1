"""The expected calibration error of cases worked by hand."""

import numpy as np
import pytest

from stfnet.evaluation import calibration


def test_the_error_of_five_predictions_is_that_worked_by_hand():
    # Of confidence .9, .9 (one right), .6, .6 (both right) and .55 (wrong).
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4], [0.45, 0.55]])
    labels = np.array([0, 1, 0, 0, 0])
    rows = calibration.reliability(probabilities, labels)
    assert len(rows) == 15
    filled = {round(row["low"] * 15): row for row in rows if row["count"]}
    # .9 * 15 = 13.5, .6 * 15 = 9 (the upper edge of bin 8), .55 * 15 = 8.25.
    assert sorted(filled) == [8, 13]
    assert (filled[13]["count"], filled[13]["accuracy"]) == (2, 0.5)
    assert filled[8]["count"] == 3
    assert filled[8]["accuracy"] == pytest.approx(2 / 3)
    assert filled[8]["confidence"] == pytest.approx(1.75 / 3)
    expected = (2 * 0.4 + 3 * (2 / 3 - 1.75 / 3)) / 5
    assert calibration.expected_calibration_error(rows) == pytest.approx(expected)


def test_confidences_on_an_edge_count_below_it():
    rows = calibration.reliability(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), bins=2)
    assert [row["count"] for row in rows] == [1, 1]
    empty = calibration.reliability(np.array([[1.0, 0.0]]), np.array([1]), bins=2)[0]
    assert empty == {"low": 0, "high": 0.5, "count": 0, "confidence": None, "accuracy": None}


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not():
    certain = np.eye(4)
    for labels, error in ((np.arange(4), 0), (np.arange(4)[::-1], 1)):
        rows = calibration.reliability(certain, labels)
        assert calibration.expected_calibration_error(rows) == error


def test_drawn_labels_are_calibrated():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 20000)
    labels = (probabilities.cumsum(1) < rng.random((20000, 1))).sum(1)
    rows = calibration.reliability(probabilities, labels)
    assert calibration.expected_calibration_error(rows) < 0.02
