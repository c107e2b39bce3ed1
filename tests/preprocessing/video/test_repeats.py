import itertools

import cv2
import numpy as np
import pytest

from preprocessing import video


def _counted(grays):
    counter = video.RepeatCounter()
    for gray in grays:
        counter.add(gray)
    return counter


def _moving(positions):
    """Grey frames of a bright square at each of these columns."""
    for left in positions:
        gray = np.zeros((40, 200), np.uint8)
        gray[10:20, left : left + 10] = 200
        yield gray


def _shown_as(pattern, count=60):
    """Columns of a square that moves only at the frames that the pattern marks with 1."""
    steps = itertools.islice(itertools.cycle(pattern), count)
    return np.cumsum([2 * step for step in steps])


@pytest.mark.parametrize(
    ("pattern", "share"),
    [
        ([1], 0),
        ([1, 0], 29 / 59),  # 15 frames a second shown as 30; the last pair has nothing behind it
        ([1, 0, 0], 36 / 59),  # 10 as 30
        ([1, 1, 1, 1, 1, 0], 9 / 59),  # 25 as 30
    ],
)
def test_frames_that_come_again_are_counted(pattern, share):
    assert _counted(_moving(_shown_as(pattern))).share == pytest.approx(share, abs=1.5 / 59)


def test_a_scene_that_stands_still_repeats_nothing():
    still = [0] * 30
    assert _counted(_moving(still)).share == 0
    assert _counted(_moving([*still, *range(30), *[29] * 30])).share == 0
    noise = np.random.default_rng(0).integers(0, 3, (30, 40, 50), np.uint8)
    assert _counted(noise).share == 0


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_videos_of_a_few_frames_have_no_repeats(frames):
    assert _counted(_moving(range(frames))).share == 0


def test_beside_gaps_pairs_do_not_count():
    counter = video.RepeatCounter()
    for first in (0, 100):  # of ten frames each: 15 frames a second shown as 30
        for k, gray in enumerate(_moving(first + _shown_as([1, 0], 10))):
            counter.add(gray, follows=k > 0)
    assert counter.share == pytest.approx(0.5, abs=0.08)
    assert counter.largest > 4
    still = video.RepeatCounter()
    for gray in _moving([0, 0, 50, 50]):
        still.add(gray, follows=False)
    assert still.share == 0 and still.largest > 0  # it moves from one gap to the next


@pytest.fixture(params=[("mjpeg.avi", "MJPG"), ("mpeg4.mp4", "mp4v")], ids=lambda kind: kind[0])
def doubled(tmp_path, request):
    """A compressed video of 15 frames a second shown as 30."""
    name, fourcc = request.param
    path = tmp_path / name
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*fourcc), 30, (200, 40)
    )
    for gray in _moving(_shown_as([1, 0], 40)):
        writer.write(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def test_the_note_of_a_compressed_video_says_how_many_and_what_to_do(doubled):
    counter = _counted(map(video.grayscale, video.read_frames(doubled)))
    assert 0.4 < counter.share < 0.55
    note = counter.note(doubled)
    assert str(doubled) in note and f"{counter.share:.0%}" in note and "--repeats=drop" in note
    assert _counted(_moving(range(40))).note(doubled) == ""
