"""One picture file, read whole or refused: OpenCV makes what is missing grey, and says nothing.

OpenCV decodes. Pillow compares the sum of every part of a PNG, and finds whether a JPEG has data
for all of its pixels. A JPEG has no sums: FFmpeg finds damage within it only where codes are
impossible. Both decode it at an eighth of its size, which is cheaper than the whole.
"""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import ImageFile, JpegImagePlugin, PngImagePlugin

from preprocessing.video.film import check_jpeg
from preprocessing.video.paths import VideoError

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 1 << 27


def read_image(path: Path, mode: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray:
    """Reads a jpg or png file.

    Args:
        mode: one of OpenCV's `IMREAD_...`.

    Returns:
        uint8 (H, W, 3), RGB, upright where the file asks for a rotation; with another `mode`, what
        OpenCV makes of that.

    Raises:
        VideoError: `corrupt`: the file is no image, is cut off or damaged, or claims to be larger
            than 134 megapixels.
    """
    data = path.read_bytes()
    _check_whole(path, data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if data else None
    except cv2.error as error:
        raise VideoError("corrupt", f"{path} claims to be larger than 134 megapixels") from error
    if image is None:
        raise VideoError("corrupt", f"{path} does not decode as an image")
    return image


def _check_whole(path: Path, data: bytes):
    """Raises VideoError for a JPEG or PNG that is not whole; other kinds are OpenCV's to refuse."""
    try:
        # Not by `Image.open`: it warns of large images, and takes some JPEG for another kind.
        image: ImageFile.ImageFile
        if data.startswith(_PNG):
            image = PngImagePlugin.PngImageFile(io.BytesIO(data))
            _check_size(path, image)
            image.verify()
        elif data.startswith(_JPEG):
            image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
            _check_size(path, image)
            image.draft(None, (1, 1))
            image.load()
            check_jpeg(data)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise VideoError("corrupt", f"{path} is cut off or damaged: copy it again") from error


def _check_size(path: Path, image: ImageFile.ImageFile):
    if image.width * image.height > _MOST_PIXELS:
        raise VideoError("corrupt", f"{path} claims to be larger than 134 megapixels")
