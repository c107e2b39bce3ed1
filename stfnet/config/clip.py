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
    """What one clip is, as the network sees it.

    Example:
        >>> stfnet.ClipConfig(num_frames=8, image_size=112)
        ClipConfig(num_frames=8, flow_length=4, image_size=112, ...)
        >>> stfnet.ClipConfig(num_frames=0)
        Traceback (most recent call last):
        preprocessing.errors.UserError: clip.num_frames=0 ...
    """

    num_frames: int = setting(17, "[1, 10000]")
    """T, frames sampled from a video."""
    flow_length: int = setting(4, "[1, 1000]")
    """L, flow fields stacked around each sampled frame (2L channels)."""
    image_size: int = setting(224, "[16, 8192]")
    """Side of the square frames and flow fields, in pixels."""
    resize: str = setting("stretch", RESIZE_MODES)
    """How frames reached that size: straight to the square, short side then centre, or the window
    in which the video moves most.
    """
    fps: float = setting(0.0, "[0, 1000]")
    """Frames a second that are taken of videos with more; 0 takes all."""
    repeats: str = setting("keep", REPEATS)
    """Whether frames that repeat the one before are kept, see `preprocessing.video.Selection`."""
    short_video: str = setting("pad_last", SHORT_VIDEO)
    """A video of fewer than T frames repeats its last frame, starts again, or is refused."""
    flow_bound: float = setting(20.0, "(0, 10000]")
    """Displacement in pixels that encodes to the ends of the 8-bit range."""

    def __post_init__(self):
        check(self, "clip.")
