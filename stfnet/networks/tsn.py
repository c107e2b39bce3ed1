"""Temporal segment network with the average as consensus (Wang et al. 2016).

The frames of a clip, spread over the video, are its segments. In each stream the map of each is
averaged over its cells and classified by one linear layer; the segments' logits are averaged before
the softmax (the consensus), and the streams' scores after it, flow with 1.5 times the weight; its
authors add these before the softmax too. Each stream learns from its own consensus. The end of the
streams is that of the paper's BN-Inception, global pooling, dropout and one layer, which is what is
mostly built today, and not VGG-16's fc6 and fc7; the paper gives no figure of parameters, so the
count is arithmetic.

Reference:
    Wang et al., "Temporal segment networks: towards good practices for deep action recognition",
    ECCV 2016.
"""

import dataclasses
from types import ModuleType

from preprocessing.settings import setting
from stfnet.networks.settings import AnyStreamsConfig, Policy, Tensor, Tensors


@dataclasses.dataclass(frozen=True, kw_only=True)
class TSNConfig(AnyStreamsConfig):
    """Temporal segment network with the average as consensus (Wang et al. 2016)."""

    network: str = dataclasses.field(init=False, default="tsn")
    flow_weight: float = setting(1.5, "(0, 1000]")
    """Weight of the flow stream's scores beside those of the frames, which have 1."""
    dropout: float = setting(0.8, "[0, 1)")
    """Dropout rate before the classes; the paper's of the frames, 0.7 for flow."""

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        maps = parts.gathered(self, inputs, dtype)
        weights = {"rgb": 1.0, "flow": self.flow_weight}
        consensus = []
        for stream, x in maps.items():
            x = parts.ops.mean(x, axis=(2, 3))  # b t h w c -> b t c
            x = parts.keras.layers.Dropout(self.dropout, dtype=dtype, name=f"{stream}_dropout")(x)
            segments = parts.class_scores(self, x, f"{stream}_scores", dtype)  # b t classes
            consensus.append(parts.ops.mean(segments, axis=1))
        return parts.averaged(consensus, [weights[stream] for stream in maps], dtype)
