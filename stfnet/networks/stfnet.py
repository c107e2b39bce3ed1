"""The paper's network (Ou & Sun 2019, section 2): two VGG-16 streams, their fusion, three LSTMs."""

import dataclasses
from types import ModuleType

from preprocessing.settings import setting
from stfnet.config import FLOW_INPUTS, NORMALIZE, STATISTICS
from stfnet.networks.settings import STREAMS, FC6Config, Policy, Tensor, Tensors

FUSIONS = ("conv3d", "conv2d", "sum", "concat")
MERGES = {"concat": "Concatenate", "sum": "Add", "product": "Multiply"}  # layers of Keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(FC6Config):
    """The network of Ou & Sun 2019, with a switch for every point the paper leaves open.

    Example:
        >>> config = stfnet.ModelConfig(num_classes=11, fusion="sum", lstm_units=64)
        >>> config.clip.num_frames, config.input_channels
        (17, {'rgb': 3, 'flow': 8})
    """

    fusion_filters = 512  # before they are divided by the width
    network: str = dataclasses.field(init=False, default="stfnet")
    streams: str = setting("both", STREAMS)
    """`both`, or one stream alone for the ablation: the missing stream's features are left out and
    the fusion convolution reads the other's alone.
    """
    flow_input: str = setting("centered", FLOW_INPUTS)
    """v - 128, or (v - 128) * flow_bound / 127.5."""
    fusion: str = setting("conv3d", FUSIONS)
    """How the streams meet: the paper's 3-D convolution, one over space alone, or without weights
    their sum or their interleaved channels.
    """
    fusion_init: str = setting("glorot_uniform", ("glorot_uniform", "identity_sum"))
    """`identity_sum`: the fusion starts as the sum of both streams."""
    fusion_relu: bool = True
    """Whether a ReLU follows the fusion convolution."""
    branches: str = setting("both", ("both", "conv", "fc"))
    """What the LSTMs read: the fused map X_conv, its fully connected layer X_fc, or both (the
    paper).
    """
    merge: str = setting("concat", tuple(MERGES))
    """How the two sequence LSTMs meet."""
    lstm_units: int = setting(101, "[1, 100000]")
    """Hidden units of each of the three LSTMs."""
    lstm_dropout: float = setting(0.25, "[0, 1)")
    """Dropout rate of the LSTMs."""
    normalize: str = setting("gates", NORMALIZE)
    """LSTM normalisation of the three sigmoid gates, of none, or also of the candidate and the cell
    state.
    """
    lstm_statistics: str = setting("layer", STATISTICS)
    """Mean and variance over the units of an example, or over the batch."""

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        """Logits (B, classes) from what the streams read (Eqs. 1-12)."""
        fused = self.fused(parts, parts.stream_maps(self, inputs, dtype), dtype)
        return parts.class_scores(self, self.recur(parts, fused, dtype), parts.LOGITS, dtype)

    def fused(self, parts: ModuleType, maps: Tensors, dtype: Policy) -> Tensor:
        """X_conv (B, T, H/16, W/16, 512): the streams' maps, interleaved and convolved."""
        layers = parts.keras.layers
        x, *others = maps.values()
        if others and self.fusion == "sum":
            x = layers.Add(dtype=dtype, name="sum")([x, *others])
        elif others:
            x = parts.InterleaveChannels(dtype=dtype, name="interleave")([x, *others])
        x = parts.map_dropout(self, x, dtype)
        if self.fusion in ("sum", "concat"):
            return layers.Activation("linear", dtype=dtype, name=parts.FUSION)(x)
        initializer = (
            parts.IdentitySum() if self.fusion_init == "identity_sum" else self.fusion_init
        )
        return layers.Conv3D(
            self.fusion_filters // self.width_divisor,
            3 if self.fusion == "conv3d" else (1, 3, 3),
            padding="same",
            data_format="channels_last",
            activation="relu" if self.fusion_relu else None,
            kernel_initializer=initializer,
            dtype=dtype,
            name=parts.FUSION,
        )(x)

    def x_conv(self, parts: ModuleType, fused: Tensor) -> Tensor:
        """What the LSTM of X_conv reads: (B, T, h, w, D) to (B, T, h w D)."""
        return fused

    def recur(self, parts: ModuleType, fused: Tensor, dtype: Policy) -> Tensor:
        """The last hidden state of the last LSTM (B, units), from X_conv (Eqs. 7-11)."""

        def lstm(x: Tensor, name: str, return_sequences: bool) -> Tensor:
            settings = {"normalize": self.normalize, "statistics": self.lstm_statistics}
            return parts.lstm(self, x, self.lstm_units, name, dtype, return_sequences, **settings)

        layers, sequences = parts.keras.layers, {}
        if self.branches != "fc":
            flatten = layers.Reshape((self.clip.num_frames, -1), dtype=dtype, name="flatten_conv")
            sequences["conv"] = flatten(self.x_conv(parts, fused))
        if self.branches != "conv":
            sequences["fc"] = parts.fc(self, parts.flattened(parts.pool5(fused)), parts.FC6, dtype)
        branches = [lstm(x, name, return_sequences=True) for name, x in sequences.items()]
        merged = branches[0]
        if len(branches) == 2:
            merge = getattr(layers, MERGES[self.merge])
            merged = merge(dtype=dtype, name="merge")(branches)
        return lstm(merged, "merged", return_sequences=False)
