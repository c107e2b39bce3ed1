import numpy as np
import pytest

from preprocessing import video
from preprocessing.errors import UserError


def test_resizing_stretches_or_crops():
    # A picture of columns 0..199, 100 rows: the value tells where a pixel came from.
    frame = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2)
    stretched = video.resize(frame, 50)
    assert stretched.shape == (50, 50, 3)
    assert stretched[0, 0, 0] < 5 and stretched[0, -1, 0] > 195
    # Short side to 50 * 256 / 224 = 57, so 57 x 114, then the middle 50: columns 56 to 144.
    cropped = video.resize(frame, 50, "crop")
    assert cropped.shape == (50, 50, 3)
    assert abs(int(cropped[0, 0, 0]) - 56) <= 2 and abs(int(cropped[0, -1, 0]) - 143) <= 2
    assert video.resize(frame[..., 0], 300, "crop").shape == (300, 300)
    with pytest.raises(UserError, match="'squash' is unknown"):
        video.resize(frame, 50, "squash")


def test_grey_is_the_luma_of_rgb():
    """ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B."""
    colors = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    grey = video.grayscale(colors)
    assert grey.shape == (40, 50) and grey.dtype == np.uint8
    luma = colors.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(grey - luma).max() < 0.51
