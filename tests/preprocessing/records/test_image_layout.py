"""Stored images against OpenCV, TensorFlow and hand-made ones."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from preprocessing import records
from preprocessing.records import image_layout


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (2, 12, 18, 3), np.uint8)


def test_a_lossless_frame_and_field_come_back_as_they_were(noise):
    frame, planes = noise[0], noise[..., 0]
    image = records.encode_frame(frame, "png", 95)
    np.testing.assert_array_equal(records.decode_frame(image), frame)
    assert image_layout.image_shape(image) == (12, 18, 3)
    assert image_layout.frame_shape(12) == (12, 12, 3)
    image = records.encode_field(planes, "png", 95)
    np.testing.assert_array_equal(records.decode_field(memoryview(image)), planes)


def test_an_image_is_put_into_its_place_as_it_is_or_mirrored(noise):
    frame, planes = noise[0], noise[..., 0]
    image = records.encode_frame(frame, "png", 95)
    place = np.empty_like(frame)
    image_layout.put_frame(image, place, mirrored=False)
    np.testing.assert_array_equal(place, frame)
    image_layout.put_frame(image, place, mirrored=True)
    np.testing.assert_array_equal(place, frame[:, ::-1])
    image = records.encode_field(planes, "png", 95)
    place = np.empty(planes.shape, np.uint8)
    image_layout.put_field(image, place, mirrored=False)
    np.testing.assert_array_equal(place, planes)
    image_layout.put_field(image, place, mirrored=True)
    x, y = planes[..., ::-1].astype(int)
    np.testing.assert_array_equal(place, [np.minimum(256 - x, 255), y])


def test_a_field_is_stored_as_its_x_plane_above_its_y_plane(noise):
    # Also from planes whose axes were moved, as the field's components are last.
    planes = np.moveaxis(np.ascontiguousarray(np.moveaxis(noise[..., 0], 0, -1)), -1, 0)
    image = records.encode_field(planes, "png", 95)
    stored = tf.io.decode_png(image).numpy()
    assert stored.shape == (24, 18, 1) and image_layout.image_shape(image) == (24, 18)
    np.testing.assert_array_equal(stored[:12, :, 0], noise[0, ..., 0])
    np.testing.assert_array_equal(stored[12:, :, 0], noise[1, ..., 0])
    assert image_layout.field_shape(12) == (24, 12)


def test_the_bytes_are_those_of_opencv_at_the_quality_asked_for(noise):
    for quality in (40, 95):
        expected = cv2.imencode(".jpg", noise[0][..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        assert records.encode_frame(noise[0], "jpeg", quality) == expected.tobytes()
        gray = np.concatenate([noise[0, ..., 0], noise[1, ..., 0]])
        expected = cv2.imencode(".jpg", gray, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        assert records.encode_field(noise[..., 0], "jpeg", quality) == expected.tobytes()


def test_decoded_jpegs_are_those_of_tensorflow(noise):
    smooth = cv2.GaussianBlur(noise[0], (0, 0), 3)
    image = records.encode_frame(smooth, "jpeg", 95)
    expected = tf.io.decode_jpeg(image, 3, dct_method="INTEGER_ACCURATE", fancy_upscaling=True)
    np.testing.assert_array_equal(records.decode_frame(image), expected)
    image = records.encode_field(noise[..., 0], "jpeg", 95)
    expected = tf.io.decode_jpeg(image, 1, dct_method="INTEGER_ACCURATE").numpy()
    np.testing.assert_array_equal(records.decode_field(image), expected.reshape(2, 12, 18))


@pytest.mark.parametrize("image", [b"", b"no image", memoryview(b"\xff\xd8\xff\xe0")])
def test_an_image_that_does_not_decode_is_an_error_of_its_value(image):
    for decode in (records.decode_frame, records.decode_field, image_layout.image_shape):
        with pytest.raises(ValueError, match="cannot be decoded"):
            decode(image)
