"""What a clip is, and the network."""

import dataclasses
import typing

from preprocessing.errors import UserError
from preprocessing.settings import REPEATS, RESIZE_MODES, check, setting
from stfnet.config.rivals import (
    ARCHITECTURES,
    BOTH_STREAMS,
    FRAMES_ALONE,
    WITHOUT_VGG,
    DeepLSTMConfig,
    LRCNConfig,
    SoftAttentionConfig,
    TSNConfig,
)
from stfnet.sampling import SHORT_VIDEO

# Choices that more than one module reads; all others stand at their setting alone.
RGB_INPUTS = ("imagenet", "unit")
FLOW_INPUTS = ("centered", "pixels")
NORMALIZE = ("none", "gates", "all")
STREAMS = ("both", "rgb", "flow")
FUSIONS = ("conv3d", "conv2d", "sum", "concat")
BLOCK_CHANNELS = (64, 128, 256, 512, 512)  # of VGG-16 (Simonyan & Zisserman 2015)
STATISTICS = ("layer", "batch")


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


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network of Ou & Sun 2019, with a switch for every point the paper leaves open."""

    # Classes of the softmax.
    num_classes: int = setting(allowed="[1, 1000000]")
    # The clips it reads.
    clip: ClipConfig = dataclasses.field(default_factory=ClipConfig)
    # Hidden units of each of the three LSTMs.
    lstm_units: int = setting(101, "[1, 100000]")
    # Units of fc6 after the fusion.
    fc6_units: int = setting(4096, "[1, 1000000]")
    # Every VGG and fusion channel count is divided by this (1: the paper's).
    width_divisor: int = setting(1, "[1, 64]")
    # `both`, or one stream alone for the ablation: the missing stream's features are left out and
    # the fusion convolution reads the other's alone.
    streams: str = setting("both", STREAMS)
    # BGR minus the ImageNet mean, or RGB in [-1, 1], for streams trained from scratch.
    rgb_input: str = setting("imagenet", RGB_INPUTS)
    # v - 128, or (v - 128) * flow_bound / 127.5.
    flow_input: str = setting("centered", FLOW_INPUTS)
    # VGG blocks of whose maps a stream's map is made: the last (the paper), or earlier ones too,
    # averaged to its cells. Little data is often better served by what blocks 3 and 4 see.
    map_levels: tuple[int, ...] = setting((5,), "[3, 5]")
    # Batch normalisation of each stream's map before the fusion, so that channels and streams of
    # different scale count alike; for frozen streams and little data.
    map_norm: bool = False
    # How the streams meet: the paper's 3-D convolution, one over space alone, or without weights
    # their sum or their interleaved channels.
    fusion: str = setting("conv3d", FUSIONS)
    # Filters of the fusion convolution, divided by width_divisor.
    fusion_filters: int = setting(512, "[1, 8192]")
    # `identity_sum`: the fusion starts as the sum of both streams.
    fusion_init: str = setting("glorot_uniform", ("glorot_uniform", "identity_sum"))
    # Whether a ReLU follows the fusion convolution.
    fusion_relu: bool = True
    # What the LSTMs read: the fused map X_conv, its fully connected layer X_fc, or both (the
    # paper).
    branches: str = setting("both", ("both", "conv", "fc"))
    # Mean of X_conv over its cells before its LSTM, which then has 512 inputs a frame in place of
    # 100,352.
    conv_pool: bool = False
    # LSTM normalisation of the three sigmoid gates, of none, or also of the candidate and the cell
    # state.
    normalize: str = setting("gates", NORMALIZE)
    # Mean and variance over the units of an example, or over the batch.
    lstm_statistics: str = setting("layer", STATISTICS)
    # Parts of the clip, one after the other, over which the streams' maps are averaged for a linear
    # path to the logits, beside the LSTMs; 0 for none (the paper). With some hundreds of videos a
    # linear model is hard to beat, and the LSTMs then learn what it lacks.
    linear_parts: int = setting(0, "[0, 1000]")
    # How the two sequence LSTMs meet.
    merge: str = setting("concat", ("concat", "sum", "product"))
    # Dropout rate after fc6.
    fc6_dropout: float = setting(0.5, "[0, 1)")
    # Dropout rate of the LSTMs.
    lstm_dropout: float = setting(0.25, "[0, 1)")
    # Chance that a training clip lacks one of its two streams, so that neither is all that is
    # learned.
    stream_dropout: float = setting(0.0, "[0, 1)")
    # Chance that a channel of the streams' maps is left out of a whole training clip.
    map_dropout: float = setting(0.0, "[0, 1)")
    # The paper's network, or one of its rivals (docs/rivals.md). A rival has the settings of the
    # streams, `fc6_units` and both dropout rates; those of the fusion, of the branches and of the
    # normalisation are STFNet's alone.
    architecture: str = setting("stfnet", ARCHITECTURES)
    # What single rivals have beside these.
    lrcn: LRCNConfig = dataclasses.field(default_factory=LRCNConfig)
    deep_lstm: DeepLSTMConfig = dataclasses.field(default_factory=DeepLSTMConfig)
    soft_attention: SoftAttentionConfig = dataclasses.field(default_factory=SoftAttentionConfig)
    tsn: TSNConfig = dataclasses.field(default_factory=TSNConfig)

    def __post_init__(self):
        check(self, "model.")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if dataclasses.is_dataclass(field.type) and not isinstance(
                value, typing.cast(type, field.type)
            ):
                raise UserError(f"model.{field.name}={value!r} is not a group of settings")
        self._check_architecture()
        if self.linear_parts > self.clip.num_frames:
            raise UserError(
                f"model.linear_parts={self.linear_parts} divides a clip of model.clip.num_frames="
                f"{self.clip.num_frames} frames: set at most as many"
            )
        if self.map_levels != tuple(sorted(set(self.map_levels))) or self.map_levels[-1:] != (5,):
            raise UserError(
                f"model.map_levels={self.map_levels} must rise and end with 5, such as (3, 4, 5)"
            )
        if self.stream_dropout and self.streams != "both":
            raise UserError(
                f"model.stream_dropout={self.stream_dropout} needs both streams, and model.streams "
                f"is {self.streams}: set one of them"
            )
        if self.fusion_init == "identity_sum" and self.map_channels % self.fused_channels:
            raise UserError(
                f"model.fusion_init=identity_sum needs as many model.fusion_filters as a stream's "
                f"map has channels, {self.map_channels * self.width_divisor}, not "
                f"{self.fusion_filters}"
            )
        if 64 % self.width_divisor:
            raise UserError(f"model.width_divisor={self.width_divisor} does not divide 64")
        if self.fusion_filters % self.width_divisor:
            raise UserError(
                f"model.width_divisor={self.width_divisor} does not divide "
                f"model.fusion_filters={self.fusion_filters}"
            )

    def _check_architecture(self):
        needed = {name: "rgb" for name in FRAMES_ALONE} | {name: "both" for name in BOTH_STREAMS}
        streams = needed.get(self.architecture, self.streams)
        if self.streams != streams:
            raise UserError(
                f"model.architecture={self.architecture} reads streams={streams}, and "
                f"model.streams is {self.streams}: set model.streams={streams}"
            )
        if self.linear_parts and self.architecture != "stfnet":
            raise UserError(
                f"model.linear_parts={self.linear_parts} has no effect with model.architecture="
                f"{self.architecture}, which has no linear path: set model.linear_parts=0 (and "
                "training.linear_start=False)"
            )

    @property
    def input_channels(self) -> dict[str, int]:
        """Channels of each input of the network, by its name, in their order."""
        channels = {"rgb": 3, "flow": 2 * self.clip.flow_length}
        return {name: n for name, n in channels.items() if self.streams in ("both", name)}

    @property
    def batch_statistics(self) -> bool:
        """Whether the network normalises with statistics over the clips of a batch."""
        if self.architecture in WITHOUT_VGG:
            return False
        lstms = self.architecture == "stfnet" and self.lstm_statistics == "batch"
        return self.map_norm or bool(self.linear_parts) or lstms

    @property
    def fused_channels(self) -> int:
        """Channels of X_conv."""
        if self.fusion in ("conv3d", "conv2d"):
            return self.fusion_filters // self.width_divisor
        return self.map_channels * (len(self.input_channels) if self.fusion == "concat" else 1)

    @property
    def map_channels(self) -> int:
        """Channels of a stream's map."""
        return sum(BLOCK_CHANNELS[level - 1] for level in self.map_levels) // self.width_divisor
