import numpy as np
import pytest

from preprocessing.flow.colors import flow_to_color

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


def test_a_whole_field_keeps_its_shape():
    field = np.random.default_rng(0).normal(size=(5, 7, 2)) * 10
    colored = flow_to_color(field, 3.0)
    assert colored.shape == (5, 7, 3)
    assert colored.dtype == np.uint8
    np.testing.assert_array_equal(colored[4, 2], flow_to_color(field[4, 2], 3.0))
