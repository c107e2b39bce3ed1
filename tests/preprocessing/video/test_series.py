from pathlib import Path

import pytest

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
