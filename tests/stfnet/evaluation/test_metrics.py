"""The figures of an evaluation, worked by hand and held against plain loops in float64."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from stfnet.evaluation import metrics


def test_top_k_counts_the_k_most_probable_classes():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2], [0.2, 0.5, 0.3]])
    labels = np.array([0, 1, 1, 0])
    # The third row is a tie, of which the first class counts as the more probable.
    assert [metrics.top_k(probabilities, labels, k) for k in (1, 2, 3, 5)] == [0.25, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("k", [1, 2, 5, 11])
def test_top_k_is_the_fraction_with_fewer_than_k_classes_above_the_true_one(k):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(11), 200).astype(np.float32)
    labels = rng.integers(0, 11, 200)
    right = 0
    for row, label in zip(probabilities.astype(np.float64), labels, strict=True):
        right += sum(other > row[label] for other in row) < k
    assert metrics.top_k(probabilities, labels, k) == right / 200


def test_ranks_count_the_classes_that_are_more_probable():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])
    assert metrics.ranks(probabilities, np.array([2, 2, 1])).tolist() == [2, 0, 1]


def test_macro_f1_is_scikit_learns_over_the_tested_classes():
    rng = np.random.default_rng(3)
    labels, predicted = rng.integers(0, 5, 80), rng.integers(0, 6, 80)  # class 5 is only predicted
    expected = sklearn_metrics.f1_score(labels, predicted, labels=range(5), average="macro")
    confusion = sklearn_metrics.confusion_matrix(labels, predicted, labels=range(6))
    assert metrics.macro_f1(confusion) == pytest.approx(expected)


def test_a_class_without_clips_has_no_accuracy():
    accuracies = metrics.class_accuracies(np.array([[3, 1, 0], [0, 0, 0], [1, 1, 2]]))
    np.testing.assert_array_equal(accuracies, [0.75, np.nan, 0.5])


def test_the_mean_over_classes_is_scikit_learns_balanced_accuracy():
    rng = np.random.default_rng(2)
    labels, predicted = rng.integers(0, 5, (2, 300))
    accuracies = metrics.class_accuracies(sklearn_metrics.confusion_matrix(labels, predicted))
    expected = sklearn_metrics.balanced_accuracy_score(labels, predicted)
    assert accuracies.mean() == pytest.approx(expected, rel=1e-12)


def test_the_majority_is_of_the_training_part_and_measured_on_the_test_part():
    train, test = np.array([2, 2, 0, 1]), np.array([2, 0, 0, 0])
    assert metrics.majority_accuracy(train, test, 4) == 0.25
    empty = np.array([], np.int64)  # without training videos it is the first class
    assert metrics.majority_accuracy(empty, np.array([0, 1]), 2) == 0.5


def _results(top1, num_test):
    figures = {"top5": 0.9, "mean_class_accuracy": 0.4, "chance": 0.1, "majority": 0.2, "leak": 0.0}
    return {
        "dataset": "ucf101",
        "protocol": "official",
        "split": "test",
        "streams": "both",
        "top1": top1,
        "num_test": num_test,
        "num_train": 3,
        "num_classes": 10,
        **figures,
        "split_fingerprint": {"parts_sha256": f"{num_test}"},
    }


def test_the_mean_of_folds_is_the_mean_of_their_figures():
    mean = metrics.average_folds({"1": _results(0.5, 6), "group02": _results(0.7, 4)})
    assert mean["top1"] == pytest.approx(0.6)
    assert mean["top1_deviation"] == pytest.approx(0.2 / 2**0.5)
    assert (mean["num_test"], mean["fold"], mean["num_classes"]) == (10, "1,group02", 10)
    assert mean["architecture"] == "stfnet"
    assert mean["folds"]["group02"]["top1"] == 0.7
    assert mean["folds"]["group02"]["split_fingerprint"] == {"parts_sha256": "4"}
    mean = metrics.average_folds({"3": _results(0.5, 6)})
    assert (mean["top1"], mean["top1_deviation"]) == (0.5, 0.0)
