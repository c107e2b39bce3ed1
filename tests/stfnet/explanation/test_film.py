import numpy as np

from stfnet.drawing.annotation import TEXT
from stfnet.explanation import film
from stfnet.explanation.pictures import LEFT_OUT


def test_the_film_shows_the_map_and_the_flow_of_the_last_sampled_frame(
    read_film, moving_square, tmp_path, explanation, make_clip
):
    path = tmp_path / "explanation.mp4"
    fields = make_clip().fields.copy()
    fields[1] = (0, 0, 255)
    film.write_film(path, moving_square, explanation, make_clip(fields=fields))
    frames, fps, _ = read_film(path)
    assert len(frames) == 11 and fps == 20
    assert frames[0].shape == (34 + 360 + 2 * film.STRIP, 3 * 480 + 300, 3)
    flow = [frame[200, 2 * 480 + 240].argmax() for frame in frames]
    assert flow == [0, 0, 0, 2, 2, 2, 0, 0, 0, 0, 0]
    # The right upper quarter of the map, whose values are 1, 0.5 and 0.
    red = [int(frame[50, 950, 0]) for frame in frames]
    assert min(red[:3]) > max(red[3:6]) > max(red[6:]) + 20
    assert list(tmp_path.iterdir()) == [path]


def test_a_square_clip_without_flow_stands_beside_the_video(
    read_film, moving_square, tmp_path, explanation, make_clip
):
    path = tmp_path / "explanation.webm"
    clip = make_clip(fields=None, whole=False, aspect=1.0, numbers=(6, 0, 3))
    film.write_film(path, moving_square, explanation, clip)
    frames, *_ = read_film(path)
    assert frames[0].shape[1] == 480 + 360 + 300
    # Frames 6, 0 and 3 have values 1, 0.5 and 0.
    red = [int(frame[50, 480 + 340, 0]) for frame in frames]
    assert min(red[6:]) > max(red[:3]) > max(red[3:6]) + 20


def test_strips_have_bars_at_the_sampled_frames_and_a_mark_at_the_present(explanation, make_clip):
    width = film.NAMES + film.COUNTER + 11
    strips = film.draw_strips(explanation, make_clip(), 8, width)
    assert strips.shape == (2 * film.STRIP, width, 3)
    middle = film.STRIP // 2
    marked = np.flatnonzero((strips[5, film.NAMES :] == TEXT).all(-1)) + film.NAMES
    assert marked.tolist() == [film.NAMES + 7, film.NAMES + 8]
    up = strips[middle - 5, :] == LEFT_OUT
    assert np.flatnonzero(up.all(-1)).tolist() == list(range(film.NAMES - film.BAR, film.NAMES))
