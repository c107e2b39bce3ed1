"""Clip sampling against cases worked by hand."""

import numpy as np
import pytest

from preprocessing.errors import UserError
from stfnet import sampling


@pytest.mark.parametrize(
    ("frames", "length", "expected"),
    [
        (22, 17, list(range(17))),  # floor(22 / 17) = 1
        (34, 17, list(range(0, 34, 2))),
        (10, 4, [0, 2, 4, 6]),
        (7, 3, [0, 2, 4]),
        (5, 1, [0]),
    ],
)
def test_test_clips_follow_equations_13_and_14(frames, length, expected):
    assert sampling.test_indices(frames, length).tolist() == expected


@pytest.mark.parametrize(
    ("frames", "length", "clips", "starts"),
    [
        (34, 17, 1, [0]),
        (10, 4, 3, [0, 2, 3]),  # interval 2, span 6: starts from 0 to 3
        (100, 17, 5, [0, 5, 10, 14, 19]),  # interval 5, span 80: 0, 4.75, 9.5, 14.25, 19
        (22, 17, 3, [0, 2, 5]),  # interval 1, span 16
        (9, 3, 4, [0, 1, 1, 2]),  # room for three starts only
        (3, 5, 2, [0, 0]),  # shorter than a clip
    ],
)
def test_test_clips_start_evenly_from_the_papers_clip_on(frames, length, clips, starts):
    assert sampling.test_starts(frames, length, clips) == starts
    last = sampling.test_indices(frames, length, start=starts[-1])
    assert last[-1] == frames - 1 or clips == 1


@pytest.mark.parametrize(
    ("short_video", "expected"), [("pad_last", [0, 1, 2, 2, 2]), ("loop", [0, 1, 2, 0, 1])]
)
def test_short_videos_are_filled(short_video, expected):
    assert sampling.test_indices(3, 5, short_video).tolist() == expected
    drawn = sampling.train_indices(3, 5, (2, 10), np.random.default_rng(0), short_video)
    assert drawn.tolist() == expected


def test_a_short_video_can_be_refused():
    with pytest.raises(UserError, match="3 frames is shorter than the 5"):
        sampling.test_indices(3, 5, "error")


def test_training_draws_every_interval_and_every_start():
    rng = np.random.default_rng(0)
    clips = [sampling.train_indices(36, 4, (2, 10), rng) for _ in range(4000)]
    intervals = {int(tau) for clip in clips for tau in np.diff(clip)}
    assert intervals == set(range(2, 11))
    for tau in (2, 10):  # every start that leaves room for 3 intervals is drawn, no other
        starts = {int(clip[0]) for clip in clips if clip[1] - clip[0] == tau}
        assert starts == set(range(36 - 3 * tau))


def test_the_interval_is_clamped_where_only_one_fits():
    rng = np.random.default_rng(0)
    clips = np.array([sampling.train_indices(22, 17, (2, 10), rng) for _ in range(200)])
    assert (np.diff(clips) == 1).all()
    assert set(clips[:, 0].tolist()) == set(range(6))


def test_frames_give_way_to_the_nearest_of_a_grid():
    grid = np.array([0, 10, 20])
    np.testing.assert_array_equal(
        sampling.snap([0, 5, 6, 14, 16, 40], grid), [0, 0, 10, 10, 20, 20]
    )
