"""Logistic regression for few videos of many features, chosen by cross-validation over groups."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import threadpoolctl

# Inverse strengths of the penalty among which cross-validation chooses.
STRENGTHS = tuple(10.0**k for k in range(-5, 2))
FOLDS = 5  # of the cross-validation, at most
_LEAST = 1e-4  # probability below which a wrong answer costs no more


class Fit(NamedTuple):
    """A fitted logistic regression.

    Attributes:
        pipeline: of scikit-learn: standardisation, rotation, LogisticRegression.
        strength: C, the inverse strength of the penalty.
        accuracy: of the cross-validation with it; None without one.
        losses: (V,), of each video in the cross-validation the negative logarithm of the
            probability of its class; None without one.
    """

    pipeline: Any
    strength: float
    accuracy: float | None
    losses: np.ndarray | None


def fit(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Fit:
    """Fits standardised features; the folds that choose the penalty are whole groups.

    The penalty with the least mean loss is taken: a loss hears how sure an answer is, so that it
    decides where few videos give equal accuracies, and its choice is calibrated. Where no fold
    leaves two classes to learn from (videos of a single group, or of one group for each of two
    classes), the penalty is scikit-learn's own.

    Args:
        features: float (V, F).
        labels: integers (V,), of two classes at least.
        groups: (V,).
    """
    # Its steps are many and small: two threads that wait for each other take ten times as long.
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        return _fit(np.asarray(features, np.float64), labels, groups)


def _fit(features, labels, groups):
    from sklearn.model_selection import GroupKFold

    folds = min(FOLDS, len(np.unique(groups)))
    divisions = GroupKFold(folds).split(features, labels, groups) if folds > 1 else ()
    usable = [fold for fold in divisions if len(np.unique(labels[fold[0]])) > 1]
    if not usable:
        return Fit(_pipeline(1.0).fit(features, labels), 1.0, None, None)
    rotated = [_rotated(features, *fold) for fold in usable]
    best, losses, right = -1, np.array([np.inf]), np.array([])
    for k, strength in enumerate(STRENGTHS):
        scores = [
            _scores(labels, fold, x, strength) for fold, x in zip(usable, rotated, strict=True)
        ]
        found, found_right = (np.concatenate(of_folds) for of_folds in zip(*scores, strict=True))
        if found.mean() < losses.mean():
            best, losses, right = k, found, found_right
        elif k > best + 1:  # worse twice: weaker penalties only take longer to fit
            break
    strength = STRENGTHS[best]
    of_videos = np.full(len(labels), np.nan)
    of_videos[np.concatenate([fold[1] for fold in usable])] = losses
    fitted = _pipeline(strength).fit(features, labels)
    return Fit(fitted, strength, float(right.mean()), of_videos)


def plainest(fits_of: Mapping[str, Fit], groups: np.ndarray) -> str:
    """The plainest features that are not shown to be worse than others.

    Args:
        fits_of: name -> fit, from the plainest features on.
        groups: (V,).

    Returns:
        The name of the first fit whose loss in cross-validation is within a standard error of
        the least, over groups and paired (the rule of Breiman et al. 1984); the first where
        nothing could be validated.
    """
    validated = {name: one.losses for name, one in fits_of.items() if one.losses is not None}
    if not validated:
        return next(iter(fits_of))
    least = min(validated.values(), key=np.nanmean)
    numbers = np.unique(groups, return_inverse=True)[1]

    def is_as_good(losses):
        sums = np.bincount(numbers, weights=np.nan_to_num(losses - least))
        return sums.sum() <= np.sqrt(len(sums)) * sums.std()

    return next(name for name, losses in validated.items() if is_as_good(losses))


def _rotated(features, learned, tested):
    """A fold's features as the classifier reads them: those to learn from, and those to test."""
    transform = _pipeline(1.0)[:-1].fit(features[learned])
    return transform.transform(features[learned]), transform.transform(features[tested])


def _scores(labels, fold, rotated, strength):
    """(losses, whether right) of one fold's tested videos."""
    (learned, tested), (x, y) = fold, rotated
    classifier = _pipeline(strength)[-1].fit(x, labels[learned])
    probabilities = classifier.predict_proba(y)
    of_class = labels[tested][:, None] == classifier.classes_
    own = (probabilities * of_class).sum(1)  # 0 for a class that the fold did not learn
    right = of_class[np.arange(len(y)), probabilities.argmax(1)]
    return -np.log(np.maximum(own, _LEAST)), right


def _pipeline(strength):
    from sklearn.decomposition import KernelPCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # The penalty is the same in every rotation, and V videos lie in V dimensions: with all of its
    # components PCA changes no result, and saves most of the time. The linear kernel's is that of
    # the features, by products of videos, which are fewer.
    rotation = KernelPCA(kernel="linear", eigen_solver="dense", remove_zero_eig=True)
    classifier = LogisticRegression(C=strength, max_iter=2000)
    return make_pipeline(StandardScaler(), rotation, classifier)
