"""Intervals against every possible resample, the binomial distribution, and plain NumPy."""

import itertools

import numpy as np
import pytest

from stfnet.evaluation import bootstrap


def _mean_of(values):
    return lambda weights: {"mean": float((weights * values).sum() / weights.sum())}


def test_the_ends_are_quantiles_of_all_resamples_of_three_groups():
    # Two videos a group: right in both, in one, in none. 27 equally likely resamples of 3 groups.
    values, groups = np.array([1, 1, 1, 0, 0, 0]), ["a", "a", "b", "b", "c", "c"]
    means = [sum(drawn) / 3 for drawn in itertools.product([1, 0.5, 0], repeat=3)]
    expected = np.quantile(means, [0.1, 0.9])
    drawn = bootstrap.intervals(_mean_of(values), groups, resamples=4000, confidence=0.8)
    assert drawn["mean"] == pytest.approx(expected)


def test_single_videos_have_the_interval_of_the_binomial_distribution():
    # 30 of 40 right: resampled means have the deviation sqrt(p (1 - p) / n).
    values = np.repeat([1, 0], [30, 10])
    low, high = bootstrap.intervals(_mean_of(values), range(40))["mean"]
    half = 1.96 * np.sqrt(0.75 * 0.25 / 40)
    assert low == pytest.approx(0.75 - half, abs=0.03)
    assert high == pytest.approx(0.75 + half, abs=0.03)


def test_the_interval_is_that_of_drawing_the_videos_of_groups_directly():
    rng = np.random.default_rng(5)
    groups = rng.integers(0, 9, 60)
    values = (rng.random(60) < 0.2 + 0.08 * groups).astype(float)
    members = [values[groups == group] for group in np.unique(groups)]
    means = []
    for _ in range(4000):
        drawn = [members[k] for k in rng.integers(0, len(members), len(members))]
        means.append(np.concatenate(drawn).mean())
    expected = np.quantile(means, [0.025, 0.975])
    interval = bootstrap.intervals(_mean_of(values), groups, resamples=4000)["mean"]
    np.testing.assert_allclose(interval, expected, atol=0.02)


def test_groups_that_are_right_together_widen_the_interval():
    values = np.repeat([1, 0, 1, 0], 10)
    single = bootstrap.intervals(_mean_of(values), range(40))["mean"]
    grouped = bootstrap.intervals(_mean_of(values), np.repeat(range(4), 10))["mean"]
    assert grouped == [0, 1]
    assert single[0] > 0.3 and single[1] < 0.7


def test_an_interval_is_the_same_every_time():
    values = np.repeat([1, 0], [7, 4])
    first, second = (bootstrap.intervals(_mean_of(values), range(11)) for _ in range(2))
    assert first == second
