"""Soft attention over the cells of each frame (Sharma et al. 2015).

A stack of three LSTMs reads, at each frame, the mean of the map's K cells under weights that the
top LSTM's last state gives, and classifies at every frame by a hidden layer (tanh) and a softmax;
the scores are averaged over the clip, and every frame's is learned from. The paper's maps are
GoogLeNet's last, 7 x 7 x 1024; here VGG-16's after pool5, 7 x 7 x 512. Its attention penalty is 0
here, one of the three values that it tries. Left open by its text are the width of the hidden
layer (here as the LSTMs) and the networks that give the first states (here one layer with tanh for
each state); it gives no figure of parameters, so the count is arithmetic.

Reference:
    Sharma, Kiros & Salakhutdinov, "Action recognition using visual attention", 2015.
"""

import dataclasses
from types import ModuleType

from preprocessing.settings import setting
from stfnet.networks.settings import MapsConfig, Policy, Tensor, Tensors


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftAttentionConfig(MapsConfig):
    """Soft attention over the cells of each frame (Sharma et al. 2015), of frames alone."""

    network: str = dataclasses.field(init=False, default="soft_attention")
    lstm_layers: int = setting(3, "[1, 100]")
    """LSTMs, one upon the other."""
    lstm_units: int = setting(512, "[1, 100000]")
    """Hidden units of each, and of the hidden layer before the classes."""
    dropout: float = setting(0.5, "[0, 1)")
    """Dropout rate of every connection that is not recurrent."""

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        maps = parts.gathered(self, inputs, dtype)
        x = parts.pool5(maps["rgb"])
        _, frames, height, width, channels = x.shape
        x = parts.ops.reshape(x, (-1, frames, height * width, channels))  # b t (h w) c
        x = parts.AttentionLSTM(
            self.lstm_units, self.lstm_layers, self.dropout, dtype=dtype, name="attention_lstm"
        )(x)
        x = parts.keras.layers.Dropout(self.dropout, dtype=dtype, name="dropout_lstm")(x)
        x = parts.keras.layers.Dense(
            self.lstm_units, activation="tanh", dtype=dtype, name="hidden"
        )(x)
        x = parts.keras.layers.Dropout(self.dropout, dtype=dtype, name="dropout_hidden")(x)
        scores = parts.class_scores(self, x, "rgb_scores", dtype)
        return parts.averaged([scores], [1] * frames, dtype)
