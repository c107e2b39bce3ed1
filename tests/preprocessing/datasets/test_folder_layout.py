from pathlib import Path

import pytest

from preprocessing import splits
from preprocessing.datasets import class_folders, folder_layout
from preprocessing.datasets.folder_layout import Place
from preprocessing.errors import UserError


def _check(root):
    folder_layout.check(root, class_folders.load(root))


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("jump/a.mp4", ("jump", "", "")),
        ("jump/anna/day/a.mp4", ("jump", "anna/day", "")),
        ("a.mp4", ("", "", "")),
        ("train/jump/anna/a.mp4", ("jump", "anna", "train")),
        ("Training/jump/a.mp4", ("jump", "", "train")),
        ("VALIDATION/jump/a.mp4", ("jump", "", "val")),
        ("test/a.mp4", ("", "", "test")),
        ("jump/Testing/anna/a.mp4", ("jump", "anna", "test")),
    ],
)
def test_the_place_of_a_video(path, place):
    assert folder_layout.places(Path("own"), [Path("own", path)]) == [
        Place(Path("own", path), *place)
    ]


def test_one_class_may_be_called_as_a_side_is():
    paths = [Path("own/train/a.mp4"), Path("own/bus/b.mp4")]
    assert [place.class_folder for place in folder_layout.places(Path("own"), paths)] == [
        "train",
        "bus",
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/jump/a", "test/jump/b", "more/c"), "has folders test, train beside more: are"),
        (("jump/train/a", "jump/test/b", "wave/c"), "test, train in class folders beside videos"),
    ],
)
def test_folders_beside_those_of_a_split_are_refused(names, message):
    with pytest.raises(UserError, match=message):
        folder_layout.places(Path("own"), [Path("own", f"{name}.mp4") for name in names])


@pytest.mark.parametrize(
    "names",
    [
        ("train/jump/1", "train/wave/1", "val/jump/1", "val/wave/1", "test/jump/1", "test/wave/1"),
        (
            "Training/jump/1",
            "Training/wave/1",
            "Valid/jump/1",
            "Valid/wave/1",
            "TEST/jump/1",
            "TEST/wave/1",
        ),
        ("jump/train/1", "wave/train/1", "jump/val/1", "wave/val/1", "jump/test/1", "wave/test/1"),
    ],
)
def test_folders_of_a_split_are_the_official_one(touch, names):
    catalogue = class_folders.load(touch(*(f"{name}.mp4" for name in names)))
    assert catalogue.classes == ("jump", "wave")
    sides = [(v.class_name, side) for v in catalogue.videos for side in v.splits.values()]
    assert sorted(sides) == [(c, s) for c in ("jump", "wave") for s in ("test", "train", "val")]
    # Equal names on two sides are two videos.
    assert len({video.group for video in catalogue.videos}) == 6
    assert all(video.ungrouped for video in catalogue.videos)
    assert catalogue.left_out == ("folders name the official split: 2 train, 2 val, 2 test videos",)
    assert set(splits.assign(catalogue.videos, "official").values()) == {"train", "val", "test"}


def test_groups_are_the_same_on_every_side(touch):
    root = touch(
        "train/jump/anna/1.mp4",
        "test/jump/anna/2.mp4",
        "train/wave/v_w_g01_c01.mp4",
        "test/wave/v_w_g01_c02.mp4",
    )
    catalogue = class_folders.load(root)
    assert {video.group for video in catalogue.videos} == {"anna", "wave/g01"}
    assert splits.leak(catalogue.videos, splits.assign(catalogue.videos, "official")) == 1


def test_a_list_and_a_folder_that_name_other_sides_are_refused(touch):
    root = touch("train/jump/1.mp4", "test/wave/2.mp4")
    (root / "splits.csv").write_text("video,split\ntrain/jump/1.mp4,test\n")
    with pytest.raises(UserError, match=r"line 2 puts train/jump/1.mp4 into test, its folder into"):
        class_folders.load(root)


def test_videos_of_a_side_without_a_class_are_refused_or_get_one_from_the_list(touch):
    root = touch("train/1.mp4", "test/2.mp4")
    with pytest.raises(UserError, match=r"own/test/2.mp4 is in no class folder: move it into one"):
        class_folders.load(root)
    (root / "splits.csv").write_text("video,class\ntrain/1.mp4,jump\ntest/2.mp4,wave\n")
    shown = [(video.class_name, video.splits) for video in class_folders.load(root).videos]
    assert shown == [("wave", {"1": "test"}), ("jump", {"1": "train"})]


def test_a_class_is_spelled_alike_on_every_side(touch):
    with pytest.raises(UserError, match="classes Jump and jump, which differ only in capitals"):
        class_folders.load(touch("train/Jump/1.mp4", "test/jump/2.mp4", "train/wave/3.mp4"))
    signs = touch("../signs/A/1.mp4", "../signs/a/2.mp4").with_name("signs")
    assert class_folders.load(signs).classes


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("jump/a.mp4", "jump/b.mp4"), r"has one class, jump: a network needs a folder for each"),
        (
            ("all/jump/a.mp4", "all/wave/b.mp4", "readme.txt", "notes/c.txt"),
            r"one class, all \(if jump, wave are the classes, give folder:.*/own/all\): a network",
        ),
        (("a/b/jump/1.mp4", "a/b/wave/2.mp4"), r"one class, a \(if jump, wave .*folder:.*/a/b\)"),
        (
            ("data/train/jump/1.mp4", "data/test/jump/2.mp4"),
            r"one class, data \(if test, train are the classes, give folder:.*/own/data\)",
        ),
        (("train/jump/1.mp4", "test/jump/2.mp4"), "has one class, jump: a network needs"),
        (
            ("ours/jump/1.mp4", "ours/wave/2.mp4", "theirs/run/3.mp4", "theirs/sit/4.mp4"),
            r"only folders in its folders ours, theirs, such as jump, wave in ours.*folder:.*/ours",
        ),
        (
            ("ours/jump/1.mp4", "ours/splits.csv", "theirs/jump/3.mp4"),
            r"own/ours/splits.csv is not above the class folders: .*give folder:.*/ours; else",
        ),
    ],
)
def test_a_level_too_high_or_a_single_class_is_refused(touch, names, message):
    with pytest.raises(UserError, match=message) as caught:
        _check(touch(*names))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        ("jump/anna/1.mp4", "jump/ben/2.mp4", "wave/anna/3.mp4", "wave/cleo/4.mp4"),
        ("jump/anna/1.mp4", "jump/ben/2.mp4", "wave/cleo/3.mp4"),
        ("jump/anna/1.mp4", "jump/ben/2.mp4", "wave/cleo/3.mp4", "wave/dora/4.mp4", "wave/5.mp4"),
        ("jump/v_jump_01/1.mp4", "jump/v_jump_02/2.mp4", "wave/v_w_01/3.mp4", "wave/v_w_02/4.mp4"),
        (
            "ours/jump/1.mp4",
            "ours/wave/2.mp4",
            "theirs/run/3.mp4",
            "theirs/sit/4.mp4",
            "splits.csv",
        ),
    ],
)
def test_classes_of_groups_are_no_data_sets(touch, names):
    root = touch(*names)
    if "splits.csv" in names:
        (root / "splits.csv").write_text("video\n")
    _check(root)
