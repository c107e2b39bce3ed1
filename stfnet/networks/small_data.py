"""The paper's network with what helps a few hundred videos (docs/results.md).

Its streams' maps can have earlier blocks' channels too, be normalised and partly left out in
training; the fusion has fewer filters; X_conv is averaged over its cells; and a linear path to the
logits stands beside the LSTMs, which learn what it lacks.
"""

import dataclasses
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from preprocessing.errors import UserError
from preprocessing.settings import setting
from stfnet.networks.settings import TwoStreamMapsConfig
from stfnet.networks.stfnet import ModelConfig

if TYPE_CHECKING:
    from keras import DTypePolicy, KerasTensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmallDataConfig(ModelConfig, TwoStreamMapsConfig):
    """The paper's network with what helps a few hundred videos."""

    network: str = dataclasses.field(init=False, default="small_data")
    fusion_filters: int = setting(512, "[1, 8192]")
    """Filters of the fusion convolution, divided by width_divisor."""
    conv_pool: bool = False
    """Mean of X_conv over its cells before its LSTM, which then has 512 inputs a frame in place of
    100,352.
    """
    linear_parts: int = setting(0, "[0, 1000]")
    """Parts of the clip, one after the other, over which the streams' maps are averaged for a
    linear path to the logits, beside the LSTMs; 0 for none. With some hundreds of videos a linear
    model is hard to beat, and the LSTMs then learn what it lacks.
    """
    linear_root: bool = False
    """Square root of VGG-16's maps, averaged over the cells of a frame, in place of the normalised
    maps for the linear path: a channel that answers strongly in few videos counts for less
    (Perronnin et al. 2010).
    """
    linear_quarters: bool = False
    """The linear path reads the roots of the maps' means over each quarter of a frame too, and so
    where something is.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.linear_parts > self.clip.num_frames:
            raise UserError(
                f"model.linear_parts={self.linear_parts} divides a clip of model.clip.num_frames="
                f"{self.clip.num_frames} frames: set at most as many"
            )
        if self.linear_root and self.stream_dropout:
            raise UserError(
                f"model.linear_root=True reads maps that model.stream_dropout={self.stream_dropout}"
                " has not left out: set one of the two"
            )
        if self.fusion_filters % self.width_divisor:
            raise UserError(
                f"model.width_divisor={self.width_divisor} does not divide "
                f"model.fusion_filters={self.fusion_filters}"
            )
        channels = self.map_channels * self.width_divisor
        convolved = self.fusion in ("conv3d", "conv2d")
        if convolved and self.fusion_init == "identity_sum" and self.fusion_filters != channels:
            raise UserError(
                f"model.fusion_init=identity_sum needs as many model.fusion_filters as a stream's "
                f"map has channels, {channels}, not {self.fusion_filters}"
            )

    def logits(
        self, parts: ModuleType, inputs: "Mapping[str, KerasTensor]", dtype: "DTypePolicy"
    ) -> "KerasTensor":
        """Logits (B, classes) from what the streams read: those of the LSTMs and of the path."""
        if not self.linear_parts:
            return super().logits(parts, inputs, dtype)
        unchanged = parts.vgg_maps(self, inputs, dtype)
        maps = parts.normalized_maps(self, unchanged, dtype)
        h = self.recur(parts, self.fused(parts, maps, dtype), dtype)
        recurrent = parts.class_scores(self, h, parts.LSTM_LOGITS, dtype)
        read = unchanged if self.linear_root else maps
        linear = self.linear_path(parts, read, parts.score_dtype(dtype))
        add = parts.keras.layers.Add(dtype=parts.score_dtype(dtype), name=parts.LOGITS)
        return add([recurrent, linear])

    def x_conv(self, parts: ModuleType, fused: "KerasTensor") -> "KerasTensor":
        return parts.ops.mean(fused, axis=(2, 3)) if self.conv_pool else fused  # b t h w c -> b t c

    def linear_path(
        self, parts: ModuleType, maps: "Mapping[str, KerasTensor]", dtype: str
    ) -> "KerasTensor":
        """Logits (B, classes), linear in the means of the streams' maps over parts of the clip."""
        cells = [parts.ops.cast(x, dtype) for x in maps.values()]
        means = [parts.ops.mean(x, axis=(2, 3)) for x in cells]
        if self.linear_root:
            if self.linear_quarters:
                means += [parts.means_of_quarters(x) for x in cells]
            means = [root_of_means(parts.ops, mean) for mean in means]
        norm = parts.keras.layers.BatchNormalization(
            momentum=0.9, scale=False, center=False, dtype=dtype, name=parts.LINEAR_NORM
        )
        x = parts.means_of_parts(norm(parts.ops.concatenate(means, axis=-1)), self.linear_parts)
        # From zero: the network starts as if the path were not there.
        dense = parts.keras.layers.Dense(
            self.num_classes,
            use_bias=False,
            kernel_initializer="zeros",
            dtype=dtype,
            name=parts.LINEAR_LOGITS,
        )
        drop = parts.keras.layers.Dropout(self.fc6_dropout, dtype=dtype, name="dropout_linear")
        return dense(drop(x))


def root_of_means(operations: ModuleType, means: Any) -> Any:
    """Square root of means that are not negative, with a gradient at zero.

    Args:
        operations: module with `sqrt`: `keras.ops` or NumPy.
        means: of maps over their cells.
    """
    return operations.sqrt(means + 1e-3)
