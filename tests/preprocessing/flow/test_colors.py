import cv2
import numpy as np
import pytest

from preprocessing.flow.colors import color_wheel, flow_to_color, frames_above_flow, scale_of

# Worked by hand from the wheel of the Middlebury code: 55 colours, red first.
DIRECTIONS = [
    ((0, 0), (255, 255, 255)),
    ((4, 0), (255, 0, 0)),
    ((-4, 0), (0, 209, 255)),  # turn 1/2, colour 27: two of eleven steps from cyan to blue
    ((2, 0), (255, 127, 127)),
    ((8, 0), (191, 0, 0)),  # too long: three quarters as bright
]


@pytest.mark.parametrize(("vector", "color"), DIRECTIONS)
def test_colors_of_the_middlebury_wheel(vector, color):
    np.testing.assert_array_equal(flow_to_color(np.float32(vector), 4), color)


def test_a_quarter_turn_is_halfway_between_two_colors_of_the_wheel():
    # Down: turn 1/4 of 54 = 13.5, between red with 221/255 and with 238/255 of green.
    assert flow_to_color(np.float32([0, 4]), 4).tolist() == [255, 229, 0]


def test_the_wheel_shows_every_direction_in_its_place():
    wheel = color_wheel(101).astype(int)
    assert wheel[50, 50].min() > 240 and wheel[0, 0].tolist() == [255, 255, 255]
    assert wheel[50, 98, 0] > 230 and wheel[50, 98, 1:].max() < 40  # right is red
    assert wheel[98, 50, 2] < 40 and wheel[98, 50, :2].min() > 100  # down is yellow-green
    assert wheel[50, 2, 0] < 40 and wheel[50, 2, 1:].min() > 100  # left is cyan-blue


def test_the_scale_is_of_the_long_vectors_and_not_of_noise():
    fields = np.zeros((2, 20, 20, 2))
    assert scale_of(fields + 0.1) == 1.0
    fields[:, :5] = (3, -4)
    assert scale_of(fields) == pytest.approx(5)
    lengths = np.arange(101.0)  # of which 99 is the 99th percentile
    assert scale_of(np.stack([lengths, np.zeros(101)], -1)) == pytest.approx(99)


def test_each_frame_stands_above_its_flow_and_the_gaps_are_white():
    frames = np.zeros((2, 4, 4, 3), np.uint8)
    frames[0], frames[1] = (10, 20, 30), (40, 50, 60)
    fields = np.zeros((2, 4, 4, 2), np.float32)
    fields[1] = (5, 0)
    picture = frames_above_flow(frames, fields, 5.0, side=8, gap=2)
    assert picture.shape == (8 + 2 + 8, 8 + 2 + 8, 3)
    expected = np.full((18, 18, 3), 255, np.uint8)
    expected[:8, :8], expected[:8, 10:] = (10, 20, 30), (40, 50, 60)
    expected[10:, 10:] = (255, 0, 0)  # to the right; the first field is still: white
    np.testing.assert_array_equal(picture, expected)


def test_small_pictures_are_enlarged_as_asked_and_large_ones_averaged():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (1, 4, 4, 3), np.uint8)
    still = np.zeros((1, 4, 4, 2), np.float32)
    picture = frames_above_flow(small, still, 1.0, 8, enlarged_with=cv2.INTER_NEAREST)
    np.testing.assert_array_equal(picture[:8], small[0].repeat(2, 0).repeat(2, 1))
    reduced = frames_above_flow(small, still, 1.0, 2, enlarged_with=cv2.INTER_NEAREST)
    mean = small[0].reshape(2, 2, 2, 2, 3).astype(float).mean((1, 3))
    np.testing.assert_allclose(reduced[:2], mean, atol=0.5)
