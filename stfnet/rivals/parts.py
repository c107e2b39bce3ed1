"""What several rivals have in common: the end of VGG-16, plain LSTMs, scores of classes."""

import math

import keras
from keras import ops

from stfnet.layers.layer_norm_lstm import LayerNormLSTM
from stfnet.layers.score_average import ScoreAverage, score_dtype
from stfnet.layers.vgg_stream import map_shape


def gathered(config, maps, dtype):
    """The streams' maps, all of which pass through one layer.

    That layer, `fusion`, has the channels of all streams one after the other: Grad-CAM looks there.
    `model.map_dropout` leaves channels of it out.

    Args:
        config: ModelConfig.
        maps: name of a stream -> its maps, (B, T, h, w, D).
        dtype: dtype policy.

    Returns:
        Dictionary of the same names and shapes.
    """
    x = (
        ops.concatenate(list(maps.values()), axis=-1)
        if len(maps) > 1
        else next(iter(maps.values()))
    )
    if config.map_dropout:
        shape = (None, 1, 1, 1, x.shape[-1])
        x = keras.layers.Dropout(config.map_dropout, shape, dtype=dtype, name="map_dropout")(x)
    x = keras.layers.Activation("linear", dtype=dtype, name="fusion")(x)
    return dict(zip(maps, ops.split(x, len(maps), axis=-1), strict=True))


def pool5(maps):
    """VGG-16's last pooling: (B, T, h, w, D) to (B, T, ceil(h / 2), ceil(w / 2), D)."""
    frames = maps.shape[1]
    x = ops.reshape(maps, (-1, *maps.shape[2:]))  # b t h w c -> (b t) h w c
    x = ops.max_pool(x, 2, strides=2, padding="same", data_format="channels_last")
    return ops.reshape(x, (-1, frames, *x.shape[1:]))  # (b t) h w c -> b t h w c


def flattened(maps):
    """(B, T, h, w, D) to (B, T, h w D)."""
    return ops.reshape(maps, (-1, maps.shape[1], math.prod(maps.shape[2:])))


def fully_connected(config, x, stream, dtype, layers=2):
    """fc6 and fc7 of VGG-16, each with ReLU and dropout: (..., F) to (..., fc6_units).

    Args:
        config: ModelConfig.
        x: floating (..., F).
        stream: begins the names of the layers, such as `rgb_fc6`.
        dtype: dtype policy.
        layers: how many, from fc6 on.
    """
    for number in range(6, 6 + layers):
        x = keras.layers.Dense(
            config.fc6_units, activation="relu", dtype=dtype, name=f"{stream}_fc{number}"
        )(x)
        rate, name = config.fc6_dropout, f"{stream}_dropout_fc{number}"
        x = keras.layers.Dropout(rate, dtype=dtype, name=name)(x)
    return x


def lstm(config, x, units, name, dtype, return_sequences=True):
    """An LSTM without normalisation and the dropout of its output: (B, T, F) to (B, T, units)."""
    x = LayerNormLSTM(
        units, return_sequences=return_sequences, normalize="none", dtype=dtype, name=f"lstm_{name}"
    )(x)
    return keras.layers.Dropout(config.lstm_dropout, dtype=dtype, name=f"dropout_{name}")(x)


def class_scores(config, x, name, dtype):
    """Logits (..., C) of vectors (..., F), in float32 at least."""
    return keras.layers.Dense(config.num_classes, dtype=score_dtype(dtype), name=name)(x)


def averaged(scores, weights, dtype):
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
    return ScoreAverage(weights, dtype=score_dtype(dtype), name="logits")(together)


def pooled_features(config):
    """Number of features of a frame after `pool5`: 25,088 of the paper's clips."""
    height, width, channels = _map_shape(config)
    return -(-height // 2) * -(-width // 2) * channels


def map_features(config):
    """Number of features of a frame's map: 100,352 of the paper's clips."""
    return math.prod(_map_shape(config))


def fully_connected_multiply_adds(config, layers=2):
    """Multiply-adds of `fully_connected` after `pool5` for one frame."""
    units = config.fc6_units
    return pooled_features(config) * units + (layers - 1) * units * units


def lstm_multiply_adds(features, units):
    """Multiply-adds of one step of an LSTM."""
    return 4 * units * (features + units)


def _map_shape(config):
    size = (config.clip.image_size, config.clip.image_size)
    return map_shape(size, 5, config.width_divisor, config.map_levels)
