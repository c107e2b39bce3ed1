"""Arithmetic operations of the network for one clip, counted from the configuration alone."""

from stfnet.config import WITHOUT_VGG, ModelConfig
from stfnet.layers.vgg_stream import VGG16_BLOCKS
from stfnet.rivals import RIVALS


def forward_multiply_adds(config: ModelConfig) -> int:
    """Multiply-adds of one clip's forward pass: convolutions, fc6, LSTMs and classifier.

    Pooling, normalisation and activations are left out, as is usual. A training step is counted
    as three forward passes (forward, gradients of inputs, gradients of weights).
    """
    return stream_multiply_adds(config) + head_multiply_adds(config)


def stream_multiply_adds(config: ModelConfig, first: int = 1) -> int:
    """As `forward_multiply_adds`, of the streams alone, from their block `first` (1 to 5) on."""
    if config.architecture in WITHOUT_VGG:
        return 0
    total = 0
    for channels in config.input_channels.values():
        side = config.clip.image_size
        for block, widths in enumerate(VGG16_BLOCKS, 1):
            for width in widths:
                width //= config.width_divisor
                if block >= first:
                    total += side * side * 9 * channels * width
                channels = width
            side //= 2
    return total * config.clip.num_frames


def head_multiply_adds(config: ModelConfig) -> int:
    """As `forward_multiply_adds`, of what follows the streams, from the fusion on."""
    if config.architecture in RIVALS:
        return RIVALS[config.architecture].multiply_adds(config)
    side = config.clip.image_size
    for _ in VGG16_BLOCKS[1:]:
        side //= 2
    width = config.fused_channels
    total = 0
    if config.fusion in ("conv3d", "conv2d"):
        window = 27 if config.fusion == "conv3d" else 9
        inputs = config.map_channels * len(config.input_channels)
        total += side * side * window * inputs * width
    pooled = -(-side // 2)
    units = config.lstm_units
    read = {"conv": width if config.conv_pool else side * side * width, "fc": config.fc6_units}
    if config.branches != "both":
        read = {config.branches: read[config.branches]}
    if "fc" in read:
        total += pooled * pooled * width * config.fc6_units
    merged = units * (len(read) if config.merge == "concat" else 1)
    for features in (*read.values(), merged):
        total += (features + units) * 4 * units
    linear = config.linear_parts * config.map_channels * len(config.input_channels)
    return total * config.clip.num_frames + (units + linear) * config.num_classes
