"""The synthetic data set: repeatable frames, whole files, and classes that need both streams."""

import json
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from preprocessing.datasets.catalogue import Video
from preprocessing.datasets.synthetic import actions, dataset
from preprocessing.datasets.synthetic.actions import CLASSES, REVERSED, Body, motion
from preprocessing.datasets.synthetic.figure import Stage, draw_scene, random_look
from preprocessing.errors import UserError


def poses_of(class_name, seed=5):
    return motion(class_name, Body(), np.random.default_rng(seed))


def as_numbers(pose):
    return (*pose.hip, pose.lean, *pose.hands.ravel(), *pose.feet.ravel(), pose.angle, pose.travel)


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
    folder, made = rendered
    assert made.name == "synthetic" and made.classes == ("ClimbUp", "SitDown")
    assert [(video.id, video.label, video.group) for video in made.videos] == [
        ("v_ClimbUp_g01_c01", 0, "g01"),
        ("v_ClimbUp_g02_c01", 0, "g02"),
        ("v_SitDown_g01_c01", 1, "g01"),
        ("v_SitDown_g02_c01", 1, "g02"),
    ]
    path = folder / "SitDown" / "v_SitDown_g02_c01.mp4"
    assert made.videos[3] == Video("v_SitDown_g02_c01", path, 1, "SitDown", "g02", {})
    assert dataset.catalogue(folder) == made


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
    folder, made = rendered
    before = [video.path.stat().st_mtime_ns for video in made.videos]
    again = dataset.write_dataset(folder, seed=3, groups=2, classes=made.classes, workers=1)
    assert [video.path.stat().st_mtime_ns for video in again.videos] == before
    with pytest.raises(UserError, match=r"'seed': 3.*'seed': 4.*another folder"):
        dataset.write_dataset(folder, seed=4, groups=2, classes=made.classes, workers=1)
    assert json.loads((folder / "synthetic.json").read_text())["seed"] == 3


def test_a_killed_writer_leaves_no_file_of_the_final_name(tmp_path):
    program = """
import os, signal, sys
from preprocessing.datasets import synthetic

class Killed:  # wraps the writer: OpenCV 5.0 crashes once a subclass of its types is freed
    written = 0
    def __init__(self, *arguments):
        self.writer = VideoWriter(*arguments)
        self.isOpened, self.release = self.writer.isOpened, self.writer.release
    def write(self, frame):
        self.writer.write(frame)
        Killed.written += 1
        if Killed.written == 60:  # in the second or third clip
            os.kill(os.getpid(), signal.SIGKILL)

VideoWriter = synthetic.cv2.VideoWriter
synthetic.cv2.VideoWriter = Killed
synthetic.write_dataset(sys.argv[1], groups=4, classes=("WaveTwice",), workers=1)
"""
    root = Path(dataset.__file__).parents[3]
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=root,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    whole = dataset.catalogue(tmp_path).videos
    assert 1 <= len(whole) < 4
    assert len(list((tmp_path / "WaveTwice").iterdir())) == len(whole) + 1  # and the half one
    for video in whole:
        group = int(video.group[1:])
        frames, _ = decoded(video.path)
        assert len(frames) == len(dataset.render_clip("WaveTwice", group, 1))
    made = dataset.write_dataset(tmp_path, groups=4, classes=("WaveTwice",), workers=1)
    assert len(made.videos) == len(list((tmp_path / "WaveTwice").iterdir())) == 4


def test_errors_name_the_thing(tmp_path):
    with pytest.raises(UserError, match="Juggle"):
        dataset.write_dataset(tmp_path, classes=("Juggle",))
    with pytest.raises(UserError, match="no such folder"):
        dataset.catalogue(tmp_path / "missing")
    with pytest.raises(UserError, match="no clips"):
        dataset.catalogue(tmp_path)
    (tmp_path / "Juggle").mkdir()
    (tmp_path / "Juggle" / "v_Juggle_g01_c01.mp4").touch()
    with pytest.raises(UserError, match=r"v_Juggle_g01_c01\.mp4: not a synthetic clip"):
        dataset.catalogue(tmp_path)


@pytest.mark.parametrize(("backward", "forward"), sorted(REVERSED.items()))
def test_reversed_pairs_are_made_of_the_same_poses(backward, forward):
    first, second = poses_of(forward), poses_of(backward)
    assert [as_numbers(pose) for pose in first] != [as_numbers(pose) for pose in second]
    assert sorted(map(as_numbers, first)) == sorted(map(as_numbers, second))


@pytest.mark.parametrize("loads", [("PushCrate", "PullCrate"), ("PushTrolley", "PullTrolley")])
def test_a_foot_on_the_floor_goes_back_when_pushing_and_forth_when_pulling(loads):
    for class_name, sign in zip(loads, (-1.0, 1.0), strict=True):
        feet = np.array([pose.feet for pose in poses_of(class_name)])  # time side xy
        down = np.isclose(feet[..., 1], actions.ANKLE)
        standing = down[1:] & down[:-1]
        assert standing.sum() > 10
        assert (np.sign(np.diff(feet[..., 0], axis=0)[standing]) == sign).all()


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


def test_sampled_frames_hide_the_direction_that_consecutive_frames_show():
    cycles = [
        np.array([pose.travel for pose in poses_of("ClimbUp", seed)])
        / (2.0 * actions.STEP)  # rungs passed
        for seed in range(200)
    ]
    assert max(np.diff(passed).max() for passed in cycles) < 0.45
    for stride in (4, 5, 6):
        advance = np.concatenate([passed[stride:] - passed[:-stride] for passed in cycles]) % 1.0
        assert 0.3 < np.mean(advance < 0.5) < 0.7


@pytest.mark.parametrize(
    "pair",
    [("SwingBat", "SwingRacket"), ("PushCrate", "PushTrolley"), ("PullCrate", "PullTrolley")],
)
def test_appearance_pairs_move_alike_and_fill_the_same_outline(pair):
    first, second = (poses_of(class_name) for class_name in pair)
    assert [as_numbers(pose) for pose in first] == [as_numbers(pose) for pose in second]

    look = random_look(np.random.default_rng(0))

    def picture(prop):
        canvas = np.full((280, 280, 3), 128, np.uint8)
        draw_scene(Stage(canvas, (110, 250), 180.0), look, first[10], prop)
        return canvas.astype(int)

    bare, *with_prop = map(picture, ("none", *(dataset._PROPS[name] for name in pair)))
    changed = [np.abs(image - bare).sum(-1) > 30 for image in with_prop]
    assert (changed[0] & changed[1]).sum() > 0.85 * (changed[0] | changed[1]).sum()
    both = changed[0] & changed[1]
    assert np.abs(with_prop[0] - with_prop[1])[both].mean() > 40  # and look different


def test_waving_twice_and_waving_then_bowing_start_alike():
    twice, bowing = poses_of("WaveTwice"), poses_of("WaveThenBow")
    half = int(0.4 * len(twice))
    assert [as_numbers(p) for p in twice[:half]] == [as_numbers(p) for p in bowing[:half]]
    assert max(pose.lean for pose in bowing) > 0.85 > 0.05 > max(pose.lean for pose in twice)


def test_every_class_can_be_rendered():
    for class_name in CLASSES:
        assert dataset.render_clip(class_name, 2, 1).std() > 10
