"""Figures over several seeds: how sure a mean is, and a difference between two networks.

Two things are random: the training (initial weights, order, dropout), which another seed draws
again, and which videos are tested. Each interval here covers one of the two and says which.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from stfnet.evaluation import bootstrap, significance


def interval_of_mean(rates: Sequence[float]) -> list[float] | None:
    """Student's interval of the mean rate over seeds: mean +- t s / sqrt(S), kept within [0, 1].

    It covers the training's randomness alone. With three seeds t is 4.3, so it is wide; it takes
    rates over seeds as normally distributed.

    Args:
        rates: of S seeds, each in [0, 1].

    Returns:
        [lower end, upper end]; None with a single seed, which tells nothing of others.
    """
    from scipy import stats

    count = len(rates)
    if count < 2:
        return None
    standard = np.array(stats.t.interval(bootstrap.CONFIDENCE, count - 1))
    return np.clip(np.mean(rates) + stats.sem(rates) * standard, 0, 1).tolist()


class Compared(NamedTuple):
    """One of several networks, and its difference from the reference, as fractions.

    Attributes:
        top1: mean over seeds.
        interval: of it, over test groups.
        difference: top-1 minus the reference's.
        paired: interval of the difference, over test groups.
        p: of the difference, by `significance.paired_p`; 1 for the reference.
        adjusted: p by Holm, over all networks but the reference; 1 for the reference.
    """

    top1: float
    interval: list[float]
    difference: float
    paired: list[float]
    p: float
    adjusted: float


def compare(
    right: Mapping[str, np.ndarray], reference: str, groups: Sequence[Hashable]
) -> dict[str, Compared]:
    """Compares networks that were tested on the same videos, each trained with several seeds.

    A video counts with the fraction of the seeds that recognise it. The intervals are those of
    `bootstrap.intervals`: whole groups of videos are drawn, the same for both networks of a
    difference (paired). They and p cover which videos are tested, and not what other seeds would
    give.

    Args:
        right: name -> bool (S, N), whether the network of each of its S seeds recognises each of
            the N videos. S may differ.
        reference: one of the names.
        groups: the group of each video.

    Returns:
        Name -> its figures, in the order given.
    """
    fractions = {name: np.asarray(rows, float).mean(axis=0) for name, rows in right.items()}

    def statistics(weights: np.ndarray) -> dict[str, float]:
        total = weights.sum()
        rates = {name: float(weights @ part / total) for name, part in fractions.items()}
        return {
            **{f"top1 {name}": rate for name, rate in rates.items()},
            **{f"less {name}": rate - rates[reference] for name, rate in rates.items()},
        }

    ps = {
        name: significance.paired_p(part - fractions[reference], groups)
        for name, part in fractions.items()
    }
    adjusted = significance.holm({name: p for name, p in ps.items() if name != reference})
    means = statistics(np.ones(len(groups)))
    ends = bootstrap.intervals(statistics, groups)
    return {
        name: Compared(
            means[f"top1 {name}"],
            ends[f"top1 {name}"],
            means[f"less {name}"],
            ends[f"less {name}"],
            ps[name],
            adjusted.get(name, 1.0),
        )
        for name in right
    }
