"""The drawing of the figure, held against geometry worked out apart from it."""

import numpy as np
import pytest

from preprocessing.datasets.synthetic.actions import ACTIONS, Body, motion
from preprocessing.datasets.synthetic.figure import Stage, bend, draw_scene, random_look


def poses_of(class_name, seed=5):
    return motion(class_name, Body(), np.random.default_rng(seed))


def test_a_limb_in_reach_ends_on_its_target_with_both_lengths_kept():
    rng = np.random.default_rng(0)
    for side in (1.0, -1.0):
        for _ in range(50):
            start, direction = rng.normal(size=2), rng.normal(size=2)
            target = start + direction / np.hypot(*direction) * rng.uniform(0.15, 0.4)
            joint, end = bend(start, target, (0.2, 0.25), side)
            np.testing.assert_allclose(end, target, atol=1e-12)
            assert np.hypot(*(joint - start)) == pytest.approx(0.2)
            assert np.hypot(*(end - joint)) == pytest.approx(0.25)
            way, arm = target - start, joint - start
            assert np.sign(way[0] * arm[1] - way[1] * arm[0]) == side  # left of the way is +1


def test_a_target_out_of_reach_is_approached_in_a_nearly_straight_line():
    joint, end = bend(np.zeros(2), np.array((3.0, 0.0)), (0.5, 0.5), 1.0)
    np.testing.assert_allclose(end, (0.999, 0.0), atol=1e-12)
    assert joint[0] == pytest.approx(0.4995) and 0 < joint[1] < 0.03


def test_the_stage_has_the_floor_at_its_origin_and_y_upwards():
    canvas = np.zeros((100, 100, 3), np.uint8)
    stage = Stage(canvas, (50.0, 90.0), 80.0)
    stage.disc(np.array((0.25, 0.5)), 0.05, (10, 200, 30))  # pixel (50 + 20, 90 - 40), radius 4
    rows, columns = np.nonzero(canvas[..., 1] > 100)
    assert (rows.mean(), columns.mean()) == (pytest.approx(50, abs=0.5), pytest.approx(70, abs=0.5))
    assert np.pi * 4**2 < len(rows) < np.pi * 5**2  # its edge is smoothed
    assert canvas[50, 70].tolist() == [10, 200, 30]


@pytest.mark.parametrize(
    "pair",
    [("SwingBat", "SwingRacket"), ("PushCrate", "PushTrolley"), ("PullCrate", "PullTrolley")],
)
def test_appearance_pairs_move_alike_and_fill_the_same_outline(pair):
    first, second = (poses_of(class_name) for class_name in pair)
    np.testing.assert_equal(list(map(vars, first)), list(map(vars, second)))
    look = random_look(np.random.default_rng(0))

    def picture(prop):
        canvas = np.full((280, 280, 3), 128, np.uint8)
        draw_scene(Stage(canvas, (110, 250), 180.0), look, first[10], prop)
        return canvas.astype(int)

    bare, *with_prop = map(picture, ("none", *(ACTIONS[name].prop for name in pair)))
    changed = [np.abs(image - bare).sum(-1) > 30 for image in with_prop]
    assert (changed[0] & changed[1]).sum() > 0.85 * (changed[0] | changed[1]).sum()
    both = changed[0] & changed[1]
    assert np.abs(with_prop[0] - with_prop[1])[both].mean() > 40  # and look different
