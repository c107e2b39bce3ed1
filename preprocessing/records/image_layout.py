"""How a frame and a flow field are stored as images, written and read here and nowhere else.

An image that cannot be decoded is a ValueError.
OpenCV is imported by the functions that need it: a record is parsed without it.
"""

import functools
import math
import struct
from typing import Any

import numpy as np

from preprocessing.flow.encoding import OPPOSITE

IMAGE_FORMATS = ("jpeg", "png")  # `png` is lossless
_MOST_PIXELS = 2 * 8192 * 8192  # of a flow field at the largest image size
_FRAME_HEADERS = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2")  # of JPEG
_BEFORE_FRAME = (0xC4, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0))  # tables, comments, applications' data


def encode_frame(rgb: np.ndarray, image_format: str, jpeg_quality: int) -> bytes:
    """A frame as it is stored.

    Args:
        rgb: uint8 (H, W, 3), RGB.
        image_format: one of `IMAGE_FORMATS`.
        jpeg_quality: 1 to 100, of `jpeg`.
    """
    cv2 = _cv2()
    return _encoded(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), image_format, jpeg_quality)


def encode_field(planes: np.ndarray, image_format: str, jpeg_quality: int) -> bytes:
    """A flow field as it is stored: one gray image, the x plane above the y plane.

    Args:
        planes: uint8 (2, H, W), the x and the y plane of `preprocessing.flow.encode`.
        image_format: one of `IMAGE_FORMATS`.
        jpeg_quality: 1 to 100, of `jpeg`.
    """
    _, height, width = planes.shape
    return _encoded(planes.reshape(2 * height, width), image_format, jpeg_quality)


def decode_frame(image: bytes | memoryview) -> np.ndarray:
    """The frame that `encode_frame` stored, uint8 (H, W, 3), RGB."""
    cv2 = _cv2()
    return _decoded(image, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)


def decode_field(image: bytes | memoryview) -> np.ndarray:
    """The planes that `encode_field` stored, uint8 (2, H, W): x, then y."""
    cv2 = _cv2()
    gray = _decoded(image, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    return gray.reshape(2, -1, gray.shape[1])


def put_frame(image: bytes | memoryview, out: np.ndarray, mirrored: bool) -> None:
    """Decodes a frame into its place in a batch.

    Args:
        image: of `encode_frame`.
        out: contiguous uint8 (H, W, 3), to be filled.
        mirrored: whether left and right are exchanged.
    """
    if not mirrored:
        out[:] = decode_frame(image)
        return
    _cv2().flip(decode_frame(image), 1, dst=out)


def put_field(image: bytes | memoryview, out: np.ndarray, mirrored: bool) -> None:
    """Decodes a flow field into its place in a batch.

    Args:
        image: of `encode_field`.
        out: contiguous uint8 (2, H, W), to be filled.
        mirrored: whether left and right are exchanged, by which x displacements change sign too.
    """
    planes = decode_field(image)
    if not mirrored:
        out[:] = planes
        return
    for plane, place in zip(planes, out, strict=True):
        _cv2().flip(plane, 1, dst=place)
    _cv2().LUT(out[0], OPPOSITE, dst=out[0])


def frame_shape(size: int) -> tuple[int, int, int]:
    """Shape of the stored image of a frame of `size` x `size` pixels."""
    return size, size, 3


def field_shape(size: int) -> tuple[int, int]:
    """Shape of the stored image of a flow field of `size` x `size` pixels."""
    return 2 * size, size


def image_shape(image: bytes | memoryview) -> tuple[int, ...]:
    """Shape of an image as it is stored, found by decoding all of it."""
    return _decoded(image, _cv2().IMREAD_UNCHANGED).shape


def _encoded(image: np.ndarray, image_format: str, jpeg_quality: int) -> bytes:
    cv2 = _cv2()
    if image_format == "png":
        _, encoded = cv2.imencode(".png", image)
    else:
        _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality])
    return encoded.tobytes()


@functools.cache  # an import statement for each image would take a twentieth of decoding it
def _cv2() -> Any:
    import cv2

    return cv2


def _decoded(image: bytes | memoryview, mode: int) -> np.ndarray:
    cv2 = _cv2()
    try:
        # OpenCV would take 3 GB for a damaged header of a few bytes.
        if _claimed_pixels(image) <= _MOST_PIXELS:
            # OpenCV lets other threads run meanwhile.
            decoded = cv2.imdecode(np.frombuffer(image, np.uint8), mode)
            if decoded is not None:
                return decoded
    except (IndexError, struct.error, cv2.error) as error:
        raise ValueError("an image cannot be decoded") from error
    raise ValueError("an image cannot be decoded")


def _claimed_pixels(image: bytes | memoryview) -> float:
    """Pixels of a JPEG or PNG by its header, in microseconds; infinite where there is none."""
    if image[:4] == b"\x89PNG":
        return math.prod(struct.unpack_from(">II", image, 16))
    at = 2
    while image[at] == 0xFF and image[at + 1] in _BEFORE_FRAME:
        at += 2 + struct.unpack_from(">H", image, at + 2)[0]
    if image[at : at + 2] not in _FRAME_HEADERS:
        return math.inf
    return math.prod(struct.unpack_from(">HH", image, at + 5))
