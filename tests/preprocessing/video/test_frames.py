import av
import numpy as np
import pytest

from preprocessing.video import frames


def _frame(height, width, level=0, image_format="rgb24"):
    image = np.full((height, width, 3), level, np.uint8)
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=image_format)


def test_filters_take_frames_of_one_size_and_format_and_give_each_once():
    first = _frame(32, 48, 10)
    filters = frames.Filters(first, "negate", "hflip")
    assert filters.takes(_frame(32, 48))
    assert not filters.takes(_frame(32, 46))
    assert not filters.takes(_frame(32, 48, image_format="yuv420p"))
    given = [filters.add(frame) for frame in (first, _frame(32, 48, 20), None)]
    levels = [one.to_ndarray(format="rgb24").mean() for ready in given for one in ready]
    np.testing.assert_allclose(levels, [245, 235], atol=1)


def test_a_filter_that_ffmpeg_does_not_have_or_that_refuses_its_option():
    for wrong in ("nosuchfilter", "scale=flags=nosuchflag"):
        with pytest.raises(frames.FilterError):
            frames.Filters(_frame(32, 48), wrong)


def test_frames_get_the_size_of_the_first():
    rgb = frames.rgb_converter()
    sizes = (32, 48), (64, 96), (16, 16)
    assert {rgb(_frame(*size)).shape for size in sizes} == {(32, 48, 3)}


def test_a_frame_without_a_display_matrix_is_upright():
    assert frames.display_matrix(_frame(32, 48)) is None
