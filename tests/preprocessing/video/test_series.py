from pathlib import Path

import pytest

from preprocessing.errors import UserError
from preprocessing.video import series


def _split(*names):
    return {
        kind: [path.name for path in found]
        for kind, found in series.split(map(Path, names)).items()
    }


@pytest.mark.parametrize(
    ("frame", "x", "y"),
    [
        ("img_00001.jpg", "flow_x_00001.jpg", "flow_y_00001.jpg"),
        ("image_0.png", "flow_x_0.png", "flow_y_0.png"),
        ("frame000001.jpg", "x_00001.jpg", "y_00001.jpg"),
        ("00001.jpg", "u00001.jpg", "v00001.jpg"),
        ("7.png", "FLOW-X-7.PNG", "FLOW-Y-7.PNG"),
        ("ABC-000001.jpg", "ABC-000001x.jpg", "ABC-000001y.jpg"),
        ("img_1.jpg", "img_1_flow_x.jpg", "img_1_flow_y.jpg"),
        ("flow_i_0001.jpg", "flow_x_0001.jpg", "flow_y_0001.jpg"),
    ],
)
def test_frames_and_the_two_directions_are_told_apart(frame, x, y):
    assert _split(frame, x, y) == {"frames": [frame], "x": [x], "y": [y]}
    assert _split(frame, x) == {"frames": [frame], "x": [x], "y": []}


def test_letters_alone_are_frames_and_both_directions_without_frames_are_flow():
    assert _split("x_1.png", "x_2.png") == {"frames": ["x_1.png", "x_2.png"], "x": [], "y": []}
    assert _split("x_1.png", "y_1.png") == {"frames": [], "x": ["x_1.png"], "y": ["y_1.png"]}
    assert _split("flow_x_1.png") == {"frames": [], "x": ["flow_x_1.png"], "y": []}
    # Words that only end or begin so.
    for name in ("box_1.png", "workflow_1.png", "overflow_xray_1.png", "max1.png"):
        assert _split(name)["frames"] == [name]


def test_the_number_of_a_picture_is_the_last_in_its_name():
    assert series.number(Path("a2/clip7_flow_x_00012.jpg")) == 12
    assert series.number(Path("cover.jpg")) is None


def test_folders_of_directions():
    axes = {"u": "x", "v": "y", "flow_x": "x", "flow-y": "y", "tvl1_flow_v": "y", "X": "x"}
    for name, axis in axes.items():
        assert series.folder_axis(name) == axis
    for name in ("flow", "box", "jpegs_256", "uv", ""):
        assert series.folder_axis(name) is None
    for one, other in (("u", "v"), ("flow_x", "flow_y"), ("V", "U")):
        assert series.other_direction(one) == other


@pytest.mark.parametrize(
    ("names", "begin"),
    [
        (("a_001.jpg", "a_002.jpg", "b_001.jpg", "b_002.jpg"), "a_001.jpg, b_001.jpg"),
        (("a_001.jpg", "a_002.jpg", "b_003.jpg", "b_004.jpg"), "a_001.jpg, b_003.jpg"),
        (("clip1_1.png", "clip1_2.png", "clip2_1.png", "clip2_2.png"), "clip1_1.png, clip2_1.png"),
        (("front-1.jpg", "front-2.jpg", "frame1.jpg", "frame2.jpg"), "frame1.jpg, front-1.jpg"),
    ],
)
def test_images_of_several_videos_are_refused(names, begin):
    message = f"^clip has images of 2 series, which begin with {begin}: give each video's images a"
    with pytest.raises(UserError, match=message):
        series.check(Path("clip"), list(map(Path, names)))


def test_images_in_two_formats_are_refused():
    with pytest.raises(UserError, match=r"clip has 1.jpg and 1.png: remove one kind"):
        series.check(Path("clip"), list(map(Path, ("1.jpg", "2.jpg", "1.png", "2.png"))))


@pytest.mark.parametrize(
    "names",
    [
        ("1.jpg", "2.png", "3.jpg"),
        ("a.jpg", "b.jpg", "c.jpg"),
        ("IMG_0001.JPG", "img_0002.jpg", "cover.jpg"),
        ("film2 01.jpg", "film2 02.jpg", "film2 03.jpg"),
        ("0-00.000.jpg", "0-00.040.jpg", "0-00.080.jpg", "0-01.020.jpg", "0-01.060.jpg"),
        ("frame 1 of 12.png", "frame 2 of 12.png"),
    ],
)
def test_names_of_one_series(names):
    series.check(Path("clip"), list(map(Path, names)))
