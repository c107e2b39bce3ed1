"""Two-stream LSTM (Gammulle et al. 2017), from which STFNet departs.

VGG-16 reads frames alone. The sequence of its last maps, flattened, and the sequence of fc6 each go
to an LSTM; their states are concatenated at every frame and go to a third LSTM, whose last state is
classified (the paper's fu-2). STFNet replaces the frames' maps by those of fused streams and
normalises the LSTMs; the rest is the same. The LSTMs have `model.lstm_units`, as STFNet's, so that
the two differ in nothing else; the parameters are counted from this text.

Reference:
    Gammulle, Denman, Sridharan & Fookes, "Two stream LSTM: a deep fusion framework for human action
    recognition", WACV 2017.
"""

import dataclasses
from types import ModuleType

from preprocessing.settings import setting
from stfnet.networks.settings import FC6Config, MapsConfig, Policy, Tensor, Tensors


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoStreamLSTMConfig(MapsConfig, FC6Config):
    """The two-stream LSTM (Gammulle et al. 2017), of frames alone."""

    network: str = dataclasses.field(init=False, default="two_stream_lstm")
    lstm_units: int = setting(101, "[1, 100000]")
    """Hidden units of each of the three LSTMs."""
    lstm_dropout: float = setting(0.25, "[0, 1)")
    """Dropout rate of their outputs."""

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        maps = parts.gathered(self, inputs, dtype)
        # Layers have the names of STFNet's, by which weights are taken over and frames explained.
        x_fc = parts.fc(self, parts.flattened(parts.pool5(maps["rgb"])), parts.FC6, dtype)
        units = self.lstm_units
        h_conv = parts.lstm(self, parts.flattened(maps["rgb"]), units, "conv", dtype)
        h_fc = parts.lstm(self, x_fc, units, "fc", dtype)
        merged = parts.ops.concatenate([h_conv, h_fc], axis=-1)
        h = parts.lstm(self, merged, units, "merged", dtype, return_sequences=False)
        return parts.class_scores(self, h, "logits", dtype)
