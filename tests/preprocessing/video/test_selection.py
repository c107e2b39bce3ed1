import itertools

import cv2
import numpy as np
import pytest

from benchmarks import films
from preprocessing import video


def _frames(levels):
    """A picture of noise for each level, so that equal levels are equal pictures."""
    return [
        np.random.default_rng(int(level)).integers(0, 256, (48, 64, 3), np.uint8)
        for level in levels
    ]


def _timed(levels, fps=25.0):
    return [(k / fps, frame) for k, frame in enumerate(_frames(levels))]


@pytest.mark.parametrize(
    ("own", "fps", "expected"),
    [
        (100, 25, range(0, 40, 4)),
        (30, 25, [0, 2, 3, 4, 5, 6, 8, 9, 10, 11]),
        (50, 25, range(0, 20, 2)),
        (25, 25, range(10)),
        (15, 25, range(10)),  # fewer than asked for: each once
    ],
)
def test_frames_are_taken_at_a_rate_by_their_times(own, fps, expected):
    timed = [(k / own, k) for k in range(60)]
    taken = [frame for _, frame in video.Selection(fps=fps)(timed)]
    assert taken[: len(expected)] == list(expected)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([0, 1, 1, 2, 2, 3, 3, 4], [0, 1, 2, 3, 4]),
        ([0, 1, 2, 3, 4, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6]),
        ([0, 1, 1, 1, 2, 3, 3, 3, 4], [0, 1, 2, 3, 4]),
        ([5, 5, 5, 5, 5], [5, 5, 5, 5, 5]),  # a scene that stands still
        ([0, 1, 2, 2, 2, 2, 2, 2], [0, 1, 2, 2, 2, 2, 2, 2]),  # one that comes to rest
        ([7], [7]),
        ([], []),
    ],
)
def test_repeats_are_dropped_where_the_scene_moves(levels, expected):
    pictures = {
        frame.tobytes(): level for level, frame in zip(levels, _frames(levels), strict=True)
    }
    taken = list(video.Selection(repeats="drop")(_timed(levels)))
    assert [pictures[frame.tobytes()] for _, frame in taken] == expected
    times = [seconds for seconds, _ in taken]
    assert times == sorted(times) and set(times) <= {k / 25 for k in range(len(levels))}


def test_the_dropped_frames_are_those_that_the_note_counts():
    levels = [0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8]
    counter = video.RepeatCounter()
    for _, frame in _timed(levels):
        counter.add(video.grayscale(video.resize(frame, 64)))
    taken = list(video.Selection(repeats="drop")(_timed(levels)))
    assert len(levels) - len(taken) == round(counter.share * (len(levels) - 1)) == 4


def test_all_frames_are_taken_where_nothing_is_asked_for():
    timed = _timed([1, 1, 2, 2])
    assert list(video.Selection()(timed)) == timed
    assert not video.Selection().takes_some
    assert video.Selection().rate(100) == 100 and video.Selection(fps=12).rate(100) == 12
    assert video.Selection(fps=12).rate(8) == 8 and video.Selection().rate(90000) == 25
    assert video.Selection(fps=5).takes_some and video.Selection(repeats="drop").takes_some


@pytest.mark.parametrize("fps", [0.0, 7.0, 10.0, 25.0, 60.0])
@pytest.mark.parametrize("segment", [None, video.Segment(0.5, 1.3), video.Segment(1.0, 9.0)])
def test_the_frames_of_a_header_are_those_that_are_taken(fps, segment):
    selection = video.Selection(fps)
    times = [k / 25 for k in range(60)]
    if segment:
        times = [t for t in times if not segment.begins_after(t) and not segment.ended_at(t)]
    taken = list(selection((seconds, None) for seconds in times))
    assert selection.num_frames(60, 25.0, segment) == len(taken)
    assert selection.num_frames(0, 25.0) == 0


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
    frames = (cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR) for gray in _moving(_shown_as([1, 0], 40)))
    films.write_video(tmp_path / name, frames, fourcc, 30)
    return tmp_path / name


def test_the_note_of_a_compressed_video_says_how_many_and_what_to_do(doubled):
    counter = _counted(map(video.grayscale, video.read_frames(doubled)))
    assert 0.4 < counter.share < 0.55
    note = counter.note(doubled)
    assert str(doubled) in note and f"{counter.share:.0%}" in note and "--repeats=drop" in note
    assert _counted(_moving(range(40))).note(doubled) == ""
