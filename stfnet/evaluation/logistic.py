"""Logistic regression for few videos of many features, its penalty chosen by cross-validation."""

from typing import Any, NamedTuple

import numpy as np

# Inverse strengths of the penalty among which cross-validation chooses.
STRENGTHS = tuple(10.0**k for k in range(-5, 2))
FOLDS = 5  # of the cross-validation, at most


class Fit(NamedTuple):
    """A fitted logistic regression.

    Attributes:
        pipeline: of scikit-learn: standardisation, rotation, LogisticRegression.
        strength: C, the inverse strength of the penalty.
        accuracy: mean over the folds of the cross-validation with it; None without one.
    """

    pipeline: Any
    strength: float
    accuracy: float | None


def fit(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Fit:
    """Fits standardised features; the folds that choose the penalty are whole groups.

    Where no fold leaves two classes to learn from (videos of a single group, or of one group for
    each of two classes), the penalty is scikit-learn's own.

    Args:
        features: float (V, F).
        labels: integers (V,), of two classes at least.
        groups: (V,).
    """
    from sklearn.model_selection import GroupKFold

    features = np.asarray(features, np.float64)
    folds = min(FOLDS, len(np.unique(groups)))
    divisions = GroupKFold(folds).split(features, labels, groups) if folds > 1 else ()
    usable = [fold for fold in divisions if len(np.unique(labels[fold[0]])) > 1]
    strength, accuracy = 1.0, None
    if usable:
        scores = np.mean([_scores(features, labels, *fold) for fold in usable], axis=0)
        best = int(np.argmax(scores))  # the first of equals: the strongest penalty
        strength, accuracy = STRENGTHS[best], float(scores[best])
    return Fit(_pipeline(strength).fit(features, labels), strength, accuracy)


def _scores(features, labels, learned, tested):
    """Accuracy on one fold with each of `STRENGTHS`."""
    pipeline = _pipeline(1.0)
    x = pipeline[:-1].fit_transform(features[learned])
    y = pipeline[:-1].transform(features[tested])
    return [
        pipeline[-1].set_params(C=strength).fit(x, labels[learned]).score(y, labels[tested])
        for strength in STRENGTHS
    ]


def _pipeline(strength):
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # The penalty is the same in every rotation, and V videos lie in V dimensions: with all of its
    # components PCA changes no result, and saves most of the time.
    classifier = LogisticRegression(C=strength, max_iter=2000)
    return make_pipeline(StandardScaler(), PCA(svd_solver="full"), classifier)
