"""Conv pooling of "Beyond short snippets" (Ng et al. 2015).

The last maps of all frames of a clip (after pool5) are reduced to their maximum over time, which
keeps where in the frame something was seen; fc6, fc7 and the classes follow. Each stream does so
by itself, and the scores are averaged. The paper found this the best of its poolings. It gives no
figure of parameters: with VGG-16 a stream has exactly VGG-16's.

Reference:
    Ng et al., "Beyond short snippets: deep networks for video classification", CVPR 2015.
"""

import dataclasses
from types import ModuleType

from stfnet.networks.settings import AnyStreamsConfig, FC6Config, Policy, Tensor, Tensors


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvPoolingConfig(AnyStreamsConfig, FC6Config):
    """Conv pooling of "Beyond short snippets" (Ng et al. 2015)."""

    network: str = dataclasses.field(init=False, default="conv_pooling")

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        maps = parts.gathered(self, inputs, dtype)
        scores = []
        for stream, x in maps.items():
            x = parts.ops.max(parts.flattened(parts.pool5(x)), axis=1)  # b t f -> b f
            x = parts.fully_connected(self, x, stream, dtype)
            scores.append(parts.class_scores(self, x, f"{stream}_scores", dtype))
        return parts.averaged(scores, [1] * len(maps), dtype)
