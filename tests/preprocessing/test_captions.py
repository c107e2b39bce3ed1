import numpy as np
import pytest

from preprocessing.captions import clock, draw_text, one_line

WHITE = (255, 255, 255)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Golf Swing", "Golf Swing"),
        ("  walk\n\trun\0 ", "walk run"),
        ("\ud800a", "a"),
        ("", ""),
        ("歩く🙂", "歩く🙂"),
        ("abcdef", "abcd…"),
        ("x" * 5000, "xxxx…"),
    ],
)
def test_any_text_is_one_line_of_bounded_length(text, line):
    length = 5 if len(line) == 5 else 200
    assert one_line(text, length) == line


def _columns(image):
    """First and last column with ink, and the row below the last one with ink."""
    rows, columns = np.nonzero(image.any(-1))
    return columns.min(), columns.max(), rows.max() + 1


def test_text_stands_on_its_baseline_from_its_left_edge():
    image = np.zeros((60, 300, 3), np.uint8)
    draw_text(image, "HHH", 40, 35, 20, WHITE)
    first, _, bottom = _columns(image)
    assert 40 <= first <= 44 and abs(bottom - 35) <= 1


def test_text_may_end_at_the_right_edge_of_its_room():
    image = np.zeros((60, 300, 3), np.uint8)
    draw_text(image, "HHH", 40, 35, 20, WHITE, width=200, right=True)
    first, last, _ = _columns(image)
    assert first > 150 and 234 <= last <= 240


def test_text_that_is_too_wide_is_shortened_to_its_room():
    image = np.zeros((60, 300, 3), np.uint8)
    draw_text(image, "Übermäßig langes 動作 " * 9, 10, 35, 20, WHITE, width=120)
    _, last, _ = _columns(image)
    assert 90 < last <= 130


def test_text_is_drawn_in_its_colour():
    image = np.zeros((60, 300, 3), np.uint8)
    draw_text(image, "HHH", 10, 45, 40, (200, 100, 50), weight=600)
    assert (image == (200, 100, 50)).all(-1).sum() > 100


def test_one_line_needs_no_opencv(run_python):
    code = "import sys; import preprocessing.captions; sys.exit('cv2' in sys.modules)"
    assert run_python("-c", code).returncode == 0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00"), (59.9, "00:59"), (61, "01:01"), (3723.5, "1:02:03")]
)
def test_times_are_written_as_on_a_player(seconds, text):
    assert clock(seconds) == text
