"""Videos: decoding, the faults of their files, and resizing."""

from preprocessing.settings import RESIZE_MODES
from preprocessing.video.decoding import Claim, probe, read_frames
from preprocessing.video.paths import (
    EXTENSIONS,
    IMAGE_EXTENSIONS,
    VideoError,
    is_image,
    sha256,
)
from preprocessing.video.resizing import grayscale, resize

__all__ = [
    "EXTENSIONS",
    "IMAGE_EXTENSIONS",
    "RESIZE_MODES",
    "Claim",
    "VideoError",
    "grayscale",
    "is_image",
    "probe",
    "read_frames",
    "resize",
    "sha256",
]
