"""Whether a difference between two networks may be chance: a paired test, and Holm's correction."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

LEVEL = 0.05  # of the verdicts of a table together
RELABELLINGS = 2**14


def paired_p(differences: np.ndarray, groups: Sequence[Hashable]) -> float:
    """Two-sided p of the paired permutation test over whole groups of videos.

    If two networks did equally well, their names could be swapped within any group: the sum of
    the differences would be as likely with any signs of its groups' sums. p is the fraction of all
    signs whose sum is at least as far from zero as the one found. This holds for any distribution,
    for groups of unequal size and for few of them, where the percentile bootstrap leaves zero out
    too often. Videos of one group are right or wrong together, so they keep one sign. The least p
    is that of `least_p`. p does not cover what other seeds of training would give.

    Fisher 1935, section 21; Good 2005, chapter 3. Exact for up to 14 groups that differ, above
    those from `RELABELLINGS` signs, drawn and the found ones (Phipson & Smyth 2010).

    Args:
        differences: float (N,), of each video.
        groups: the group of each.
    """
    numbers: dict[Hashable, int] = {}
    member = [numbers.setdefault(group, len(numbers)) for group in groups]
    sums = np.bincount(member, weights=differences)
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
    """The p of several comparisons, adjusted so that one in 20 such tables has a false one below
    0.05, whatever depends on what (Holm 1979).

    Args:
        ps: name of each comparison -> its p.

    Returns:
        Name -> adjusted p, in the order given.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in ps}
