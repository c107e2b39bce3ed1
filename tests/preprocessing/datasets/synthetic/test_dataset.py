"""The synthetic data set: repeatable frames and whole files."""

import json
from itertools import pairwise

import cv2
import numpy as np
import pytest

from preprocessing.datasets.catalogue import Video
from preprocessing.datasets.synthetic import dataset
from preprocessing.datasets.synthetic.actions import CLASSES
from preprocessing.errors import UserError


def decoded(path):
    """Frames of a video as OpenCV reads them, RGB."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return np.stack(frames), capture.get(cv2.CAP_PROP_FPS)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    classes = ("SitDown", "ClimbUp")
    return folder, dataset.write_dataset(
        folder, seed=3, groups=2, clips_per_group=1, classes=classes, workers=2
    )


def test_frames_depend_on_nothing_but_the_arguments():
    first = dataset.render_clip("WaveTwice", 4, 1, seed=7)
    dataset.render_clip("SwingBat", 1, 1, seed=7)
    np.testing.assert_array_equal(first, dataset.render_clip("WaveTwice", 4, 1, seed=7))
    assert first.dtype == np.uint8 and first.shape[1:] == (128, 128, 3)
    assert 28 <= len(first) <= 40
    for other in (("WaveTwice", 4, 1, 8), ("WaveTwice", 5, 1, 7), ("WaveTwice", 4, 2, 7)):
        assert not np.array_equal(first[0], dataset.render_clip(*other)[0])


def test_clips_of_a_group_share_the_surroundings():
    def corner(class_name, group):
        frames = dataset.render_clip(class_name, group, 1).astype(float)
        return frames[:, 30:80, 2:14].mean((0, 1, 2))  # the wall behind the figure

    same = np.abs(corner("WaveTwice", 1) - corner("SwingBat", 1)).max()
    other = np.abs(corner("WaveTwice", 1) - corner("SwingBat", 2)).max()
    assert same < 25 < other


def test_names_labels_and_groups(rendered):
    folder, catalogue = rendered
    assert catalogue.name == "synthetic" and catalogue.classes == ("ClimbUp", "SitDown")
    assert [(video.id, video.label, video.group) for video in catalogue.videos] == [
        ("v_ClimbUp_g01_c01", 0, "g01"),
        ("v_ClimbUp_g02_c01", 0, "g02"),
        ("v_SitDown_g01_c01", 1, "g01"),
        ("v_SitDown_g02_c01", 1, "g02"),
    ]
    path = folder / "SitDown" / "v_SitDown_g02_c01.mp4"
    assert catalogue.videos[3] == Video("v_SitDown_g02_c01", path, 1, "SitDown", "g02", {})


def test_files_hold_the_rendered_frames(rendered):
    folder, _ = rendered
    frames, fps = decoded(folder / "ClimbUp" / "v_ClimbUp_g02_c01.mp4")
    expected = dataset.render_clip("ClimbUp", 2, 1, seed=3)  # workers were other processes
    assert frames.shape == expected.shape and 15 <= fps <= 25
    error = np.abs(frames.astype(int) - expected)
    assert error.mean() < 6.0  # grey levels; a frame late gives twice that around the ladder
    late = np.abs(frames[1:].astype(int) - expected[:-1])
    assert late.mean() > error.mean()


def test_finished_clips_are_kept_and_another_seed_is_refused(rendered):
    folder, catalogue = rendered
    before = [video.path.stat().st_mtime_ns for video in catalogue.videos]
    again = dataset.write_dataset(folder, seed=3, groups=2, classes=catalogue.classes, workers=1)
    assert [video.path.stat().st_mtime_ns for video in again.videos] == before
    with pytest.raises(UserError, match=r"'seed': 3.*'seed': 4.*another folder"):
        dataset.write_dataset(folder, seed=4, groups=2, classes=catalogue.classes, workers=1)
    assert json.loads((folder / "synthetic.json").read_text())["seed"] == 3


def test_an_unknown_class_is_named(tmp_path):
    with pytest.raises(UserError, match="Juggle"):
        dataset.write_dataset(tmp_path, classes=("Juggle",))


@pytest.mark.parametrize(
    ("class_name", "rows", "columns", "axis", "sign"),
    [
        ("PushTrolley", slice(118, 127), slice(0, 128), 1, -1.0),
        ("PullTrolley", slice(118, 127), slice(0, 128), 1, 1.0),
        ("ClimbUp", slice(20, 105), slice(72, 84), 0, 1.0),
        ("ClimbDown", slice(20, 105), slice(72, 84), 0, -1.0),
    ],
)
def test_pixels_move_the_way_the_class_says(class_name, rows, columns, axis, sign):
    frames = dataset.render_clip(class_name, 1, 1)[:, rows, columns].astype(float).mean(-1)
    profiles = frames.mean(2 - axis)  # floor along x, ladder along y

    def shift(before, after):
        reach = range(-8, 9)  # pixels; floor and rungs repeat after 18 or more
        inner = after[8:-8]
        costs = [np.square(inner - before[8 - k : len(before) - 8 - k]).mean() for k in reach]
        return reach[int(np.argmin(costs))]

    shifts = [shift(*pair) for pair in pairwise(profiles)]
    assert np.mean(np.sign(shifts) == sign) > 0.9


def test_every_class_can_be_rendered():
    clips = [dataset.render_clip(class_name, 2, 1) for class_name in CLASSES]
    assert len({clip.tobytes() for clip in clips}) == len(CLASSES)
    for clip, class_name in zip(clips, CLASSES, strict=True):
        moved = (clip[1:] != clip[:-1]).any((1, 2, 3))
        assert moved.mean() > 0.5, class_name
