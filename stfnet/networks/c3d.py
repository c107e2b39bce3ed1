"""C3D (Tran et al. 2015): 3-D convolutions over the frames alone, without VGG-16.

Eight convolutions of 3 x 3 x 3 and ReLU, of 64, 128, 256, 256, 512, 512, 512 and 512 channels, and
five max poolings of 2 x 2 x 2, the first of 1 x 2 x 2; then fc6, fc7 and the classes. A side that
two does not divide is rounded up, as in the paper's own network, whose 16 frames of 112 x 112 leave
1 x 4 x 4 cells. It starts from random weights: VGG-16's do not fit.

Reference:
    Tran et al., "Learning spatiotemporal features with 3D convolutional networks", ICCV 2015.
"""

import dataclasses
import math
from types import ModuleType

from stfnet.networks.settings import FC6Config, Policy, Tensor, Tensors

# Convolutions of each of the five blocks, by their names in the paper, and their filters.
BLOCKS = (
    {"conv1a": 64},
    {"conv2a": 128},
    {"conv3a": 256, "conv3b": 256},
    {"conv4a": 512, "conv4b": 512},
    {"conv5a": 512, "conv5b": 512},
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class C3DConfig(FC6Config):
    """C3D (Tran et al. 2015), of frames alone.

    With 16 frames of 112 x 112 it has 78,409,573 parameters for the 101 classes of UCF101.
    """

    vgg16 = False
    network: str = dataclasses.field(init=False, default="c3d")

    def logits(self, parts: ModuleType, inputs: Tensors, dtype: Policy) -> Tensor:
        x = inputs["rgb"]
        for block in BLOCKS:
            for name, filters in block.items():
                x = parts.keras.layers.Conv3D(
                    filters // self.width_divisor,
                    3,
                    padding="same",
                    data_format="channels_last",
                    activation="relu",
                    kernel_initializer="he_normal",
                    dtype=dtype,
                    name=name,
                )(x)
            x = parts.pool3d(x, time=2 if block is not BLOCKS[0] else 1)
        x = parts.ops.reshape(x, (-1, math.prod(x.shape[1:])))
        x = parts.fully_connected(self, x, "c3d", dtype)
        return parts.class_scores(self, x, "logits", dtype)
