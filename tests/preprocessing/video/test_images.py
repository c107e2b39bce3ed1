import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from preprocessing.video import VideoError
from preprocessing.video.images import read_image


@pytest.fixture(scope="module")
def picture():
    """uint8 (90, 120, 3): noise over a ramp, so that a JPEG of it has much data everywhere."""
    noise = np.random.default_rng(0).integers(0, 60, (90, 120, 3))
    return (noise + np.linspace(0, 190, 120)[:, None]).astype(np.uint8)


def _exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# Kind of file: how Pillow writes it.
HEALTHY = {
    "plain.jpg": {},
    "444.jpg": {"subsampling": 0},
    "progressive.jpg": {"progressive": True},
    "optimized.jpeg": {"optimize": True, "quality": 40},
    "restarts.jpg": {"restart_marker_blocks": 3},
    "gray.jpg": {"mode": "L"},
    "cmyk.jpg": {"mode": "CMYK"},
    "rotated.jpg": {"exif": _exif(6)},
    "mirrored.jpg": {"exif": _exif(2)},
    "plain.png": {},
    "gray.png": {"mode": "L"},
    "palette.png": {"mode": "P"},
    "transparent.png": {"mode": "RGBA"},
    "gray_alpha.png": {"mode": "LA"},
    "one_bit.png": {"mode": "1"},
    "rotated.png": {"exif": _exif(8)},
}


@pytest.fixture
def write(picture, tmp_path):
    def write(name):
        options = dict(HEALTHY[name])
        image = Image.fromarray(picture).convert(options.pop("mode", "RGB"))
        image.save(tmp_path / name, **options)
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", HEALTHY)
def test_whole_files_are_what_opencv_reads(write, name):
    path = write(name)
    expected = cv2.imread(str(path), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(read_image(path), expected[..., ::-1])
    assert read_image(path).shape == ((120, 90, 3) if name.startswith("rotated") else (90, 120, 3))


def test_16_bits_and_other_modes_are_opencv_s(picture, tmp_path):
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), picture.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_image(path), picture[..., ::-1])
    deep = read_image(path, cv2.IMREAD_UNCHANGED)
    assert deep.dtype == np.uint16 and deep.shape == picture.shape


def test_names_that_lie_about_their_kind_are_read(write, tmp_path):
    for name, other in (("plain.png", "a.jpg"), ("plain.jpg", "b.png")):
        path = write(name).rename(tmp_path / other)
        expected = cv2.imread(str(path))
        np.testing.assert_array_equal(read_image(path), expected[..., ::-1])
    assert cv2.imwrite(str(tmp_path / "c.webp"), expected)
    path = (tmp_path / "c.webp").rename(tmp_path / "c.jpg")
    assert read_image(path).shape == expected.shape


def test_bytes_behind_the_end_do_no_harm(write):
    path = write("plain.jpg")
    with path.open("ab") as file:
        file.write(bytes(1000))
    assert read_image(path).shape == (90, 120, 3)


def _refused(path, message="is cut off or damaged: copy it again"):
    with pytest.raises(VideoError, match=message) as caught:
        read_image(path)
    assert caught.value.outcome == "corrupt" and str(path) in str(caught.value)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_file_that_is_cut_off_anywhere_is_refused(write, name):
    path = write(name)
    data = path.read_bytes()
    for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.97):
        path.write_bytes(data[: int(share * len(data))])
        _refused(path)


def test_a_png_of_which_a_byte_is_wrong_is_refused(write):
    path = write("plain.png")
    data = path.read_bytes()
    for position in range(20, len(data) - 12, len(data) // 50):
        changed = bytearray(data)
        changed[position] ^= 0x10
        path.write_bytes(changed)
        _refused(path)


@pytest.mark.parametrize("name", ["plain.jpg", "gray.jpg", "restarts.jpg"])
def test_a_jpeg_of_which_a_part_is_empty_is_refused(write, name):
    path = write(name)
    data = bytearray(path.read_bytes())
    half, quarter = len(data) // 2, len(data) // 4
    data[half : half + quarter] = bytes(quarter)
    path.write_bytes(data)
    _refused(path)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF", b"text"])
def test_what_is_no_image_is_refused(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    _refused(path, "is cut off or damaged|does not decode as an image")


def test_an_image_that_claims_to_be_huge_is_refused_before_it_is_decoded(write, recwarn):
    path = write("plain.png")
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 16384, 8193)  # more than 2 ** 27 pixels
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)
    _refused(path, "claims to be larger than 134 megapixels")
    path = write("plain.jpg")
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 60000, 60000)
    path.write_bytes(data)
    _refused(path, "claims to be larger than 134 megapixels")
    assert not recwarn.list
