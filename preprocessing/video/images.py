"""One image of a folder of frames."""

from pathlib import Path

import cv2
import numpy as np

from preprocessing.video.paths import VideoError


def read_image(path: Path) -> np.ndarray:
    """uint8 (H, W, 3), RGB."""
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise VideoError("corrupt", f"{path} claims to be larger than 134 megapixels") from error
    if image is None:
        raise VideoError("corrupt", f"{path} does not decode as an image")
    return image
