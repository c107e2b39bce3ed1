"""Logistic regression for few videos of many features, chosen by cross-validation over groups."""

import warnings
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
        temperature: by which its logits are divided to be as sure as the cross-validation was
            right (Guo et al. 2017); 1 without one.
        accuracy: of the cross-validation; None without one.
        losses: (V,), of each video in the cross-validation the negative logarithm of the
            probability of its class, at the temperature; None without one.
    """

    pipeline: Any
    strength: float
    temperature: float
    accuracy: float | None
    losses: np.ndarray | None


def fit(features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Fit:
    """Fits standardised features; the folds that choose the penalty are whole groups.

    The penalty with the least mean loss at its own temperature is taken: a loss hears how far an
    answer is from right, so that it decides where few videos give equal accuracies, and the
    temperature keeps it from choosing for modesty alone. Where no fold leaves two classes to learn
    from (videos of a single group, or of one group for each of two classes), the penalty is
    scikit-learn's own.

    Args:
        features: float (V, F).
        labels: integers (V,), of two classes at least.
        groups: (V,).
    """
    # Its steps are many and small: two threads that wait for each other take ten times as long.
    limited = threadpoolctl.threadpool_limits(1, user_api="blas")
    with limited, np.errstate(divide="ignore"):  # of a probability of 0, whose logarithm is bounded
        return _fit(np.asarray(features, np.float64), labels, groups)


def _fit(features, labels, groups):
    folds = _folds(labels, groups)
    if all(len(np.unique(labels[learned])) == 1 for learned, _ in folds):
        return Fit(_pipeline(1.0).fit(features, labels), 1.0, 1.0, None, None)
    rotated = [_rotated(features, *fold) for fold in folds]
    best, least, worse = Fit(None, 1.0, 1.0, None, None), np.inf, 0
    for strength in STRENGTHS:
        logits = np.full((len(labels), labels.max() + 1), np.log(_LEAST))
        for (learned, tested), (x, y) in zip(folds, rotated, strict=True):
            classes, found = np.unique(labels[learned]), np.zeros((len(y), 1))
            if len(classes) > 1:
                found = _pipeline(strength)[-1].fit(x, labels[learned]).predict_log_proba(y)
            logits[np.ix_(tested, classes)] = np.maximum(found, np.log(_LEAST))
        temperature, losses = _tempered(logits, labels)
        if losses.mean() < least:
            accuracy = float(np.mean(logits.argmax(1) == labels))
            best = Fit(None, strength, temperature, accuracy, losses)
            least, worse = losses.mean(), 0
        worse += bool(losses.mean() > 1.01 * least)  # and not as blind as the strongest ones
        if worse == 2:  # weaker penalties only take longer to fit
            break
    return best._replace(pipeline=_pipeline(best.strength).fit(features, labels))


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
    least = min(validated.values(), key=np.mean)
    numbers = np.unique(groups, return_inverse=True)[1]

    def is_as_good(losses):
        sums = np.bincount(numbers, weights=losses - least)
        return sums.sum() <= np.sqrt(len(sums)) * sums.std()

    return next(name for name, losses in validated.items() if is_as_good(losses))


def _folds(labels, groups):
    """[(learned, tested)]: whole groups, the classes as even as they allow; each video once."""
    from sklearn.model_selection import StratifiedGroupKFold

    count = min(FOLDS, len(np.unique(groups)), np.bincount(labels).max())
    if count < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer videos than folds
        division = StratifiedGroupKFold(count, shuffle=True, random_state=0)
        folds = list(division.split(labels, labels, groups))
    return [fold for fold in folds if len(fold[1])]  # few groups leave some without a video


def _tempered(logits, labels):
    """(temperature of the least mean loss, losses (V,) at it)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def losses(logarithm):
        return -log_softmax(logits / np.exp(logarithm), 1)[np.arange(len(labels)), labels]

    found = minimize_scalar(lambda one: losses(one).mean(), bounds=(-4, 4), method="bounded")
    return float(np.exp(found.x)), losses(found.x)


def _rotated(features, learned, tested):
    """A fold's features as the classifier reads them: those to learn from, and those to test."""
    transform = _pipeline(1.0)[:-1].fit(features[learned])
    return transform.transform(features[learned]), transform.transform(features[tested])


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
