"""What networks are made of, and the one walk through a network.

From the inputs to the answer a network has: what the streams read (`NAME_normalization`), the
streams' maps (`NAME_stream`, and after it their normalisation and dropout), the layer `fusion`
through which all maps pass, the layer `logits`, and the softmax. The first half of this module
builds them, the second finds them in a network that is built.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import KerasTensor, ops

from stfnet.layers.attention_lstm import AttentionLSTM
from stfnet.layers.fusion import (
    IdentitySum,
    InterleaveChannels,
    StreamDropout,
    interleave_channels,
)
from stfnet.layers.input_normalization import FlowNormalization, RGBNormalization
from stfnet.layers.layer_norm_lstm import LayerNormLSTM
from stfnet.layers.score_average import ScoreAverage, score_dtype
from stfnet.layers.vgg_stream import BLOCKS, VGGStream, map_shape
from stfnet.networks.settings import FC6Config, NetworkConfig

__all__ = ["AttentionLSTM", "IdentitySum", "InterleaveChannels", "interleave_channels"]  # given on
FUSION, FC6, LOGITS = "fusion", "fc6", "logits"  # names of layers
LSTM_LOGITS, LINEAR_NORM, LINEAR_LOGITS = "lstm_logits", "linear_norm", "linear_logits"


def make_inputs(config: NetworkConfig, frames: int | None = None) -> dict[str, KerasTensor]:
    """The inputs by their names, uint8 (B, T, H, W, channels); T is `frames` if given."""
    size = config.clip.image_size
    shape = (frames or config.clip.num_frames, size, size)
    return {
        stream: keras.Input((*shape, channels), dtype="uint8", name=stream)
        for stream, channels in config.input_channels.items()
    }


def normalized(
    config: NetworkConfig, inputs: Mapping[str, KerasTensor], dtype: keras.DTypePolicy
) -> dict[str, KerasTensor]:
    """What the streams read, by their names, floating (B, T, H, W, channels)."""
    normalizations: dict[str, keras.Layer] = {
        "rgb": RGBNormalization(config.rgb_input, dtype=dtype, name="rgb_normalization"),
        "flow": FlowNormalization(
            config.flow_input, config.clip.flow_bound, dtype=dtype, name="flow_normalization"
        ),
    }
    return {stream: normalizations[stream](x) for stream, x in inputs.items()}


def stream_maps(
    config: NetworkConfig, inputs: Mapping[str, KerasTensor], dtype: keras.DTypePolicy
) -> dict[str, KerasTensor]:
    """X_a and X_b by the streams' names, each (B, T, H/16, W/16, channels).

    They are VGG-16's maps, normalised and left out in training where the settings say so.
    """
    return normalized_maps(config, vgg_maps(config, inputs, dtype), dtype)


def vgg_maps(
    config: NetworkConfig, inputs: Mapping[str, KerasTensor], dtype: keras.DTypePolicy
) -> dict[str, KerasTensor]:
    """VGG-16's maps by the streams' names, each (B, T, H/16, W/16, channels), none below zero."""
    divisor, levels = config.width_divisor, config.map_levels
    return {
        stream: VGGStream(divisor, levels, dtype=dtype, name=f"{stream}_stream")(x)
        for stream, x in inputs.items()
    }


def normalized_maps(
    config: NetworkConfig, maps: Mapping[str, KerasTensor], dtype: keras.DTypePolicy
) -> dict[str, KerasTensor]:
    """What `stream_maps` makes of VGG-16's maps."""
    maps = dict(maps)
    if config.map_norm:
        maps = {
            stream: keras.layers.BatchNormalization(
                momentum=0.9, scale=False, center=False, dtype=dtype, name=f"{stream}_map_norm"
            )(x)
            for stream, x in maps.items()
        }
    if config.stream_dropout:
        drop = StreamDropout(config.stream_dropout, dtype=dtype, name="stream_dropout")
        maps = dict(zip(maps, drop(list(maps.values())), strict=True))
    return maps


def map_dropout(config: NetworkConfig, x: KerasTensor, dtype: keras.DTypePolicy) -> KerasTensor:
    """Leaves channels of maps (B, T, h, w, D) out of whole training clips, if set."""
    if not config.map_dropout:
        return x
    shape = (None, 1, 1, 1, x.shape[-1])
    return keras.layers.Dropout(config.map_dropout, shape, dtype=dtype, name="map_dropout")(x)


