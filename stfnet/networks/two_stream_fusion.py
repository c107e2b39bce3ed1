"""Two-stream fusion (Feichtenhofer et al. 2016): conv5 fused by convolution, and 3-D pooling.

The maps of both streams after conv5_3's ReLU are concatenated and convolved in 3-D, 3 x 3 x 3 from
1024 to 512 channels; a ReLU and a 3-D max pooling, 2 x 2 in space and over all frames, follow, then
fc6, fc7 and the classes. The temporal stream is kept beside it: the same pooling of its own maps
and its own fc6, fc7 and classes. Both class scores are averaged, and each is learned from by
itself. As in the paper the convolution starts from two stacked identities, the sum of the streams;
the paper's Gaussian over the window and its factor of 3 for the temporal one are left out, and so
is its training of the streams before their fusion. Its figures of parameters (97.6 M) are
of CNN-M-2048; those of VGG-16 are arithmetic from its text.

Reference:
    Feichtenhofer, Pinz & Zisserman, "Convolutional two-stream network fusion for video action
    recognition", CVPR 2016.
"""

import dataclasses
import math
from types import ModuleType

from stfnet.networks.settings import FC6Config, Policy, Tensor, Tensors, TwoStreamMapsConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoStreamFusionConfig(TwoStreamMapsConfig, FC6Config):
    """Two-stream fusion (Feichtenhofer et al. 2016), of both streams."""

    streams = "both"
    network: str = dataclasses.field(init=False, default="two_stream_fusion")

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        maps = parts.gathered(self, inputs, dtype)
        # Interleaved, not one after the other: the same convolution but for the order of its
        # inputs, and the order that IdentitySum stacks.
        fused = parts.keras.layers.Conv3D(
            self.map_channels,
            3,
            padding="same",
            data_format="channels_last",
            activation="relu",
            kernel_initializer=parts.IdentitySum(),
            dtype=dtype,
            name="fusion_conv",
        )(parts.interleave_channels(maps["rgb"], maps["flow"]))
        scores = []
        for name, x in {"fused": fused, "flow": maps["flow"]}.items():
            x = parts.ops.max(parts.pool5(x), axis=1)  # over 2 x 2 cells and all frames
            x = parts.ops.reshape(x, (-1, math.prod(x.shape[1:])))
            x = parts.fully_connected(self, x, name, dtype)
            scores.append(parts.class_scores(self, x, f"{name}_scores", dtype))
        return parts.averaged(scores, (1, 1), dtype)
