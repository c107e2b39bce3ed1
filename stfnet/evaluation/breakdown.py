"""The figures of tested videos: how many are right, how sure that is, and where they fail.

Calibration is whether the probability of the predicted class is how often it is right (Guo, Pleiss,
Sun & Weinberger, "On calibration of modern neural networks", 2017).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from preprocessing.records import RecordedVideo
from stfnet.evaluation import metrics, significance

TOP = (1, 2, 3, 5, 10)  # the k of top-k
MOST_CONFUSED = 10  # pairs of classes
MOST_WRONG = 10  # videos
BINS = 15  # of confidence


def breakdown(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    videos: Sequence[RecordedVideo],
) -> dict[str, Any]:
    """The figures of N tested videos, as JSON values.

    Args:
        probabilities: float (N, C).
        labels: true classes, integers (N,).
        classes: names, in label order.
        videos: the N videos.

    Returns:
        `top1`, `top5`, `mean_class_accuracy`, `per_class` (accuracy of each tested class),
        `confusion` (true classes in rows), `top_k`, `macro_f1`, `mean_roc_auc`,
        `mean_average_precision` (None where undefined), `intervals` (95 %), `bootstrap` (what was
        drawn for them), `calibration`, `classes` (figures of each), `most_confused` and
        `most_wrong`.
    """
    from sklearn.metrics import confusion_matrix

    labels = np.asarray(labels)
    groups = [video.group for video in videos]
    per_class = class_figures(probabilities, labels, classes)
    rows = reliability(probabilities, labels)
    confusion = confusion_matrix(labels, probabilities.argmax(1), labels=range(len(classes)))
    accuracies = metrics.class_accuracies(confusion)
    tested = np.flatnonzero(~np.isnan(accuracies)).tolist()
    return {
        "top1": metrics.top_k(probabilities, labels, 1),
        "top5": metrics.top_k(probabilities, labels, 5),
        "mean_class_accuracy": float(accuracies[tested].mean()),
        "per_class": {classes[k]: float(accuracies[k]) for k in tested},
        "confusion": confusion.tolist(),
        "top_k": {
            str(k): metrics.top_k(probabilities, labels, k) for k in TOP if k <= len(classes)
        },
        "macro_f1": metrics.macro_f1(confusion),
        "mean_roc_auc": _mean([one["roc_auc"] for one in per_class.values()]),
        "mean_average_precision": _mean([one["average_precision"] for one in per_class.values()]),
        "intervals": _intervals(probabilities, labels, groups, len(classes)),
        "bootstrap": {
            "drawn": "groups" if len(set(groups)) < len(groups) else "videos",
            "count": len(set(groups)),
            "resamples": significance.RESAMPLES,
            "confidence": significance.CONFIDENCE,
        },
        "calibration": {
            "expected_calibration_error": expected_calibration_error(rows),
            "bins": rows,
        },
        "classes": per_class,
        "most_confused": most_confused(confusion, classes),
        "most_wrong": most_wrong(probabilities, labels, classes, videos),
    }


def class_figures(
    probabilities: np.ndarray, labels: np.ndarray, classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Class -> figures of each tested class against the rest, from scikit-learn.

    `videos`, `precision`, `recall`, `f1`, `roc_auc` (None where every video is of the class) and
    `average_precision`.
    """
    from sklearn import metrics as sklearn_metrics

    predicted = probabilities.argmax(1)
    every = np.arange(len(classes))
    precision, recall, f1, counts = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=0.0
    )
    figures = {}
    for k in np.flatnonzero(counts).tolist():
        of_class, score = labels == k, probabilities[:, k]
        figures[classes[k]] = {
            "videos": int(counts[k]),
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "f1": float(f1[k]),
            "roc_auc": None
            if of_class.all()
            else float(sklearn_metrics.roc_auc_score(of_class, score)),
            "average_precision": float(sklearn_metrics.average_precision_score(of_class, score)),
        }
    return figures


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> list[dict[str, Any]]:
    """Accuracy and mean confidence of the predictions in each of B bins of confidence.

    Bin b has the confidences in (b / B, (b + 1) / B]: its `low`, `high`, `count`, and `confidence`
    and `accuracy`, which are None where it is empty.
    """
    confidence = probabilities.max(1).astype(np.float64)
    correct = probabilities.argmax(1) == np.asarray(labels)
    edges = np.arange(bins + 1) / bins
    member = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    rows = []
    for b in range(bins):
        inside = member == b
        rows.append(
            {
                "low": float(edges[b]),
                "high": float(edges[b + 1]),
                "count": int(inside.sum()),
                "confidence": float(confidence[inside].mean()) if inside.any() else None,
                "accuracy": float(correct[inside].mean()) if inside.any() else None,
            }
        )
    return rows


