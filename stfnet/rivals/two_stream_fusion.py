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

import math

import keras
from keras import ops

from stfnet.layers.fusion import IdentitySum, interleave_channels
from stfnet.rivals import parts


def logits(config, maps, dtype):
    """Logits (B, classes), the layer `logits`, from the maps of both streams.

    Args:
        config: ModelConfig.
        maps: `rgb` and `flow` -> maps, (B, T, h, w, D).
        dtype: dtype policy.
    """
    # Interleaved, not one after the other: the same convolution but for the order of its inputs,
    # and the order that IdentitySum stacks.
    fused = keras.layers.Conv3D(
        config.map_channels,
        3,
        padding="same",
        data_format="channels_last",
        activation="relu",
        kernel_initializer=IdentitySum(),
        dtype=dtype,
        name="fusion_conv",
    )(interleave_channels(maps["rgb"], maps["flow"]))
    scores = []
    for name, x in {"fused": fused, "flow": maps["flow"]}.items():
        x = parts.fully_connected(config, pool3d(x), name, dtype)
        scores.append(parts.class_scores(config, x, f"{name}_scores", dtype))
    return parts.averaged(scores, (1, 1), dtype)


def pool3d(maps):
    """Maximum over 2 x 2 cells and all frames: (B, T, h, w, D) to (B, ceil(h/2) ceil(w/2) D)."""
    x = ops.max(parts.pool5(maps), axis=1)
    return ops.reshape(x, (-1, math.prod(x.shape[1:])))


def multiply_adds(config):
    """Of one clip, from the maps to the logits."""
    cells = parts.map_features(config) // config.map_channels
    convolution = config.clip.num_frames * cells * 27 * 2 * config.map_channels**2
    one = parts.fully_connected_multiply_adds(config) + config.fc6_units * config.num_classes
    return convolution + 2 * one
