import itertools

import cv2
import numpy as np
import pytest

from benchmarks import films
from preprocessing import video
from preprocessing.errors import UserError


def test_the_textures_move_and_can_be_drawn_again():
    rng = np.random.default_rng(0)
    wall, square = (
        cv2.resize(rng.integers(0, 256, (40, 60, 3), np.uint8), (192, 128)) for _ in range(2)
    )
    # In 10 frames the wall has moved by whole pixels, 7 to the left and 3 up, around an edge.
    moved = np.roll(wall, (64 - 3, 96 - 7), (0, 1))
    for _ in range(2):
        frames = list(films.moving_textures(11, 96, 64))
        for k, picture in ((0, wall), (10, moved)):
            expected = picture[:64, :96].copy()
            expected[k : k + 21, 3 * k : 3 * k + 21] = square[:21, :21]
            np.testing.assert_array_equal(frames[k], expected)


def test_a_film_is_played_there_and_back(moving_square):
    film = [frame[..., ::-1] for frame in video.read_frames(moving_square)]
    played = list(films.film(str(moving_square), 25))
    order = [*range(11), *range(9, -1, -1), 1, 2, 3, 4]
    assert all((frame == film[k]).all() for frame, k in zip(played, order, strict=True))


def test_a_film_of_one_frame_has_no_flow(tmp_path):
    films.write_video(tmp_path / "one.avi", films.moving_textures(1, 32, 32), films.MOTION_JPEG)
    with pytest.raises(UserError, match=r"one.avi has 1 frame: flow needs two"):
        films.film(str(tmp_path / "one.avi"), 5)


def test_a_video_that_opencv_cannot_write_is_named(tmp_path):
    with pytest.raises(UserError, match=r"one\.none cannot be written in MJPG"):
        films.write_video(tmp_path / "one.none", films.moving_textures(1, 32, 32), "MJPG")


def test_grey_frames_are_those_of_opencv(moving_square):
    capture = cv2.VideoCapture(str(moving_square))
    expected = [cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2GRAY) for _ in range(11)]
    grey = list(films.grey_frames(moving_square, 48))
    assert len(grey) == 11 and grey[0].dtype == np.uint8
    for ours, frame in zip(grey, expected, strict=True):
        resized = cv2.resize(frame, (48, 48), interpolation=cv2.INTER_AREA)
        assert np.abs(ours.astype(int) - resized).mean() < 2


def test_clips_have_each_pair_of_frames_once(tmp_path):
    films.write_clips(tmp_path / "clips", films.moving_textures(9, 96, 64), [2, 5, 1])
    clips = [list(video.read_frames(path)) for path in sorted((tmp_path / "clips").iterdir())]
    assert [len(clip) - 1 for clip in clips] == [2, 5, 1]
    for clip, following in itertools.pairwise(clips):
        assert (clip[-1] == following[0]).all()
