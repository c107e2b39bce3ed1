"""Arithmetic operations of a network for one clip, counted from the shapes of its layers."""

import math

import keras

from stfnet.layers.attention_lstm import AttentionLSTM
from stfnet.layers.layer_norm_lstm import LayerNormLSTM
from stfnet.layers.vgg_stream import BLOCKS, VGGStream
from stfnet.networks import NetworkConfig, parts
from stfnet.networks.model import build_stfnet, without_weights


def forward_multiply_adds(config: NetworkConfig) -> int:
    """Multiply-adds of one clip's forward pass: convolutions, dense layers, LSTMs.

    Pooling, normalisation and activations are left out, as is usual. A training step is counted
    as three forward passes (forward, gradients of inputs, gradients of weights).
    """
    return stream_multiply_adds(config) + head_multiply_adds(config)


def stream_multiply_adds(config: NetworkConfig, first: int = 1) -> int:
    """As `forward_multiply_adds`, of VGG-16's streams alone, from their block `first` on."""
    streams = parts.streams_of(_shapes(config)).values()
    return sum(_of_stream(stream, first) for stream in streams)


def head_multiply_adds(config: NetworkConfig) -> int:
    """As `forward_multiply_adds`, of what follows the streams, from the fusion on."""
    return sum(map(_of_layer, _shapes(config).layers))


def _shapes(config: NetworkConfig) -> keras.Model:
    """The network, without memory for its weights."""
    with without_weights():
        return build_stfnet(config)


def _of_stream(stream: VGGStream, first: int) -> int:
    _, frames, *size, _ = stream.input.shape
    total, cells = 0, frames * math.prod(size)
    for block in range(1, BLOCKS + 1):
        if block >= first:
            kernels = [layer.kernel.shape for layer in stream.convolutions_of(block)]
            total += cells * sum(map(math.prod, kernels))
        size = [side // 2 for side in size]
        cells = frames * math.prod(size)
    return total


def _of_layer(layer: keras.Layer) -> int:
    if isinstance(layer, keras.layers.Dense | keras.layers.Conv3D):
        return math.prod(layer.output.shape[1:]) * math.prod(layer.kernel.shape[:-1])
    if isinstance(layer, LayerNormLSTM):
        return layer.input.shape[1] * _of_step(layer.cell)
    if isinstance(layer, AttentionLSTM):
        _, frames, cells, channels = layer.input.shape
        # The cells' weights from the last state, and their mean.
        step = math.prod(layer.attention.shape) + cells * channels
        first = sum(math.prod(dense.kernel.shape) for dense in layer.first.values())
        return frames * (step + sum(map(_of_step, layer.cells))) + first
    return 0


def _of_step(cell: keras.Layer) -> int:
    return math.prod(cell.kernel.shape) + math.prod(cell.recurrent_kernel.shape)
