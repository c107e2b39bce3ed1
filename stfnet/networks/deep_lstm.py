"""The deep LSTM of "Beyond short snippets" (Ng et al. 2015), over both streams.

VGG-16's fc7 of every frame goes through five LSTMs of 512 units, one upon the other, and a softmax
at every frame. Frame t of T (from 1) counts with the weight t / T, in the loss as in the answer:
the paper's gain, which rises linearly so that the later, better informed answers count more. Each
stream has its own LSTMs; their scores are averaged. The paper's networks over frames are AlexNet
and GoogLeNet. It gives no figure of parameters, so the count is arithmetic from its text.

Reference:
    Ng et al., "Beyond short snippets: deep networks for video classification", CVPR 2015.
"""

import dataclasses
from types import ModuleType

from preprocessing.settings import setting
from stfnet.networks.settings import AnyStreamsConfig, FC6Config, Policy, Tensor, Tensors


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeepLSTMConfig(AnyStreamsConfig, FC6Config):
    """The deep LSTM of "Beyond short snippets" (Ng et al. 2015)."""

    network: str = dataclasses.field(init=False, default="deep_lstm")
    lstm_layers: int = setting(5, "[1, 100]")
    """LSTMs, one upon the other, over each stream."""
    lstm_units: int = setting(512, "[1, 100000]")
    """Hidden units of each."""
    lstm_dropout: float = setting(0.25, "[0, 1)")
    """Dropout rate of the output of each."""

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        maps = parts.gathered(self, inputs, dtype)
        scores = []
        for stream, x in maps.items():
            x = parts.flattened(parts.pool5(x))
            x = parts.fully_connected(self, x, stream, dtype)
            for number in range(1, self.lstm_layers + 1):
                x = parts.lstm(self, x, self.lstm_units, f"{stream}_{number}", dtype)
            scores.append(parts.class_scores(self, x, f"{stream}_scores", dtype))
        rising = range(1, self.clip.num_frames + 1)
        return parts.averaged(scores, [*rising] * len(maps), dtype)
