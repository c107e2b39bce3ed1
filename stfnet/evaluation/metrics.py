"""Figures of an evaluation: top-k, confusion matrix, accuracy per class, F1, means over folds."""

from collections.abc import Mapping

import numpy as np

# The figures of which `average_folds` takes the mean.
AVERAGED = ("top1", "top5", "mean_class_accuracy", "chance", "majority", "leak")


def top_k(probabilities: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The fraction of clips whose class is among their k most probable classes.

    Of equally probable classes, the first in label order counts as the more probable.
    """
    return float(np.mean(ranks(probabilities, labels) < k))


def ranks(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes are more probable than each clip's own, in the order of `top_k`.

    Probabilities float (N, C) and labels (N,) to int64 (N,), 0 for a clip that is recognised.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return (order == np.asarray(labels)[:, None]).argmax(axis=1)


def class_accuracies(confusion: np.ndarray) -> np.ndarray:
    """The fraction of each class's clips that was recognised, float64 (C,); NaN for classes without
    clips.

    The confusion matrix (C, C) has the true classes in rows.
    """
    counts = confusion.sum(axis=1)
    accuracies = np.full(len(confusion), np.nan)
    np.divide(np.diag(confusion), counts, out=accuracies, where=counts > 0)
    return accuracies


def macro_f1(confusion: np.ndarray) -> float:
    """The mean of the F1 scores of the classes that have clips; true classes in rows."""
    counts = confusion.sum(axis=1)
    tested = counts > 0
    f1 = 2 * np.diag(confusion)[tested] / (counts + confusion.sum(axis=0))[tested]
    return float(f1.mean())


def majority_accuracy(train_labels: np.ndarray, labels: np.ndarray, num_classes: int) -> float:
    """Top-1 of always answering the most frequent class of the training part."""
    majority = np.bincount(train_labels, minlength=num_classes).argmax()
    return float(np.mean(np.asarray(labels) == majority))


def average_folds(results: Mapping[str, Mapping]) -> dict:
    """The mean over the folds of a data set's official split, as JSON values.

    `results` is fold -> results of the run of that fold. Returns the mean of each figure of
    `AVERAGED`, `top1_deviation` (the sample standard deviation, 0 for one fold), and the figures of
    each fold in `folds`.
    """
    first, *_ = results.values()
    top1 = [one["top1"] for one in results.values()]
    return {
        **{name: first[name] for name in ("dataset", "protocol", "split", "streams")},
        "architecture": first.get("architecture", "stfnet"),  # results from before there were more
        "fold": ",".join(results),
        **{name: float(np.mean([one[name] for one in results.values()])) for name in AVERAGED},
        "top1_deviation": float(np.std(top1, ddof=1)) if len(top1) > 1 else 0.0,
        "num_test": sum(one["num_test"] for one in results.values()),
        "ungrouped": sum(one.get("ungrouped", 0) for one in results.values()),
        "num_classes": first["num_classes"],
        "folds": {
            fold: {
                name: one[name]
                for name in (*AVERAGED, "num_test", "num_train", "split_fingerprint")
            }
            for fold, one in results.items()
        },
    }
