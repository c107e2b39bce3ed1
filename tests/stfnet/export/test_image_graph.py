import cv2
import numpy as np
import pytest

from preprocessing import video
from stfnet.export import image_graph

SIZES = [
    (96, 128),  # by area, fractions of pixels
    (64, 64),  # by area, whole pixels, halves to be rounded up
    (30, 31),  # enlarged
    (32, 32),  # kept
    (20, 300),  # by area, but one side grows
    (300, 20),
    (693, 149),  # the same; 224 / 693 is 32 / 99, where rounding decides between two pixels
    (1080, 608),
    *np.random.default_rng(0).integers(20, 700, (20, 2)).tolist(),
]


@pytest.mark.parametrize("mode", ["stretch", "crop"])
@pytest.mark.parametrize("target", [32, 224])
def test_frames_are_resized_as_by_opencv_to_the_last_bit(target, mode):
    for height, width in SIZES:
        frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        (resized,) = image_graph.resize(frame[None], target, mode).numpy()
        expected = video.resize(frame, target, mode)
        np.testing.assert_array_equal(resized, expected, err_msg=f"{height} x {width}")


def test_gray_is_opencvs():
    colors = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    np.testing.assert_array_equal(
        image_graph.grayscale(colors), cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY)
    )


def _windows(frames):
    motion = video.MotionMap()
    for frame in frames:
        motion.add(frame)
    return tuple(motion.window())


@pytest.mark.parametrize("size", [(48, 100), (100, 48), (40, 40), (65, 67), (240, 320), (9, 500)])
def test_the_window_is_that_of_the_file(size):
    rng, windows = np.random.default_rng(sum(size)), set()
    for _ in range(5):
        frames = np.repeat(rng.integers(0, 256, (1, *size, 3)), 6, axis=0)
        top, left = (int(rng.integers(0, side - 6)) if side > 6 else 0 for side in size)
        frames[:, top : top + 6, left : left + 6] = rng.integers(0, 256, (6, 1, 1, 3))
        frames = np.clip(frames + rng.integers(-3, 4, frames.shape), 0, 255).astype(np.uint8)
        expected = _windows(frames)
        assert tuple(int(n) for n in image_graph.motion_window(frames)) == expected
        windows.add(expected)
    assert len(windows) > 1 or size == (40, 40)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_still_or_very_short_video_has_the_window_of_the_file(count):
    frames = np.full((count, 30, 50, 3), 7, np.uint8)
    window = tuple(int(n) for n in image_graph.motion_window(frames))
    assert window == _windows(frames)
    assert window[2] == 18 and abs(window[0] - 6) <= 1 and abs(window[1] - 16) <= 1
