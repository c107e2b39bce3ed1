import pytest

from preprocessing import video
from preprocessing.errors import UserError


@pytest.mark.parametrize(
    ("start", "end", "name"),
    [
        (12.5, 17, "12.5-17"),
        (0, 0.04, "0-0.04"),
        (10, 3600, "10-3600"),
        (1.0004, 2.0006, "1-2.001"),
    ],
)
def test_the_name_has_the_times_to_the_millisecond(start, end, name):
    assert video.Segment(start, end).name == name


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (2, 2, "end 2 is not after start 2"),
        (3, 1.5, "end 1.5 is not after start 3"),
        (1, 1.0004, "end 1 is not after start 1"),
        (-1, 2, "start -1 is no time in seconds"),
        (0, float("inf"), "end inf is no time"),
        (float("nan"), 1, "start nan is no time"),
    ],
)
def test_times_that_are_none_are_refused(start, end, message):
    with pytest.raises(UserError, match=message):
        video.Segment(start, end)


def test_neighbours_share_no_frame_and_leave_none_out():
    # A frame of 29.97 frames/s at 12.5125 s, as Matroska stores it: 12.513 s, or a little off it.
    for seconds in (12.513 - 1e-7, 12.513, 12.513 + 1e-7):
        first, second = video.Segment(10, 12.513), video.Segment(12.513, 15)
        assert not first.begins_after(seconds) and not second.ended_at(seconds)
        assert first.ended_at(seconds) and not second.begins_after(seconds)


@pytest.mark.parametrize(
    ("start", "end", "fps", "frames"),
    [(0, 1, 25, 25), (0.5, 1, 25, 12), (0.5, 1, 0, 100), (3.9, 9, 25, 2), (8, 9, 25, 0)],
)
def test_its_frames_are_counted_as_the_header_has_them(start, end, fps, frames):
    # Of 0.5 to 1 s at 25 frames/s: frames 13 (0.52 s) to 24. The video has 100.
    assert video.Segment(start, end).num_frames(fps, 100) == frames
