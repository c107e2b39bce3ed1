"""What is stored, against cases worked by hand and every plan that reads it."""

import numpy as np
import pytest

from preprocessing.errors import UserError
from preprocessing.records import grid
from stfnet import sampling


def test_flow_stacks_are_centred_and_clamped():
    stacks = grid.flow_indices(np.array([0, 1, 5, 9]), 10, 4)
    assert stacks.tolist() == [[0, 0, 0, 1], [0, 0, 1, 2], [3, 4, 5, 6], [7, 8, 8, 8]]


def test_a_video_of_one_frame_has_no_flow():
    with pytest.raises(UserError, match="at least 2"):
        grid.flow_indices(np.array([0]), 1, 4)


def test_a_grid_spans_the_video():
    np.testing.assert_array_equal(grid.frame_grid(58, 4), [0, 19, 38, 57])
    np.testing.assert_array_equal(grid.frame_grid(3, 0), [0, 1, 2])
    np.testing.assert_array_equal(grid.frame_grid(3, 9), [0, 1, 2])


def test_without_a_grid_everything_is_stored():
    for length in (1, 4, 9):
        frames, fields = grid.stored(5, 0, length)
        assert (frames.tolist(), fields.tolist()) == ([0, 1, 2, 3, 4], [0, 1, 2, 3])


def test_with_a_grid_the_fields_around_its_frames_are_stored():
    frames, fields = grid.stored(58, 4, 4)
    assert frames.tolist() == [0, 19, 38, 57]
    assert fields.tolist() == [0, 1, 17, 18, 19, 20, 36, 37, 38, 39, 55, 56]
    for count in (0, 1):
        assert [len(one) for one in grid.stored(count, 4, 4)] == [count, 0]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7])
def test_a_plan_with_the_grid_reads_nothing_else_whatever_its_lengths(length):
    rng = np.random.default_rng(0)
    for count in (2, 3, 16, 17, 180):
        frames, fields = grid.stored(count, 16, length)
        for shorter in range(1, length + 1):
            clips = [sampling.test_indices(count, 17)]
            clips += [sampling.train_indices(count, 8, (1, 30), rng) for _ in range(20)]
            for clip in clips:
                chosen = sampling.snap(clip, sampling.frame_grid(count, 16))
                assert np.isin(chosen, frames).all()
                assert np.isin(sampling.flow_indices(chosen, count, shorter), fields).all()
