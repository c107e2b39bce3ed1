"""Poses of the synthetic actions: what the classes share and in what they differ."""

import numpy as np
import pytest

from preprocessing.datasets.synthetic import actions
from preprocessing.datasets.synthetic.actions import CLASSES, NUM_FRAMES, Body, motion


def poses_of(class_name, seed=5):
    return motion(class_name, Body(), np.random.default_rng(seed))


@pytest.mark.parametrize("class_name", CLASSES)
def test_a_performance_has_28_to_40_poses_and_no_limb_below_the_floor(class_name):
    for seed in range(10):
        performance = poses_of(class_name, seed)
        assert 28 <= len(performance) <= 40 and NUM_FRAMES == (28, 40)
        assert all(pose.feet[:, 1].min() >= actions.ANKLE - 1e-9 for pose in performance)


@pytest.mark.parametrize(
    ("backward", "forward"),
    [
        ("ClimbDown", "ClimbUp"),
        ("PullCrate", "PushCrate"),
        ("PullTrolley", "PushTrolley"),
        ("StandUp", "SitDown"),
    ],
)
def test_reversed_pairs_are_made_of_the_same_poses(backward, forward):
    first, second = (list(map(repr, poses_of(name))) for name in (forward, backward))
    assert first != second and sorted(first) == sorted(second)


@pytest.mark.parametrize("loads", [("PushCrate", "PullCrate"), ("PushTrolley", "PullTrolley")])
def test_a_foot_on_the_floor_goes_back_when_pushing_and_forth_when_pulling(loads):
    for class_name, sign in zip(loads, (-1.0, 1.0), strict=True):
        feet = np.array([pose.feet for pose in poses_of(class_name)])  # time side xy
        down = np.isclose(feet[..., 1], actions.ANKLE)
        standing = down[1:] & down[:-1]
        assert standing.sum() > 10
        assert (np.sign(np.diff(feet[..., 0], axis=0)[standing]) == sign).all()


def test_sampled_frames_hide_the_direction_that_consecutive_frames_show():
    ways = [np.array([pose.travel for pose in poses_of("ClimbUp", k)]) for k in range(200)]
    cycles = [way / (2.0 * actions.STEP) for way in ways]  # rungs passed
    assert max(np.diff(passed).max() for passed in cycles) < 0.45
    for stride in (4, 5, 6):
        advance = np.concatenate([passed[stride:] - passed[:-stride] for passed in cycles]) % 1.0
        assert 0.3 < np.mean(advance < 0.5) < 0.7


def test_waving_twice_and_waving_then_bowing_start_alike():
    twice, bowing = poses_of("WaveTwice"), poses_of("WaveThenBow")
    half = int(0.4 * len(twice))
    np.testing.assert_equal(list(map(vars, twice[:half])), list(map(vars, bowing[:half])))
    assert max(pose.lean for pose in bowing) > 0.85 > 0.05 > max(pose.lean for pose in twice)
