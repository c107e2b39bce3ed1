"""95 % intervals by bootstrap: the tested videos are drawn again, by whole groups.

Videos of one group were cut from one source or share one look, so they are right or wrong together.
Drawing single videos would pass them off as independent, and give intervals that are too narrow.
Efron & Tibshirani 1993, chapter 13 (percentile interval).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
FEW = 10  # groups, below which an interval is rough and mostly too narrow
# Groups, below which no paired interval decides: of n groups all agree in 2 of 2^n comparisons
# without any difference, and only from 6 on is that less than one in 20.
DECIDING = 6


def intervals(
    statistics: Callable[[np.ndarray], Mapping[str, float]],
    groups: Sequence[Hashable],
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, list[float]]:
    """The percentile interval of each statistic.

    Args:
        statistics: function of weights int64 (N,), how often each video was drawn, to name ->
            figure.
        groups: the group of each of the N videos.
        resamples: how often as many groups as there are are drawn, with replacement.
        confidence: the fraction of the resamples that lies inside the interval.
        seed: of the drawing.

    Returns:
        Name -> [lower end, upper end].
    """
    numbers: dict[Hashable, int] = {}
    member = np.array([numbers.setdefault(group, len(numbers)) for group in groups])
    count = len(numbers)
    rng = np.random.default_rng(seed)
    figures: dict[str, list[float]] = {}
    for _ in range(resamples):
        drawn = np.bincount(rng.integers(count, size=count), minlength=count)
        for name, value in statistics(drawn[member]).items():
            figures.setdefault(name, []).append(value)
    outside = (1 - confidence) / 2
    return {
        name: np.quantile(values, [outside, 1 - outside]).tolist()
        for name, values in figures.items()
    }


def false_rate(groups: int, seed: int = 0) -> float:
    """How often a paired interval leaves zero out where there is no difference.

    Simulated: 2,000 comparisons, in each of which a group's difference is drawn from a normal
    distribution around zero. With few groups it is well above 1 - CONFIDENCE.

    Args:
        groups: number of groups of one size.
        seed: of the drawing.

    Returns:
        The fraction of the comparisons, such as 0.25 with 3 groups and 0.06 with 27.
    """
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES) / groups
    differences = rng.normal(size=(2000, groups)) @ weights.T
    outside = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences, [outside, 1 - outside], axis=1)
    return float(np.mean((low > 0) | (high < 0)))
