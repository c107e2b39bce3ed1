"""The paired test and Holm's correction against cases worked by hand, and under no difference."""

import numpy as np
import pytest

from stfnet.evaluation import significance


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
