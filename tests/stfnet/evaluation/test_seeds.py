"""Intervals over seeds and paired ones over groups, against tables and every possible resample."""

import itertools

import numpy as np
import pytest

from stfnet.evaluation import seeds


def test_the_interval_over_three_seeds_is_worked_by_hand():
    # Mean 0.6, deviation 0.1; t of 2 degrees of freedom is 4.3027 in any table.
    half = 4.3027 * 0.1 / 3**0.5
    assert seeds.interval_of_mean([0.5, 0.6, 0.7]) == pytest.approx([0.6 - half, 0.6 + half], 1e-4)


def test_an_interval_of_rates_ends_at_0_and_1():
    assert seeds.interval_of_mean([0.8, 0.9, 1.0]) == pytest.approx([0.6516, 1.0], abs=1e-4)
    assert seeds.interval_of_mean([0.0, 0.2]) == [0.0, 1.0]  # t of 1 is 12.7: anything


def test_one_seed_tells_nothing_of_others():
    assert seeds.interval_of_mean([0.7]) is None


# Two videos in each of three groups; two seeds of the reference, one of the other.
GROUPS = ["a", "a", "b", "b", "c", "c"]
RIGHT = {
    "both": np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0]], bool),
    "rgb": np.array([[1, 0, 0, 0, 0, 1]], bool),
}
MEANS = {"both": {"a": 1.0, "b": 0.75, "c": 0.0}, "rgb": {"a": 0.5, "b": 0.0, "c": 0.5}}


def test_means_and_differences_are_worked_by_hand():
    figures = seeds.compare(RIGHT, "both", GROUPS)
    assert list(figures) == ["both", "rgb"]
    assert figures["both"].top1 == pytest.approx(7 / 12)  # (3 + 4) of 12
    assert figures["rgb"].top1 == pytest.approx(2 / 6)
    assert figures["rgb"].difference == pytest.approx(2 / 6 - 7 / 12)
    assert (figures["both"].difference, figures["both"].paired) == (0, [0, 0])


def test_p_is_adjusted_for_all_networks_but_the_reference():
    right = {
        "both": np.ones((2, 8)),
        "rgb": np.zeros((2, 8)),  # all eight groups agree: 2 of 2^8 signs
        "flow": np.array([[0, 1, 1, 1, 1, 1, 1, 1]]),
    }
    figures = seeds.compare(right, "both", range(8))
    assert [one.p for one in figures.values()] == [1, 2 / 2**8, 1]
    assert [one.adjusted for one in figures.values()] == [1, 2 * 2 / 2**8, 1]


def test_intervals_are_quantiles_over_all_resamples_of_the_groups():
    figures = seeds.compare(RIGHT, "both", GROUPS)
    draws = list(itertools.product("abc", repeat=3))
    rates = {
        name: np.array([np.mean([means[group] for group in draw]) for draw in draws])
        for name, means in MEANS.items()
    }

    def ends(values):
        return np.quantile(values, [0.025, 0.975], method="inverted_cdf")

    assert figures["both"].interval == pytest.approx(ends(rates["both"]))
    assert figures["rgb"].interval == pytest.approx(ends(rates["rgb"]))
    # Paired: the same groups are drawn for both.
    assert figures["rgb"].paired == pytest.approx(ends(rates["rgb"] - rates["both"]))


def test_pairing_leaves_out_what_both_networks_find_hard():
    # One is right in one video more of each of 10 groups, which differ widely in difficulty.
    hard = np.repeat([0, 1], 5)
    right = np.stack([hard, hard, hard, np.zeros(10, int)], 1).ravel()[None].astype(bool)
    better = right.copy().reshape(10, 4)
    better[:, 3] = True
    figures = seeds.compare(
        {"plain": right, "better": better.reshape(1, -1)}, "plain", np.repeat(range(10), 4)
    )
    assert figures["better"].paired == pytest.approx([0.25, 0.25])
    low, high = figures["better"].interval
    assert high - low > 0.4
