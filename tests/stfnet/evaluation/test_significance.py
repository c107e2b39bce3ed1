"""Intervals and tests against tables, every possible resample, and cases without a difference."""

import itertools

import numpy as np
import pytest

from stfnet.evaluation import significance


def _mean_of(values):
    return lambda weights: {"mean": float((weights * values).sum() / weights.sum())}


def test_the_ends_are_quantiles_of_all_resamples_of_three_groups():
    # Two videos a group: right in both, in one, in none. 27 equally likely resamples of 3 groups.
    values, groups = np.array([1, 1, 1, 0, 0, 0]), ["a", "a", "b", "b", "c", "c"]
    means = [sum(drawn) / 3 for drawn in itertools.product([1, 0.5, 0], repeat=3)]
    expected = np.quantile(means, [0.1, 0.9])
    drawn = significance.intervals(_mean_of(values), groups, resamples=4000, confidence=0.8)
    assert drawn["mean"] == pytest.approx(expected)


def test_single_videos_have_the_interval_of_the_binomial_distribution():
    # 30 of 40 right: resampled means have the deviation sqrt(p (1 - p) / n).
    values = np.repeat([1, 0], [30, 10])
    low, high = significance.intervals(_mean_of(values), range(40))["mean"]
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
    interval = significance.intervals(_mean_of(values), groups, resamples=4000)["mean"]
    np.testing.assert_allclose(interval, expected, atol=0.02)


def test_groups_that_are_right_together_widen_the_interval():
    values = np.repeat([1, 0, 1, 0], 10)
    single = significance.intervals(_mean_of(values), range(40))["mean"]
    grouped = significance.intervals(_mean_of(values), np.repeat(range(4), 10))["mean"]
    assert grouped == [0, 1]
    assert single[0] > 0.3 and single[1] < 0.7


def test_an_interval_is_the_same_every_time():
    values = np.repeat([1, 0], [7, 4])
    first, second = (significance.intervals(_mean_of(values), range(11)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("rates", "ends"),
    [
        # Mean 0.6, deviation 0.1; t of 2 degrees of freedom is 4.3027 in any table.
        ([0.5, 0.6, 0.7], [0.6 - 4.3027 * 0.1 / 3**0.5, 0.6 + 4.3027 * 0.1 / 3**0.5]),
        ([0.8, 0.9, 1.0], [0.6516, 1.0]),  # an interval of rates ends at 0 and 1
        ([0.0, 0.2], [0.0, 1.0]),  # t of 1 is 12.7: anything
        ([0.7], None),  # one seed tells nothing of others
    ],
)
def test_the_interval_over_seeds_is_worked_by_hand(rates, ends):
    assert significance.interval_of_mean(rates) == pytest.approx(ends, abs=1e-4)


# Two videos in each of three groups; two seeds of the reference, one of the other.
GROUPS = ["a", "a", "b", "b", "c", "c"]
RIGHT = {
    "both": np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0]], bool),
    "rgb": np.array([[1, 0, 0, 0, 0, 1]], bool),
}
MEANS = {"both": {"a": 1.0, "b": 0.75, "c": 0.0}, "rgb": {"a": 0.5, "b": 0.0, "c": 0.5}}


def test_means_and_differences_are_worked_by_hand():
    figures = significance.compare(RIGHT, "both", GROUPS)
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
    figures = significance.compare(right, "both", range(8))
    assert [one.p for one in figures.values()] == [1, 2 / 2**8, 1]
    assert [one.adjusted for one in figures.values()] == [1, 2 * 2 / 2**8, 1]


def test_intervals_are_quantiles_over_all_resamples_of_the_groups():
    figures = significance.compare(RIGHT, "both", GROUPS)
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
    figures = significance.compare(
        {"plain": right, "better": better.reshape(1, -1)}, "plain", np.repeat(range(10), 4)
    )
    assert figures["better"].paired == pytest.approx([0.25, 0.25])
    low, high = figures["better"].interval
    assert high - low > 0.4


