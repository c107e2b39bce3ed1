"""Two-stream ConvNet (Simonyan & Zisserman 2014), with VGG-16 in both streams.

Each stream classifies every frame of the clip by itself, the flow stream from the 2L channels of
its stack. The class scores, after their softmax, are averaged over frames and over streams: the
paper's fusion by averaging. The paper's streams are CNN-M-2048 and are trained one after the other;
here both are VGG-16 (configuration D), as in the works that followed it, and are trained in one
run, each frame of each stream with its own cross entropy.

Reference:
    Simonyan & Zisserman, "Two-stream convolutional networks for action recognition in videos",
    NIPS 2014.
"""

import dataclasses
from types import ModuleType

from stfnet.networks.settings import AnyStreamsConfig, FC6Config, Policy, Tensor, Tensors


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoStreamConfig(AnyStreamsConfig, FC6Config):
    """The two-stream ConvNet (Simonyan & Zisserman 2014).

    A stream with 1000 classes is VGG-16 and has its 138,357,544 parameters.
    """

    network: str = dataclasses.field(init=False, default="two_stream")

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        maps = parts.gathered(self, inputs, dtype)
        scores = []
        for stream, x in maps.items():
            x = parts.flattened(parts.pool5(x))
            x = parts.fully_connected(self, x, stream, dtype)
            scores.append(parts.class_scores(self, x, f"{stream}_scores", dtype))
        return parts.averaged(scores, [1] * len(maps) * self.clip.num_frames, dtype)
