"""Calibration: whether the probability of the predicted class is how often it is right.

Guo, Pleiss, Sun & Weinberger, "On calibration of modern neural networks", 2017.
"""

from typing import Any

import numpy as np

BINS = 15


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> list[dict[str, Any]]:
    """Accuracy and mean confidence of the predictions, by confidence.

    Args:
        probabilities: float (N, C).
        labels: true classes, integers (N,).
        bins: B, of equal width; bin b has the confidences in (b / B, (b + 1) / B].

    Returns:
        For each bin `low`, `high`, `count`, and `confidence` and `accuracy`, which are None where
        the bin is empty.
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
    """ECE: the mean distance between accuracy and confidence, weighted by the bins' counts.

    Args:
        rows: of `reliability`.
    """
    total = sum(row["count"] for row in rows)
    distances = (
        row["count"] * abs(row["accuracy"] - row["confidence"]) for row in rows if row["count"]
    )
    return sum(distances) / total
