import cv2
import numpy as np
import pytest

from preprocessing.datasets import class_folders
from preprocessing.errors import UserError


def _pictures(folder, *names, gray=False, count=3):
    folder.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 1 if gray else 3), np.uint8)
    for name in names:
        for number in range(1, count + 1):
            cv2.imwrite(str(folder / f"{name}{number:06d}.png"), picture)
    return folder


def _load(root):
    """{id: (class, group, path and flow from the root)}, the lines of what was left out."""
    catalogue = class_folders.load(root)
    found = {
        video.id: (
            video.class_name,
            video.group,
            video.path.relative_to(root).as_posix(),
            video.flow and tuple(path.relative_to(root).as_posix() for path in video.flow),
        )
        for video in catalogue.videos
    }
    return found, catalogue.left_out


def test_flow_in_the_folder_of_the_frames(tmp_path):
    _pictures(tmp_path / "jump/a", "img_", "flow_x_", "flow_y_")
    _pictures(tmp_path / "jump/b", "frame", "x_", "y_")
    _pictures(tmp_path / "wave/c", "img_", "flow_x_")  # y will be missed by its conversion
    _pictures(tmp_path / "wave/d", "img_")
    _pictures(tmp_path / "wave/e", "x_")  # a name of frames, where it is alone
    found, left_out = _load(tmp_path)
    assert found == {
        "a": ("jump", "jump/a", "jump/a", ("jump/a", "jump/a")),
        "b": ("jump", "jump/b", "jump/b", ("jump/b", "jump/b")),
        "c": ("wave", "wave/c", "wave/c", ("wave/c", "wave/c")),
        "d": ("wave", "wave/d", "wave/d", None),
        "e": ("wave", "wave/e", "wave/e", None),
    }
    assert left_out == ()


@pytest.mark.parametrize("frames", ["jpegs_256", "rgb"])
@pytest.mark.parametrize("above", ["tvl1_flow/", "flow/", ""])
def test_trees_of_ucf101_s_clips_without_class_folders(tmp_path, frames, above):
    for name in ("v_Jump_g01_c01", "v_Jump_g02_c01", "v_Wave_g01_c02"):
        _pictures(tmp_path / frames / name, "frame")
        for direction in "uv":
            _pictures(tmp_path / f"{above}{direction}" / name, "frame", gray=True)
    assert _load(tmp_path) == (
        {
            name: (class_name, group, f"{frames}/{name}", (f"{above}u/{name}", f"{above}v/{name}"))
            for name, class_name, group in (
                ("v_Jump_g01_c01", "Jump", "Jump/g01"),
                ("v_Jump_g02_c01", "Jump", "Jump/g02"),
                ("v_Wave_g01_c02", "Wave", "Wave/g01"),
            )
        },
        (),
    )


def test_trees_with_class_folders(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    for clip in ("jump/a", "jump/anna/b", "wave/c"):
        _pictures(tmp_path / "jpegs_256" / clip, "frame")
        if clip != "wave/c":
            _pictures(tmp_path / "tvl1_flow/u" / clip, "frame", gray=True)
            _pictures(tmp_path / "tvl1_flow/v" / clip, "frame", gray=True)
    _pictures(tmp_path / "tvl1_flow/u/wave/d", "frame", gray=True)
    found, left_out = _load(tmp_path)
    assert {name: values[:2] for name, values in found.items()} == {
        "a": ("jump", "jump/a"),
        "b": ("jump", "anna"),
        "c": ("wave", "wave/c"),
    }
    assert found["b"][3] == ("tvl1_flow/u/jump/anna/b", "tvl1_flow/v/jump/anna/b")
    assert left_out == (
        "left out: 1 .txt (notes.txt)",
        "left out: 1 folders of flow without frames of their own (tvl1_flow/u/wave/d)",
    )


def test_a_tree_of_frames_beside_one_of_both_directions(tmp_path):
    for clip in ("jump/a", "wave/b"):
        _pictures(tmp_path / "rawframes" / clip, "img_")
        _pictures(tmp_path / "optical" / clip, "flow_x_", "flow_y_", gray=True)
    found, _ = _load(tmp_path)
    assert found["b"] == ("wave", "wave/b", "rawframes/wave/b", ("optical/wave/b",) * 2)
    assert len(found) == 2


def test_a_direction_that_is_missing_everywhere_is_left_to_the_clips(tmp_path):
    _pictures(tmp_path / "jpegs_256/v_Jump_g01_c01", "frame")
    _pictures(tmp_path / "tvl1_flow/u/v_Jump_g01_c01", "frame", gray=True)
    found, _ = _load(tmp_path)
    assert found["v_Jump_g01_c01"][3] == (
        "tvl1_flow/u/v_Jump_g01_c01",
        "tvl1_flow/v/v_Jump_g01_c01",
    )


def test_classes_and_persons_that_are_called_like_directions_stay(tmp_path):
    for clip in ("u/a", "v/a", "w/a", "x/b", "y/b", "flow/a", "rgb/a", "jump/x/c", "jump/y/c"):
        _pictures(tmp_path / clip, "img_")
    found, _ = _load(tmp_path)
    assert sorted(f"{values[2]}" for values in found.values()) == [
        "flow/a",
        "jump/x/c",
        "jump/y/c",
        "rgb/a",
        "u/a",
        "v/a",
        "w/a",
        "x/b",
        "y/b",
    ]
    assert not any(values[3] for values in found.values())


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ("jpegs_256/clip", "tvl1_flow/u/clip", "tvl1_flow/v/clip"),
            "clip is in no class folder: move it",
        ),
        (("flow/u/jump/a", "flow/v/jump/a"), "flow/u holds flow, and no folder beside it"),
        (("a/j/c", "b/j/c", "flow/u/j/c", "flow/v/j/c"), "is flow of a and b: leave one"),
        (("jump/a/rgb", "jump/a/flow_x", "jump/a/flow_y"), "jump/a/rgb has flow in folders"),
    ],
)
def test_what_cannot_be_put_together_is_refused(tmp_path, folders, message):
    for folder in folders:
        gray = any(name in folder for name in ("flow/", "flow_"))
        _pictures(tmp_path / folder, "frame", gray=gray)
    with pytest.raises(UserError, match=message) as caught:
        _load(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_whole_source_passes_where_frames_and_flow_are_apart(tmp_path, load_source):
    for clip in ("train/jump/a", "train/wave/b", "test/jump/a", "test/wave/d"):
        for tree in ("jpegs_256", "tvl1_flow/u", "tvl1_flow/v"):
            _pictures(tmp_path / tree / clip, "frame", gray="flow" in tree)
    catalogue = load_source(f"folder:{tmp_path}").catalogue
    assert [(video.class_name, video.splits["1"]) for video in catalogue.videos] == [
        ("jump", "test"),
        ("wave", "test"),
        ("jump", "train"),
        ("wave", "train"),
    ]
    assert catalogue.left_out == ("folders name the official split: 2 train, 0 val, 2 test videos",)
