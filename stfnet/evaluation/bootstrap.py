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


def intervals(
    statistics: Callable[[np.ndarray], Mapping[str, float]],
    groups: Sequence[Hashable],
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> dict[str, list[float]]:
    """The percentile interval of each statistic.

    Args:
        statistics: function of weights int64 (N,), how often each video was drawn, to name ->
            figure.
        groups: the group of each of the N videos.
        resamples: how often as many groups as there are are drawn, with replacement.
        confidence: the fraction of the resamples that lies inside the interval.

    Returns:
        Name -> [lower end, upper end].
    """
    numbers: dict[Hashable, int] = {}
    member = np.array([numbers.setdefault(group, len(numbers)) for group in groups])
    count = len(numbers)
    rng = np.random.default_rng(0)
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