def expected_calibration_error(rows: list[dict[str, Any]]) -> float:
    """ECE of the rows of `reliability`: the mean distance between accuracy and confidence, weighted
    by the bins' counts.
    """
    total = sum(row["count"] for row in rows)
    distances = (
        row["count"] * abs(row["accuracy"] - row["confidence"]) for row in rows if row["count"]
    )
    return sum(distances) / total


def most_confused(
    confusion: np.ndarray, classes: Sequence[str], count: int = MOST_CONFUSED
) -> list[dict[str, Any]]:
    """The pairs of classes that are mistaken for each other most often, in either direction.

    For each pair `classes` (the one that is mistaken more often first), `videos` (mistaken in
    either direction) and `directions` (the first for the second, the second for the first).
    """
    confusion = np.asarray(confusion)
    mistaken = np.triu(confusion + confusion.T, 1)
    order = np.argsort(-mistaken, axis=None, kind="stable")[:count]
    pairs = []
    for a, b in zip(*np.unravel_index(order, mistaken.shape), strict=True):
        if not mistaken[a, b]:
            break
        first, second = (a, b) if confusion[a, b] >= confusion[b, a] else (b, a)
        pairs.append(
            {
                "classes": [classes[first], classes[second]],
                "videos": int(mistaken[a, b]),
                "directions": [int(confusion[first, second]), int(confusion[second, first])],
            }
        )
    return pairs


def most_wrong(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    videos: Sequence[RecordedVideo],
) -> list[dict[str, Any]]:
    """The MOST_WRONG mistaken videos to whose true class the network gives the least probability.

    For each `video`, `class`, `predicted`, `probability` (of the predicted class) and
    `probability_of_class`.
    """
    predicted, given = probabilities.argmax(1), probabilities[np.arange(len(labels)), labels]
    order = [k for k in np.argsort(given, kind="stable") if predicted[k] != labels[k]]
    return [
        {
            "video": videos[k].id,
            "class": classes[labels[k]],
            "predicted": classes[predicted[k]],
            "probability": float(probabilities[k, predicted[k]]),
            "probability_of_class": float(given[k]),
        }
        for k in order[:MOST_WRONG]
    ]


def _intervals(
    probabilities: np.ndarray, labels: np.ndarray, groups: Sequence[str], num_classes: int
) -> dict[str, list[float]]:
    """Bootstrap intervals of the figures whose names they bear in the results."""
    ranks = metrics.ranks(probabilities, labels)
    cells = labels * num_classes + probabilities.argmax(1)

    def statistics(weights: np.ndarray) -> dict[str, float]:
        total = weights.sum()
        counts = np.bincount(cells, weights, num_classes**2).reshape(num_classes, num_classes)
        return {
            "top1": float(weights[ranks < 1].sum() / total),
            "top5": float(weights[ranks < 5].sum() / total),
            "mean_class_accuracy": float(np.nanmean(metrics.class_accuracies(counts))),
            "macro_f1": metrics.macro_f1(counts),
        }

    return significance.intervals(statistics, groups)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
