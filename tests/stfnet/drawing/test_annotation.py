import cv2
import numpy as np
import pytest

from preprocessing.errors import UserError
from preprocessing.video import Window
from stfnet.config import ClipConfig
from stfnet.drawing import annotation
from stfnet.inference.clip import read_clip

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)
RANKING = [("Wave", 0.75), ("Jump", 0.25)]


@pytest.fixture
def clip_inputs():
    """A clip of 11 frames whose flow is 10 pixels to the right everywhere."""
    flow = np.full((3, 32, 32, 8), 128, np.uint8)
    flow[..., ::2] = 128 + 64  # 10 px of 20 are 64 of 127.5 levels
    return {
        "rgb": np.zeros((3, 32, 32, 3), np.uint8),
        "flow": flow,
        "frame_numbers": np.array([0, 3, 6]),
        "num_frames": 11,
        "fps": 20.0,
        "window": None,
    }


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((48, 64), (360, 480)),  # enlarged to the least height
        ((400, 401), (400, 400)),  # kept, but even
        ((1080, 1920), (360, 640)),  # reduced to the largest width
        ((900, 600), (480, 320)),  # reduced to the largest height
    ],
)
def test_pictures_are_large_enough_to_read_and_small_enough_to_play(size, drawn):
    assert annotation.picture_size(*size) == drawn


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_the_annotated_video_shows_every_frame_beside_its_flow(
    read_film, moving_square, tmp_path, clip_inputs, suffix
):
    path = tmp_path / f"annotated{suffix}"
    annotation.write_annotated(path, moving_square, clip_inputs, CLIP, RANKING)
    frames, fps, _ = read_film(path)
    originals, *_ = read_film(moving_square)
    assert len(frames) == len(originals) == 11
    assert fps == pytest.approx(20)
    assert frames[0].shape == (360 + 34 + 44, 480 + 480 + 300, 3)
    video = frames[7][34:394, :480].astype(float)
    enlarged = cv2.resize(originals[7], (480, 360), interpolation=cv2.INTER_CUBIC)
    assert np.abs(video - enlarged).mean() < 6
    # The wheel's colour to the right is red.
    colored = frames[7][44:384, 490:950].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(colored, [255, 0, 0], atol=12)
    assert list(tmp_path.iterdir()) == [path]


def test_the_window_that_the_network_reads_is_outlined():
    frame = np.zeros((90, 120, 3), np.uint8)
    picture = annotation.draw_frame(frame, Window(top=10, left=20, side=24))  # enlarged 4 times
    rows, columns = np.nonzero((picture == annotation.ACCENT).all(-1))
    np.testing.assert_allclose([rows.min(), rows.max()], [40, 135], atol=1)
    np.testing.assert_allclose([columns.min(), columns.max()], [80, 175], atol=1)
    assert not picture[44:132, 84:172].any()


def test_the_annotated_video_outlines_what_moves(read_film, moving_square, tmp_path):
    clip = ClipConfig(num_frames=3, image_size=32, resize="motion")
    clip_inputs = read_clip(moving_square, clip, "rgb")
    annotation.write_annotated(tmp_path / "a.webm", moving_square, clip_inputs, clip, RANKING)
    picture = read_film(tmp_path / "a.webm")[0][0][34:394, :480].astype(int)
    window, scale = clip_inputs["window"], 360 / 48
    middle = round((window.left + window.side / 2) * scale)
    edge = picture[round(window.top * scale) : round(window.top * scale) + 2, middle]
    assert np.abs(edge - annotation.ACCENT).max() < 60  # as far as a small VP8 keeps colours


def test_bars_are_as_long_as_the_probabilities():
    panel = annotation.draw_panel(394, RANKING)
    bars = [
        (panel[92 + 23 + 46 * k] == color).all(-1).sum()
        for k, color in enumerate((annotation.ACCENT, annotation.MUTED))
    ]
    assert bars == [207, 69]  # of 276 pixels


def test_the_timeline_marks_what_was_sampled_until_now():
    strip = annotation.draw_timeline(1000 + 24 + 110, 11, [0, 4, 8], 5)
    row = strip[15]  # through the ticks, above the line
    passed = np.flatnonzero((row == annotation.ACCENT).all(-1))
    coming = np.flatnonzero((row == annotation.MUTED).all(-1))
    assert passed.tolist() == [11, 12, 13, 411, 412, 413]
    assert coming.tolist() == [811, 812, 813]


def test_long_and_foreign_names_stay_inside_the_panel():
    panel = annotation.draw_panel(394, [("Übermäßig langes 動作 " * 9, 1.0)], ("note",))
    margin = panel[:, -annotation.MARGIN :]
    assert (margin == annotation.BACKGROUND).all()


def test_every_distinct_field_is_drawn_once(clip_inputs):
    fields = annotation.color_fields(clip_inputs, CLIP)
    # Frames 0, 3, 6 take fields -2..1, 1..4 and 4..7, clamped to 0..9.
    assert sorted(fields) == list(range(8))


def test_a_missing_video_leaves_no_file(tmp_path, clip_inputs):
    with pytest.raises(UserError, match="does not exist"):
        annotation.write_annotated(
            tmp_path / "annotated.mp4", tmp_path / "no.mp4", clip_inputs, CLIP, RANKING
        )
    assert list(tmp_path.iterdir()) == []


def test_a_clip_is_drawn_with_its_flow_below_its_frames():
    clip = ClipConfig(num_frames=2, flow_length=2, image_size=32)
    rgb = np.zeros((2, 32, 32, 3), np.uint8)
    rgb[0], rgb[1] = (10, 20, 30), (40, 50, 60)
    fields = np.full((2, 2, 2, 32, 32), 128, np.uint8)
    fields[0, 1, 0] = 255  # field 0: frame 0 to 1, to the right, the second of its stack
    drawn = annotation.draw_clip(rgb, fields, clip)
    cells = drawn.reshape(2, annotation.CELL, 2, annotation.CELL, 3)
    means = cells.mean((1, 3))  # row, column, RGB
    np.testing.assert_allclose(means[0], [(10, 20, 30), (40, 50, 60)])
    np.testing.assert_allclose(means[1], [(255, 0, 0), (255, 255, 255)], atol=3)