def gathered(
    config: NetworkConfig, inputs: Mapping[str, KerasTensor], dtype: keras.DTypePolicy
) -> dict[str, KerasTensor]:
    """As `stream_maps`, all of which pass through one layer.

    That layer, `fusion`, has the channels of all streams one after the other: Grad-CAM looks there.
    """
    maps = stream_maps(config, inputs, dtype)
    first, *others = maps.values()
    x = ops.concatenate([first, *others], axis=-1) if others else first
    x = map_dropout(config, x, dtype)
    # Keras saves no Identity that has a dtype policy.
    x = keras.layers.Activation("linear", dtype=dtype, name=FUSION)(x)
    return dict(zip(maps, ops.split(x, len(maps), axis=-1), strict=True))


def pool5(maps: KerasTensor) -> KerasTensor:
    """VGG-16's last pooling: (B, T, h, w, D) to (B, T, ceil(h / 2), ceil(w / 2), D)."""
    # Time folds into the batch because TensorFlow has no 3D pooling in float16 on CPUs. "same"
    # keeps the one cell of a 16-pixel clip; on the 14 x 14 of 224 pixels it does nothing.
    frames = maps.shape[1]
    x = ops.reshape(maps, (-1, *maps.shape[2:]))  # b t h w c -> (b t) h w c
    x = ops.max_pool(x, 2, strides=2, padding="same", data_format="channels_last")
    return ops.reshape(x, (-1, frames, *x.shape[1:]))  # (b t) h w c -> b t h w c


def pool3d(x: KerasTensor, time: int) -> KerasTensor:
    """Maximum over 2 x 2 pixels and `time` frames, both rounded up at the end.

    Args:
        x: floating (B, T, H, W, D).
        time: 1 or 2.

    Returns:
        (B, ceil(T / time), ceil(H / 2), ceil(W / 2), D).
    """
    x = pool5(x)  # in two steps: TensorFlow has no 3-D pooling in float16 on CPUs
    if time == 1:
        return x
    _, frames, height, width, channels = x.shape
    x = ops.reshape(x, (-1, frames, height * width, channels))  # b t (h w) c
    window = (time, 1)
    x = ops.max_pool(x, window, strides=window, padding="same", data_format="channels_last")
    return ops.reshape(x, (-1, x.shape[1], height, width, channels))


def flattened(maps: KerasTensor) -> KerasTensor:
    """(B, T, h, w, D) to (B, T, h w D)."""
    return ops.reshape(maps, (-1, maps.shape[1], math.prod(maps.shape[2:])))


def means_of_parts(x: KerasTensor, count: int) -> KerasTensor:
    """Means over `count` parts of a clip, one after the other: (B, T, C) to (B, count * C)."""
    edges = [round(k * x.shape[1] / count) for k in range(1, count)]
    split = ops.split(x, edges, axis=1) if edges else [x]  # TensorFlow splits by no edge
    return ops.concatenate([ops.mean(part, axis=1) for part in split], axis=-1)


