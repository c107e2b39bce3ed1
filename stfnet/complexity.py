"""Arithmetic operations of the network for one clip, counted from the configuration alone."""

from stfnet.config import ModelConfig
from stfnet.layers.vgg_stream import VGG16_BLOCKS


def forward_multiply_adds(config: ModelConfig) -> int:
    """Multiply-adds of one clip's forward pass: convolutions, fc6, LSTMs and classifier.

    Pooling, normalisation and activations are left out, as is usual. A training step is counted
    as three forward passes (forward, gradients of inputs, gradients of weights).
    """
    clip, divisor = config.clip, config.width_divisor
    total = 0
    for channels in config.input_channels.values():
        side = clip.image_size
        for block, widths in enumerate(VGG16_BLOCKS):
            side = side // 2 if block else side
            for width in widths:
                total += side * side * 9 * channels * (width // divisor)
                channels = width // divisor
    width = VGG16_BLOCKS[-1][-1] // divisor
    total += side * side * 27 * width * len(config.input_channels) * width  # fusion
    pooled = -(-side // 2)
    total += pooled * pooled * width * config.fc6_units
    units = config.lstm_units
    merged = 2 * units if config.merge == "concat" else units
    for features in (side * side * width, config.fc6_units, merged):
        total += (features + units) * 4 * units
    return total * clip.num_frames + units * config.num_classes
