"""How sure a figure is, and whether a difference between two networks may be chance.

Videos of one group were cut from one source or share one look, so they are right or wrong together.
Whole groups are therefore drawn again (bootstrap) or change sides (the permutation test); single
videos would give intervals that are too narrow. Two things are random: the training (initial
weights, order, dropout), which another seed draws again, and which videos are tested. Each interval
here covers one of the two and says which.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
FEW = 10  # groups, below which an interval is rough and mostly too narrow
LEVEL = 0.05  # of the verdicts of a table together
RELABELLINGS = 2**14


def _numbers(groups: Sequence[Hashable]) -> np.ndarray:
    """The number of each video's group, in the order in which the groups first come."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups])


def intervals(
    statistics: Callable[[np.ndarray], Mapping[str, float]],
    groups: Sequence[Hashable],
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> dict[str, list[float]]:
    """Name -> [lower end, upper end]: the percentile interval of each statistic over groups.

    `statistics` is a function of how often each of the N videos was drawn, int64 (N,). As many
    groups as there are are drawn each time, with replacement (Efron & Tibshirani 1993, chapter 13).
    """
    member = _numbers(groups)
    count = member.max() + 1
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


def interval_of_mean(rates: Sequence[float]) -> list[float] | None:
    """Student's interval of the mean rate over S seeds: mean +- t s / sqrt(S), within [0, 1].

    It covers the training's randomness alone, and takes rates over seeds as normally distributed.
    With three seeds t is 4.3, so it is wide; None with one, which tells nothing of others.
    """
    from scipy import stats

    count = len(rates)
    if count < 2:
        return None
    standard = np.array(stats.t.interval(CONFIDENCE, count - 1))
    return np.clip(np.mean(rates) + stats.sem(rates) * standard, 0, 1).tolist()


def paired_p(differences: np.ndarray, groups: Sequence[Hashable]) -> float:
    """Two-sided p of the paired permutation test over whole groups of videos.

    `differences` are of each video, float (N,). If two networks did equally well, their names could
    be swapped within any group: the sum of the differences would be as likely with any signs of its
    groups' sums. p is the fraction of all signs whose sum is at least as far from zero as the one
    found. This holds for any distribution, for groups of unequal size and for few of them, where
    the percentile bootstrap leaves zero out too often. p does not cover what other seeds would
    give.

    Fisher 1935, section 21; Good 2005, chapter 3. Exact for up to 14 groups that differ, above
    those from `RELABELLINGS` signs, drawn and the found ones (Phipson & Smyth 2010).
    """
    sums = np.bincount(_numbers(groups), weights=differences)
    sums = sums[np.abs(sums) > 1e-9]  # others have no sign to swap
    if 2 ** len(sums) <= RELABELLINGS:
        signs = 1 - 2 * (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1)
    else:
        rng = np.random.default_rng(0)
        signs = rng.choice([-1, 1], size=(RELABELLINGS, len(sums)))
        signs[0] = 1
    return float(np.mean(np.abs(signs @ sums) >= np.abs(sums.sum()) - 1e-9))


def least_p(groups: int) -> float:
    """The p of groups that all favour the same network: such as 0.031 for 6, 0.016 for 7."""
    return max(2 / 2**groups, 1 / RELABELLINGS)


def deciding_groups(comparisons: int) -> int:
    """How many groups it takes that a single one of several comparisons can be below `LEVEL`."""
    return int(np.floor(np.log2(2 * max(1, comparisons) / LEVEL))) + 1


def holm(ps: Mapping[str, float]) -> dict[str, float]:
    """The p of each comparison, adjusted so that one in 20 such tables has a false one below 0.05,
    whatever depends on what (Holm 1979).
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in ps}


class Compared(NamedTuple):
    """One of several networks, and its difference from the reference, as fractions."""

    top1: float  # mean over seeds
    interval: list[float]  # of it, over test groups
    difference: float  # top-1 minus the reference's
    paired: list[float]  # interval of the difference, over test groups
    p: float  # of the difference, by `paired_p`; 1 for the reference
    adjusted: float  # p by Holm, over all networks but the reference; 1 for the reference


def compare(
    right: Mapping[str, np.ndarray], reference: str, groups: Sequence[Hashable]
) -> dict[str, Compared]:
    """Compares networks that were tested on the same N videos, each trained with several seeds.

    `right` is name -> bool (S, N), whether the network of each of its S seeds recognises each
    video; S may differ. A video counts with the fraction of the seeds that recognise it. The same
    groups are drawn for both networks of a difference (paired). Intervals and p cover which videos
    are tested, and not what other seeds would give.
    """
    fractions = {name: np.asarray(rows, float).mean(axis=0) for name, rows in right.items()}

    def statistics(weights: np.ndarray) -> dict[str, float]:
        total = weights.sum()
        rates = {name: float(weights @ part / total) for name, part in fractions.items()}
        return {
            **{f"top1 {name}": rate for name, rate in rates.items()},
            **{f"less {name}": rate - rates[reference] for name, rate in rates.items()},
        }

    ps = {name: paired_p(part - fractions[reference], groups) for name, part in fractions.items()}
    adjusted = holm({name: p for name, p in ps.items() if name != reference})
    means = statistics(np.ones(len(groups)))
    ends = intervals(statistics, groups)
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
