"""What a clip is, and choices that layers act on: a configuration loads without Keras."""

import dataclasses

from preprocessing.settings import REPEATS, RESIZE_MODES, check, setting
from stfnet.sampling import SHORT_VIDEO

RGB_INPUTS = ("imagenet", "unit")
FLOW_INPUTS = ("centered", "pixels")
NORMALIZE = ("none", "gates", "all")
STATISTICS = ("layer", "batch")
BLOCK_CHANNELS = (64, 128, 256, 512, 512)  # of VGG-16 (Simonyan & Zisserman 2015)


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """What one clip is, as the network sees it."""

    # T, frames sampled from a video.
    num_frames: int = setting(17, "[1, 10000]")
    # L, flow fields stacked around each sampled frame (2L channels).
    flow_length: int = setting(4, "[1, 1000]")
    # Side of the square frames and flow fields, in pixels.
    image_size: int = setting(224, "[16, 8192]")
    # How frames reached that size: straight to the square, short side then centre, or the window in
    # which the video moves most.
    resize: str = setting("stretch", RESIZE_MODES)
    # Frames a second that are taken of videos with more; 0 takes all.
    fps: float = setting(0.0, "[0, 1000]")
    # Whether frames that repeat the one before are kept, see `preprocessing.video.Selection`.
    repeats: str = setting("keep", REPEATS)
    # A video of fewer than T frames repeats its last frame, starts again, or is refused.
    short_video: str = setting("pad_last", SHORT_VIDEO)
    # Displacement in pixels that encodes to the ends of the 8-bit range.
    flow_bound: float = setting(20.0, "(0, 10000]")

    def __post_init__(self):
        check(self, "clip.")
