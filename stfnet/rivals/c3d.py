"""C3D (Tran et al. 2015): 3-D convolutions over the frames alone, without VGG-16.

Eight convolutions of 3 x 3 x 3 and ReLU, of 64, 128, 256, 256, 512, 512, 512 and 512 channels, and
five max poolings of 2 x 2 x 2, the first of 1 x 2 x 2; then fc6, fc7 and the classes. A side that
two does not divide is rounded up, as in the paper's own network, whose 16 frames of 112 x 112 leave
1 x 4 x 4 cells. It starts from random weights: VGG-16's do not fit.

Reference:
    Tran et al., "Learning spatiotemporal features with 3D convolutional networks", ICCV 2015.
"""

import math

import keras
from keras import ops

from stfnet.rivals import parts

# Convolutions of each of the five blocks, by their names in the paper, and their filters.
BLOCKS = (
    {"conv1a": 64},
    {"conv2a": 128},
    {"conv3a": 256, "conv3b": 256},
    {"conv4a": 512, "conv4b": 512},
    {"conv5a": 512, "conv5b": 512},
)


def logits(config, maps, dtype):
    """Logits (B, classes), the layer `logits`, from the frames.

    With 16 frames of 112 x 112 it has 78,409,573 parameters for the 101 classes of UCF101.

    Args:
        config: ModelConfig.
        maps: `rgb` -> normalised frames, (B, T, H, W, 3).
        dtype: dtype policy.
    """
    x = maps["rgb"]
    for block in BLOCKS:
        for name, filters in block.items():
            x = keras.layers.Conv3D(
                filters // config.width_divisor,
                3,
                padding="same",
                data_format="channels_last",
                activation="relu",
                kernel_initializer="he_normal",
                dtype=dtype,
                name=name,
            )(x)
        x = pool3d(x, time=2 if block is not BLOCKS[0] else 1)
    x = ops.reshape(x, (-1, math.prod(x.shape[1:])))
    x = parts.fully_connected(config, x, "c3d", dtype)
    return parts.class_scores(config, x, "logits", dtype)


def pool3d(x, time):
    """Maximum over 2 x 2 pixels and `time` frames, both rounded up at the end.

    Args:
        x: floating (B, T, H, W, D).
        time: 1 or 2.

    Returns:
        (B, ceil(T / time), ceil(H / 2), ceil(W / 2), D).
    """
    x = parts.pool5(x)  # in two steps: TensorFlow has no 3-D pooling in float16 on CPUs
    if time == 1:
        return x
    _, frames, height, width, channels = x.shape
    x = ops.reshape(x, (-1, frames, height * width, channels))  # b t (h w) c
    window = (time, 1)
    x = ops.max_pool(x, window, strides=window, padding="same", data_format="channels_last")
    return ops.reshape(x, (-1, x.shape[1], height, width, channels))


def multiply_adds(config):
    """Of one clip, all of the network."""
    total, channels = 0, 3
    frames, side = config.clip.num_frames, config.clip.image_size
    for block in BLOCKS:
        for filters in block.values():
            filters //= config.width_divisor
            total += frames * side * side * 27 * channels * filters
            channels = filters
        side = -(-side // 2)
        frames = frames if block is BLOCKS[0] else -(-frames // 2)
    units = config.fc6_units
    features = frames * side * side * channels
    return total + features * units + units * units + units * config.num_classes