def test_p_counts_the_signs_of_whole_groups():
    # Sums of groups: a 2, b 1, c -1, d 0. Of the 8 signs of a, b, c the sums are +-4, +-2, +-2, 0,
    # 0; the one found is 2.
    differences = np.array([1, 1, 0.5, 0.5, -1, 1, -1])
    assert significance.paired_p(differences, list("aabbcdd")) == 6 / 8
    assert significance.paired_p(-differences, list("aabbcdd")) == 6 / 8  # two-sided
    assert significance.paired_p(np.array([3, 1, 1.0]), list("abc")) == 2 / 8
    assert significance.paired_p(np.zeros(5), list("aabbc")) == 1


def test_thirds_that_add_up_to_the_same_are_as_far_from_zero():
    # With three seeds a group's sum is of thirds, which floats do not add exactly.
    assert significance.paired_p(np.array([1, 1, 1, -1]) / 3, list("abcd")) == 10 / 16


def test_drawn_signs_agree_with_the_binomial_distribution():
    # 18 of 24 groups favour one by as much as 6 the other: P(X >= 18) is 0.01133 in any table.
    differences = np.repeat([1.0, -1.0], [18, 6])
    assert significance.paired_p(differences, range(24)) == pytest.approx(0.0227, abs=0.004)
    assert significance.paired_p(np.ones(60), range(60)) == 1 / significance.RELABELLINGS


@pytest.mark.parametrize("groups", [5, 6, 7, 14])
def test_groups_that_all_agree_have_the_least_p(groups):
    assert significance.paired_p(np.ones(groups), range(groups)) == significance.least_p(groups)


def test_as_few_groups_as_cannot_decide_are_known():
    # 2 / 2^5 = 0.0625; ten comparisons: 10 * 2 / 2^8 = 0.078, 10 * 2 / 2^9 = 0.039.
    assert [significance.deciding_groups(count) for count in (1, 10)] == [6, 9]
    for count in (1, 2, 3, 8, 10):
        enough = significance.deciding_groups(count)
        assert count * significance.least_p(enough) < significance.LEVEL
        assert count * significance.least_p(enough - 1) >= significance.LEVEL


@pytest.mark.parametrize("groups", [7, 27])
def test_without_a_difference_p_is_no_smaller_than_it_says(groups):
    # Two networks that are right as often, in groups of 1 to 5 videos that are right together.
    rng = np.random.default_rng(3)
    member = np.repeat(np.arange(groups), rng.integers(1, 6, groups))
    ps = []
    for _ in range(600):
        hard = rng.random((2, groups))[:, member]  # each network has its own hard groups
        first, second = rng.random((2, len(member))) < hard
        ps.append(significance.paired_p(first.astype(float) - second, member))
    for level in (0.02, 0.05, 0.2):
        rate = np.mean(np.array(ps) <= level)
        assert rate <= level + 3 * np.sqrt(level * (1 - level) / 600), level
    assert np.mean(np.array(ps) <= 0.2) > 0.05  # and it does find some


def test_holm_is_worked_by_hand():
    ps = {"c": 0.03, "a": 0.01, "d": 0.005, "b": 0.04}
    # 4 * 0.005, 3 * 0.01, 2 * 0.03, and 0.04 raised to the one before it.
    assert significance.holm(ps) == pytest.approx({"c": 0.06, "a": 0.03, "d": 0.02, "b": 0.06})
    assert list(significance.holm(ps)) == list("cadb")
    assert significance.holm({"a": 0.7, "b": 0.8}) == {"a": 1, "b": 1}
    assert significance.holm({"a": 0.02}) == {"a": 0.02} and significance.holm({}) == {}


def test_tables_without_a_difference_have_a_false_one_in_one_of_20():
    # Ten networks against one reference, so the comparisons depend on each other.
    rng = np.random.default_rng(8)
    false = 0
    for _ in range(300):
        right = rng.random((11, 12)) < 0.6
        ps = {
            str(k): significance.paired_p(right[k].astype(float) - right[0], range(12))
            for k in range(1, 11)
        }
        false += min(significance.holm(ps).values()) < significance.LEVEL
    assert false / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
