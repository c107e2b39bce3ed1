"""Views of a video: pairs of classes, and means worked by hand."""

import numpy as np
import pytest

from preprocessing.errors import UserError
from stfnet.evaluation import clips_per_video
from stfnet.evaluation.clips_per_video import Views

CLASSES = ("left", "right", "jump")


def test_the_mean_over_clips_and_mirrors_is_that_worked_by_hand():
    clips = np.array([[0.5, 0.25, 0.25], [0.75, 0.25, 0], [0, 0, 1], [0, 1, 0]], np.float32)
    mirrors = np.array([[0.25, 0.5, 0.25], [0, 1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    pairs = Views(2, True, (("left", "right"),))
    mirrored = clips_per_video.mirrored_classes(pairs, CLASSES)
    # What a mirrored clip shows as `left` counts for `right`, and the reverse.
    both = clips_per_video.average({False: clips, True: mirrors}, 2, mirrored)
    expected = [
        [(0.5 + 0.75 + 0.5 + 1) / 4, (0.25 + 0.25 + 0.25 + 0) / 4, (0.25 + 0 + 0.25 + 0) / 4],
        [0, (0 + 1 + 1 + 0) / 4, (1 + 0 + 0 + 1) / 4],
    ]
    np.testing.assert_array_equal(both, np.array(expected, np.float32))


def test_without_pairs_a_mirrored_class_is_itself():
    assert clips_per_video.mirrored_classes(Views(flip=True), CLASSES).tolist() == [0, 1, 2]


def test_one_view_is_passed_on_to_the_bit():
    clips = np.random.default_rng(0).dirichlet(np.ones(5), 100).astype(np.float32)
    same = clips_per_video.average({False: clips}, 1, np.arange(5))
    assert same.dtype == np.float32 and same.tobytes() == clips.tobytes()


def test_pairs_are_read_as_they_are_written():
    pairs = clips_per_video.parse_mirror_pairs(["left:right", "open l:open r"])
    assert pairs == (("left", "right"), ("open l", "open r"))


@pytest.mark.parametrize("name", ["left", "left:", ":right", "a:b:c", "left:left"])
def test_what_is_no_pair_is_refused(name):
    with pytest.raises(UserError, match="two different classes are needed, such as left:right"):
        clips_per_video.parse_mirror_pairs([name])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ((("left", "up"),), "names the class 'up', which the run does not have"),
        ((("left", "right"), ("right", "jump")), "names the class 'right' in two pairs"),
    ],
)
def test_pairs_that_do_not_fit_the_classes_are_refused(pairs, message):
    with pytest.raises(UserError, match=message):
        clips_per_video.mirrored_classes(Views(1, True, pairs), CLASSES)


@pytest.mark.parametrize(
    ("one", "suffix", "flags"),
    [
        (Views(), "", ""),
        (Views(5), "-5clips", " --num_clips=5"),
        (Views(1, True), "-flip", " --flip"),
        (Views(2, True), "-2clips-flip", " --num_clips=2 --flip"),
    ],
)
def test_views_have_files_of_their_own(one, suffix, flags):
    assert (one.suffix, one.flags) == (suffix, flags)
    assert Views(**one.to_json()).suffix == suffix