def means_of_quarters(x: KerasTensor) -> KerasTensor:
    """Means of maps over their quarters, row by row: (B, T, h, w, C) to (B, T, 4 C).

    The middle of an odd number of rows or columns belongs to both halves.
    """
    rows, columns = (
        (slice(0, side - side // 2), slice(side // 2, side)) for side in (x.shape[2], x.shape[3])
    )
    quarters = [x[:, :, r, c] for r in rows for c in columns]
    return ops.concatenate([ops.mean(quarter, axis=(2, 3)) for quarter in quarters], axis=-1)


def fc(config: FC6Config, x: KerasTensor, name: str, dtype: keras.DTypePolicy) -> KerasTensor:
    """A fully connected layer of VGG-16 with ReLU and dropout: (..., F) to (..., fc6_units)."""
    x = keras.layers.Dense(config.fc6_units, activation="relu", dtype=dtype, name=name)(x)
    name = name.replace("fc", "dropout_fc")  # rgb_fc6 to rgb_dropout_fc6
    return keras.layers.Dropout(config.fc6_dropout, dtype=dtype, name=name)(x)


def fully_connected(
    config: FC6Config, x: KerasTensor, stream: str, dtype: keras.DTypePolicy, layers: int = 2
) -> KerasTensor:
    """fc6 and fc7 of VGG-16: (..., F) to (..., fc6_units).

    Args:
        config: of the network.
        x: floating (..., F).
        stream: begins the names of the layers, such as `rgb_fc6`.
        dtype: dtype policy.
        layers: how many, from fc6 on.
    """
    for number in range(6, 6 + layers):
        x = fc(config, x, f"{stream}_fc{number}", dtype)
    return x


def lstm(
    config: Any,
    x: KerasTensor,
    units: int,
    name: str,
    dtype: keras.DTypePolicy,
    return_sequences: bool = True,
    **settings: Any,
) -> KerasTensor:
    """An LSTM and the dropout of its output: (B, T, F) to (B, T, units).

    Args:
        config: NetworkConfig, with `lstm_dropout`.
        x: floating (B, T, F).
        units: of the LSTM.
        name: ends the names of the layers, such as `lstm_rgb`.
        dtype: dtype policy.
        return_sequences: False gives the last state alone, (B, units).
        settings: of `LayerNormLSTM`; no normalisation unless they say so.
    """
    settings = {"normalize": "none", **settings}
    x = LayerNormLSTM(
        units, return_sequences=return_sequences, dtype=dtype, name=f"lstm_{name}", **settings
    )(x)
    return keras.layers.Dropout(config.lstm_dropout, dtype=dtype, name=f"dropout_{name}")(x)


def class_scores(
    config: NetworkConfig, x: KerasTensor, name: str, dtype: keras.DTypePolicy
) -> KerasTensor:
    """Logits (..., C) of vectors (..., F), in float32 at least."""
    return keras.layers.Dense(config.num_classes, dtype=score_dtype(dtype), name=name)(x)


def averaged(
    scores: Sequence[KerasTensor], weights: Sequence[float], dtype: keras.DTypePolicy
) -> KerasTensor:
    """The layer `logits`: the mean of class scores.

    Args:
        scores: list of logits, each (B, S, C) or (B, C).
        weights: of all scores, in their order.
        dtype: dtype policy.

    Returns:
        Logits (B, C), see `ScoreAverage`.
    """
    scores = [one if one.ndim == 3 else ops.expand_dims(one, 1) for one in scores]
    together = ops.concatenate(scores, axis=1) if len(scores) > 1 else scores[0]
    return ScoreAverage(weights, dtype=score_dtype(dtype), name=LOGITS)(together)


# From here on: a network that is built.


def streams_of(model: keras.Model) -> dict[str, VGGStream]:
    """The streams of a network, in the order of its inputs: name -> VGGStream; C3D has none."""
    layers = {layer.name: layer for layer in model.layers if isinstance(layer, VGGStream)}
    return {name: layers[f"{name}_stream"] for name in model.input if f"{name}_stream" in layers}


def has(model: keras.Model, name: str) -> bool:
    """Whether a network has a layer of that name."""
    return any(layer.name == name for layer in model.layers)


def map_of(model: keras.Model, stream: str, images: KerasTensor, last: int = BLOCKS) -> KerasTensor:
    """A stream's map at the end of block `last`, of uint8 images (B, T, H, W, channels), any T."""
    x = model.get_layer(f"{stream}_normalization")(images)
    return model.get_layer(f"{stream}_stream")(x, last=last)


def block_shape(config: NetworkConfig, block: int) -> tuple[int, ...]:
    """(height, width, channels) of a frame's map at the end of a block, 1 to 5."""
    size = (config.clip.image_size,) * 2
    return map_shape(size, block, config.width_divisor, config.map_levels)


def to_maps(model: keras.Model, block: int) -> keras.Model:
    """What is left of the streams after a block: from maps at its end to the streams' maps.

    Args:
        model: the network.
        block: at whose end the maps are, 1 to 5; 0 for the network's inputs.

    Returns:
        keras.Model, whose inputs have the names of the network's inputs: float16
        (B, T, *block_shape), uint8 for block 0. Outputs are a list, VGG-16's maps of each stream.
    """
    streams = streams_of(model)
    if not block:
        return keras.Model(model.input, [layer.output for layer in streams.values()])
    shape = (model.config.clip.num_frames, *block_shape(model.config, block))
    inputs = {name: keras.Input(shape, dtype="float16", name=name) for name in streams}
    outputs = [layer(inputs[name], first=block + 1) for name, layer in streams.items()]
    return keras.Model(inputs, outputs)


def from_maps(model: keras.Model, output: KerasTensor) -> keras.Model:
    """From VGG-16's maps of each stream, a list, to an output of the network's graph."""
    return keras.Model([layer.output for layer in streams_of(model).values()], output)


def from_block(model: keras.Model, block: int, output: KerasTensor | None = None) -> keras.Model:
    """From maps at the end of a block, as of `to_maps`, to an output; None for the logits."""
    begin = to_maps(model, block)
    rest = from_maps(model, model.get_layer(LOGITS).output if output is None else output)
    return keras.Model(begin.input, rest(begin.output))


def recurrent_logits(model: keras.Model) -> KerasTensor:
    """The logits from the LSTMs: all of them, but for a linear path beside them."""
    return model.get_layer(LSTM_LOGITS if has(model, LSTM_LOGITS) else LOGITS).output
