"""Videos: decoding, the faults of their files, and resizing."""

from preprocessing.settings import RESIZE_MODES
from preprocessing.video.decoding import (
    UNKNOWN_FPS,
    Claim,
    probe,
    read_frames,
    read_timed_frames,
    usual_fps,
)
from preprocessing.video.motion import MotionMap, Resizer, Window, cut
from preprocessing.video.paths import (
    EXTENSIONS,
    IMAGE_EXTENSIONS,
    VideoError,
    flow_files,
    image_files,
    is_image,
    sha256,
)
from preprocessing.video.repeats import RepeatCounter
from preprocessing.video.resizing import grayscale, resize
from preprocessing.video.segments import Segment

__all__ = [
    "EXTENSIONS",
    "IMAGE_EXTENSIONS",
    "RESIZE_MODES",
    "UNKNOWN_FPS",
    "Claim",
    "MotionMap",
    "RepeatCounter",
    "Resizer",
    "Segment",
    "VideoError",
    "Window",
    "cut",
    "flow_files",
    "grayscale",
    "image_files",
    "is_image",
    "probe",
    "read_frames",
    "read_timed_frames",
    "resize",
    "sha256",
    "usual_fps",
]
