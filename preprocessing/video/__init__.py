"""Videos: decoding, the faults of their files, which frames count, and resizing."""

# ruff: noqa: F401 (what others take from here)
from preprocessing.settings import REPEATS, RESIZE_MODES
from preprocessing.video.decoding import (
    Picture,
    probe,
    read_address,
    read_frames,
    read_timed_frames,
    read_unconverted,
)
from preprocessing.video.film import UNKNOWN_FPS, usual_fps
from preprocessing.video.motion import MotionMap, Resizer, Window, cut
from preprocessing.video.paths import (
    EXTENSIONS,
    IMAGE_EXTENSIONS,
    Claim,
    VideoError,
    checked_name,
    flow_files,
    image_files,
    is_image,
    sha256,
    stamp,
)
from preprocessing.video.resizing import grayscale, resize
from preprocessing.video.segments import Segment
from preprocessing.video.selection import RepeatCounter, Selection
from preprocessing.video.writing import LOSSLESS_EXTENSION, VideoWriter, write_lossless
