import numpy as np
import pytest

from preprocessing import flow
from preprocessing.flow import encoding


def test_zero_motion_is_128_and_the_range_ends_at_the_bound():
    encoded = flow.encode(np.array([0.0, 20.0, -20.0, 35.0, -35.0, 0.07, 0.09, -0.09]))
    # 127.5 levels for 20 px: 0.07 px is 0.45 levels, 0.09 px is 0.57.
    assert encoded.dtype == np.uint8
    assert encoded.tolist() == [128, 255, 0, 255, 0, 128, 129, 127]


@pytest.mark.parametrize("bound", [5.0, 20.0])
def test_decoding_gives_back_the_displacement_to_half_a_level(bound):
    pixels = np.linspace(-bound, bound * 127 / 127.5, 4001)
    back = flow.decode(flow.encode(pixels, bound), bound)
    assert back.dtype == np.float32
    assert np.abs(back - pixels).max() <= 0.5 * bound / 127.5 * 1.0001
    levels = np.arange(256, dtype=np.uint8)
    assert (flow.encode(flow.decode(levels, bound), bound) == levels).all()


def test_the_opposite_of_a_displacement_has_the_other_sign_but_for_the_clipped_end():
    levels = np.arange(1, 256, dtype=np.uint8)
    np.testing.assert_array_equal(flow.decode(encoding.OPPOSITE[levels]), -flow.decode(levels))
    assert encoding.OPPOSITE[0] == 255
