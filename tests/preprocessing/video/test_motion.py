import cv2
import numpy as np
import pytest

from preprocessing import video
from preprocessing.video import motion


def _moving_block(size=(120, 256), at=(70, 200), side=16, count=12, seed=0):
    """Frames of still noise with a block of flickering noise at a place."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 256, (1, *size, 3), np.uint8), count, axis=0)
    top, left = at
    frames[:, top : top + side, left : left + side] = 255 * (np.arange(count) // 2 % 2)[
        :, None, None, None
    ].astype(np.uint8)
    return frames


def _window(frames, present=None):
    motions = video.MotionMap()
    for frame in frames:
        motions.add(frame)
    return motions.window(present)


@pytest.mark.parametrize("at", [(0, 0), (70, 200), (100, 20), (50, 128), (104, 240)])
def test_the_window_holds_what_moves(at):
    top, left, side = _window(_moving_block(at=at))
    assert side == 72  # three fifths of 120
    assert 0 <= top <= 48 and 0 <= left <= 256 - 72
    assert top <= at[0] + 2 and at[0] + 14 <= top + side
    assert left <= at[1] + 2 and at[1] + 14 <= left + side


def test_the_window_has_the_most_motion_of_all():
    """Against every window of the grid, summed one by one."""
    frames = _moving_block(at=(30, 60)) // 2 + _moving_block(at=(80, 190), seed=1) // 2
    small = [
        cv2.cvtColor(cv2.resize(frame, (64, 64), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        for frame in frames
    ]
    energy = np.zeros((64, 64))
    for before, after in zip(small, small[2:], strict=False):
        change = np.abs(after.astype(int) - before)
        energy += np.clip(change - change.sum() // 4096 - 4, 0, 40)
    side, rows, columns = motion.cells(120, 256)
    assert (rows, columns) == (38, 18)
    best = max(
        ((y, x) for y in range(65 - rows) for x in range(65 - columns)),
        key=lambda at: energy[at[0] : at[0] + rows, at[1] : at[1] + columns].sum(),
    )
    top, left, _ = _window(frames)
    assert abs((top + side / 2) / 120 - (best[0] + rows / 2) / 64) < 1 / 64
    assert abs((left + side / 2) / 256 - (best[1] + columns / 2) / 64) < 1 / 64


def test_noise_and_flicker_of_the_whole_picture_do_not_move_it():
    frames = _moving_block(at=(20, 30)).astype(int)
    rng = np.random.default_rng(1)
    frames = frames // 2 + 40 + 20 * (np.arange(12) // 3 % 2)[:, None, None, None]
    noisy = np.clip(frames + rng.integers(-4, 5, frames.shape), 0, 255).astype(np.uint8)
    top, left, side = _window(noisy)
    assert top <= 20 and top + side >= 36 and left <= 30 and left + side >= 46


def test_a_still_video_has_the_central_window():
    assert _window(np.zeros((5, 100, 200, 3), np.uint8)) == pytest.approx((20, 70, 60), abs=2)


def test_a_followed_window_stays_until_clearly_more_moves_elsewhere():
    present = _window(_moving_block(at=(40, 40)))
    # A block on the left, and one of another height on the right.
    for height, moves in ((16, False), (18, False), (24, True)):
        frames = _moving_block(at=(40, 40))
        flicker = frames[:, 40:41, 40:41]  # the values that the block takes
        frames[:, 40 : 40 + height, 208:224] = flicker
        assert _window(frames).left > 128 or height == 16
        followed = _window(frames, present)
        assert (followed.left > 128) if moves else (followed == present)
    assert _window(np.zeros((5, 120, 256, 3), np.uint8), present) == present


def test_frames_of_other_sizes_are_cut_too():
    window = video.Window(top=48, left=184, side=72)
    frame = np.arange(30 * 40, dtype=np.uint16).reshape(30, 40)
    np.testing.assert_array_equal(video.cut(frame, window), frame[:, 10:])
    sizes = [(20, 90), (120, 256), (90, 20)]
    frames = [np.full((*size, 3), 50, np.uint8) for size in sizes]
    resize = video.Resizer(32, "motion", frames)
    assert {resize(frame).shape for frame in frames} == {(32, 32, 3)}


def test_resizer_cuts_and_enlarges():
    frames = _moving_block(at=(70, 200))
    resize = video.Resizer(32, "motion", frames)
    small = resize(frames[0])
    top, left, side = resize.window
    expected = video.resize(
        np.ascontiguousarray(frames[0, top : top + side, left : left + side]), 32
    )
    np.testing.assert_array_equal(small, expected)
    untouched = video.Resizer(32, "stretch", iter(()))
    np.testing.assert_array_equal(untouched(frames[0]), video.resize(frames[0], 32))
    with pytest.raises(ValueError, match="Resizer"):
        video.resize(frames[0], 32, "motion")


def test_a_flow_field_is_cut_and_scaled_as_its_frame():
    frames = list(_moving_block())  # 120 x 256, the window has a side of 72
    resize = video.Resizer(36, "motion", frames)
    top, left, side = resize.window
    field = np.zeros((120, 256, 2), np.float32)
    field[top : top + side, left : left + side] = (2, -4)
    moved = resize.field(field, (120, 256))
    assert moved.shape == (36, 36, 2)
    np.testing.assert_allclose(moved, np.full((36, 36, 2), (1, -2)))
    # Flow at half the frame's width and a quarter of its height, in pixels of its own.
    small = cv2.resize(field, (128, 30), interpolation=cv2.INTER_AREA) * np.float32([0.5, 0.25])
    moved = resize.field(small, (120, 256))[4:-4, 4:-4]
    np.testing.assert_allclose(moved, np.broadcast_to([1, -2], moved.shape), atol=1e-5)
    for mode, factors in (("stretch", (36 / 256, 36 / 120)), ("crop", (41 / 120, 41 / 120))):
        moved = video.Resizer(36, mode, ()).field(np.ones((120, 256, 2), np.float32), (120, 256))
        np.testing.assert_allclose(moved[0, 0], factors, rtol=0.01)
