"""What the settings of several networks have in common."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from preprocessing.errors import UserError
from preprocessing.settings import check, setting
from stfnet.config import BLOCK_CHANNELS, FLOW_INPUTS, RGB_INPUTS, ClipConfig

if TYPE_CHECKING:
    from keras import DTypePolicy, KerasTensor

# Types of what networks are built from, by names that load without Keras.
Tensor: TypeAlias = "KerasTensor"
Tensors: TypeAlias = "Mapping[str, KerasTensor]"
Policy: TypeAlias = "DTypePolicy"
STREAMS = ("both", "rgb", "flow")
# Setting of a network -> another one, and the values of that one with which it has an effect.
EFFECTIVE_WITH: Mapping[str, tuple[str, Sequence[str | int]]] = {
    "fusion_filters": ("fusion", ("conv3d", "conv2d")),
    "fusion_relu": ("fusion", ("conv3d", "conv2d")),
    "merge": ("branches", ("both",)),
    "conv_pool": ("branches", ("both", "conv")),
    "lstm_statistics": ("normalize", ("gates", "all")),
    "linear_root": ("linear_parts", range(1, 1001)),
    "linear_quarters": ("linear_root", (True,)),
}


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """Settings that every network has.

    What a network does not have as a setting is a constant here, with the value that it acts by.
    """

    vgg16 = True  # whether its streams are VGG-16 over single frames
    streams = "rgb"
    flow_input = "centered"
    map_levels = tuple(range(5, 6))  # of any length, where it is a setting
    map_norm = linear_root = linear_quarters = False
    map_dropout = stream_dropout = 0.0
    fc6_units = linear_parts = 0
    lstm_statistics = "layer"

    network: str = dataclasses.field(init=False, default="")
    """Name of the network, in `stfnet.networks.NETWORKS`."""
    num_classes: int = setting(allowed="[1, 1000000]")
    """Classes of the softmax."""
    clip: ClipConfig = dataclasses.field(default_factory=ClipConfig)
    """The clips it reads."""
    _: dataclasses.KW_ONLY
    width_divisor: int = setting(1, "[1, 64]")
    """Every channel count of VGG-16 and of the convolutions after it is divided by this (1: the
    paper's).
    """
    rgb_input: str = setting("imagenet", RGB_INPUTS)
    """BGR minus the ImageNet mean, or RGB in [-1, 1], for streams trained from scratch."""

    def __post_init__(self) -> None:
        check(self, "model.")
        if not isinstance(self.clip, ClipConfig):
            raise UserError(f"model.clip={self.clip!r} is not a group of settings")
        if 64 % self.width_divisor:
            raise UserError(f"model.width_divisor={self.width_divisor} does not divide 64")

    def refuse_without_effect(self) -> None:
        """Refuses settings without effect (`EFFECTIVE_WITH`), which variants of an ablation may
        have.

        Others that this project's configurations set, such as `fusion_init` and `flow_input`, stay
        allowed, because who changes another setting of such a configuration inherits them.

        Raises:
            UserError: there is one that differs from its default.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name not in EFFECTIVE_WITH or value == field.default:
                continue
            other, effective = EFFECTIVE_WITH[field.name]
            if getattr(self, other) not in effective:
                raise UserError(
                    f"model.{field.name}={value} has no effect with model.{other}="
                    f"{getattr(self, other)}: leave it at {field.default}, or set "
                    f"{other}={effective[0]}"
                )

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        """Logits (B, classes), the output of the layer `logits`.

        `parts` is the module `stfnet.networks.parts`, given because settings load without Keras;
        the inputs, by the name of their stream, are normalised, floating (B, T, H, W, channels).
        """
        raise NotImplementedError

    @property
    def batch_statistics(self) -> bool:
        """Whether the network normalises with statistics over the clips of a batch."""
        return self.map_norm or bool(self.linear_parts) or self.lstm_statistics == "batch"

    @property
    def input_channels(self) -> dict[str, int]:
        """Channels of each input of the network, by its name, in their order."""
        channels = {"rgb": 3, "flow": 2 * self.clip.flow_length}
        return {name: n for name, n in channels.items() if self.streams in ("both", name)}

    @property
    def map_channels(self) -> int:
        """Channels of a stream's map."""
        return sum(BLOCK_CHANNELS[level - 1] for level in self.map_levels) // self.width_divisor


@dataclasses.dataclass(frozen=True, kw_only=True)
class FC6Config(NetworkConfig):
    """Settings of VGG-16's fully connected layers, or of those in their place."""

    fc6_units: int = setting(4096, "[1, 1000000]")
    """Units of fc6, and of fc7 where there is one."""
    fc6_dropout: float = setting(0.5, "[0, 1)")
    """Dropout rate after each."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MapsConfig(NetworkConfig):
    """Settings of the streams' maps, for little data."""

    map_levels: tuple[int, ...] = setting((5,), "[3, 5]")
    """VGG blocks of whose maps a stream's map is made: the last (the paper), or earlier ones too,
    averaged to its cells. Little data is often better served by what blocks 3 and 4 see.
    """
    map_norm: bool = False
    """Batch normalisation of each stream's map, so that channels and streams of different scale
    count alike; for frozen streams and little data.
    """
    map_dropout: float = setting(0.0, "[0, 1)")
    """Chance that a channel of the streams' maps is left out of a whole training clip."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.map_levels != tuple(sorted(set(self.map_levels))) or self.map_levels[-1:] != (5,):
            raise UserError(
                f"model.map_levels={self.map_levels} must rise and end with 5, such as (3, 4, 5)"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoStreamMapsConfig(MapsConfig):
    """Settings of a network that reads flow too."""

    flow_input: str = setting("centered", FLOW_INPUTS)
    """v - 128, or (v - 128) * flow_bound / 127.5."""
    stream_dropout: float = setting(0.0, "[0, 1)")
    """Chance that a training clip lacks one of its two streams, so that neither is all that is
    learned.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stream_dropout and self.streams != "both":
            raise UserError(
                f"model.stream_dropout={self.stream_dropout} needs both streams, and model.streams "
                f"is {self.streams}: set one of them"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnyStreamsConfig(TwoStreamMapsConfig):
    """Settings of a network that one stream alone can have."""

    streams: str = setting("both", STREAMS)
    """`both`, or one stream alone."""
