"""LRCN, long-term recurrent convolutional network (Donahue et al. 2015), of one or two streams.

fc6 of every frame goes to an LSTM of 256 units, which classifies at every frame; the scores are
averaged over the clip, and over the streams where there are two (each with an LSTM of its own),
both alike; its authors also give frames 1/3 and flow 2/3.
Every frame's score is learned from. The paper's network over frames is a CaffeNet, and here VGG-16;
the paper's LSTM over flow has 1024 units in its later version, here both have as many.
Its text gives no figure of parameters, so the count is arithmetic from it.

Reference:
    Donahue et al., "Long-term recurrent convolutional networks for visual recognition and
    description", CVPR 2015.
"""

import dataclasses
from types import ModuleType

from preprocessing.settings import setting
from stfnet.networks.settings import AnyStreamsConfig, FC6Config, Policy, Tensor, Tensors


@dataclasses.dataclass(frozen=True, kw_only=True)
class LRCNConfig(AnyStreamsConfig, FC6Config):
    """LRCN (Donahue et al. 2015): fc6 of every frame to an LSTM."""

    network: str = dataclasses.field(init=False, default="lrcn")
    lstm_units: int = setting(256, "[1, 100000]")
    """Hidden units of each stream's LSTM."""
    lstm_dropout: float = setting(0.25, "[0, 1)")
    """Dropout rate of its output."""

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        maps = parts.gathered(self, inputs, dtype)
        scores = []
        for stream, x in maps.items():
            x = parts.flattened(parts.pool5(x))
            x = parts.fully_connected(self, x, stream, dtype, layers=1)
            x = parts.lstm(self, x, self.lstm_units, stream, dtype)
            scores.append(parts.class_scores(self, x, f"{stream}_scores", dtype))
        return parts.averaged(scores, [1] * len(maps) * self.clip.num_frames, dtype)
