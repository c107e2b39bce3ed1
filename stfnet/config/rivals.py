"""The architectures that a run can have, and the settings of each that STFNet lacks."""

import dataclasses

from preprocessing.settings import check, setting

# STFNet first; each other one is a module of stfnet/rivals/.
ARCHITECTURES = (
    "stfnet",
    "two_stream",
    "two_stream_fusion",
    "lrcn",
    "deep_lstm",
    "conv_pooling",
    "two_stream_lstm",
    "soft_attention",
    "tsn",
    "c3d",
)
FRAMES_ALONE = ("two_stream_lstm", "soft_attention", "c3d")  # architectures without flow
BOTH_STREAMS = ("two_stream_fusion",)  # architectures that one stream alone cannot have
WITHOUT_VGG = ("c3d",)  # architectures whose network is no VGG-16 over frames


@dataclasses.dataclass(frozen=True)
class LRCNConfig:
    """LRCN (Donahue et al. 2015): fc6 of every frame to an LSTM."""

    # Hidden units of each stream's LSTM.
    lstm_units: int = setting(256, "[1, 100000]")

    def __post_init__(self):
        check(self, "model.lrcn.")


@dataclasses.dataclass(frozen=True)
class DeepLSTMConfig:
    """The deep LSTM of "Beyond short snippets" (Ng et al. 2015)."""

    # LSTMs, one upon the other, over each stream.
    lstm_layers: int = setting(5, "[1, 100]")
    # Hidden units of each.
    lstm_units: int = setting(512, "[1, 100000]")

    def __post_init__(self):
        check(self, "model.deep_lstm.")


@dataclasses.dataclass(frozen=True)
class SoftAttentionConfig:
    """Soft attention over the cells of each frame (Sharma et al. 2015)."""

    # LSTMs, one upon the other.
    lstm_layers: int = setting(3, "[1, 100]")
    # Hidden units of each, and of the hidden layer before the classes.
    lstm_units: int = setting(512, "[1, 100000]")
    # Dropout rate of every connection that is not recurrent.
    dropout: float = setting(0.5, "[0, 1)")

    def __post_init__(self):
        check(self, "model.soft_attention.")


@dataclasses.dataclass(frozen=True)
class TSNConfig:
    """Temporal segment network with the average as consensus (Wang et al. 2016)."""

    # Weight of the flow stream's scores beside those of the frames, which have 1.
    flow_weight: float = setting(1.5, "(0, 1000]")
    # Dropout rate before the classes; the paper's of the frames, 0.7 for flow.
    dropout: float = setting(0.8, "[0, 1)")

    def __post_init__(self):
        check(self, "model.tsn.")
