"""STFNet: two VGG-16 streams, their fusion, and three LSTMs (Ou & Sun 2019, section 2).

Its rivals (`model.architecture`) have its inputs, its streams and its output, and between streams
and output what `stfnet.rivals` builds.
"""

import math

import keras
from keras import ops

from stfnet import config as configuration
from stfnet import rivals
from stfnet.layers.fusion import IdentitySum, InterleaveChannels, StreamDropout
from stfnet.layers.input_normalization import FlowNormalization, RGBNormalization
from stfnet.layers.layer_norm_lstm import LayerNormLSTM
from stfnet.layers.score_average import score_dtype
from stfnet.layers.vgg_stream import VGGStream

MERGES = {
    "concat": keras.layers.Concatenate,
    "sum": keras.layers.Add,
    "product": keras.layers.Multiply,
}


@keras.saving.register_keras_serializable(package="stfnet")
class STFNet(keras.Model):
    """The network as a functional model that keeps its configuration.

    Inputs are a dictionary of bytes, `rgb` (B, T, H, W, 3) and `flow` (B, T, H, W, 2L), both uint8;
    with `streams="rgb"` or `"flow"` only that one. Outputs are class probabilities (B, classes),
    in float32 under any dtype policy. It saves to and loads from `.keras` files with no more than
    `import stfnet.model`. With another `architecture` than `stfnet` it is that rival of the paper's
    network.

    Example:
        >>> model = STFNet(ModelConfig(num_classes=11))
        >>> model({"rgb": frames, "flow": flow})  # (B, 11)

    Args:
        config: ModelConfig, kept as the attribute `config`.
        dtype: dtype policy of the layers; None takes the global one.

    Reference:
        Ou & Sun, J. Electronic Imaging 28(2) 023009, 2019.
    """

    def __init__(self, config, dtype=None, name="stfnet", **kwargs):
        policy = keras.dtype_policies.get(dtype) if dtype else keras.config.dtype_policy()
        inputs = _inputs(config)
        x = _normalize(config, inputs, policy)
        if config.architecture not in configuration.WITHOUT_VGG:
            x = _maps(config, x, policy)
        if config.architecture != "stfnet":
            if config.architecture not in configuration.WITHOUT_VGG:
                x = rivals.gathered(config, x, policy)
            logits = rivals.RIVALS[config.architecture].logits(config, x, policy)
        else:
            maps = list(x.values())
            h = _recur(config, _fuse(config, maps, policy), policy)
            logits = _classify(config, h, maps, policy)
        softmax = keras.layers.Softmax(dtype=score_dtype(policy), name="probabilities")
        super().__init__(inputs=inputs, outputs=softmax(logits), name=name, **kwargs)
        self.config = config
        self.dtype_policy = policy

    def get_config(self):
        return {
            "config": configuration.to_dict(self.config),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model_config = configuration.from_dict(configuration.ModelConfig, config["config"])
        return cls(**{**config, "config": model_config})


def build_stfnet(model_config):
    """Builds the network with fresh weights, under the global dtype policy.

    Args:
        model_config: ModelConfig.

    Returns:
        keras.Model: see `STFNet`.
    """
    return STFNet(model_config)


def undrawn_weights():
    """Scope in which networks begin with zeros, because a file's weights come next.

    Drawing 188 million numbers takes a quarter of the time in which the full network loads.
    """
    zeros = keras.initializers.Zeros
    return keras.saving.custom_object_scope({"glorot_uniform": zeros, "he_normal": zeros})


def _inputs(config):
    clip = config.clip
    shape = (clip.num_frames, clip.image_size, clip.image_size)
    return {
        stream: keras.Input((*shape, channels), dtype="uint8", name=stream)
        for stream, channels in config.input_channels.items()
    }


def _normalize(config, inputs, dtype):
    """What the streams read, by their names, floating (B, T, H, W, channels)."""
    normalizations: dict[str, keras.Layer] = {
        "rgb": RGBNormalization(config.rgb_input, dtype=dtype, name="rgb_normalization"),
        "flow": FlowNormalization(
            config.flow_input, config.clip.flow_bound, dtype=dtype, name="flow_normalization"
        ),
    }
    return {stream: normalizations[stream](x) for stream, x in inputs.items()}


def _maps(config, inputs, dtype):
    """X_a and X_b by the streams' names, each (B, T, H/16, W/16, 512): the streams' features."""
    features = [
        VGGStream(config.width_divisor, config.map_levels, dtype=dtype, name=f"{stream}_stream")(x)
        for stream, x in inputs.items()
    ]
    if config.map_norm:
        features = [
            keras.layers.BatchNormalization(
                momentum=0.9, scale=False, center=False, dtype=dtype, name=f"{stream}_map_norm"
            )(x)
            for stream, x in zip(inputs, features, strict=True)
        ]
    if config.stream_dropout:
        features = StreamDropout(config.stream_dropout, dtype=dtype, name="stream_dropout")(
            features
        )
    return dict(zip(inputs, features, strict=True))


def _fuse(config, maps, dtype):
    """X_conv (B, T, H/16, W/16, 512): the streams' features, interleaved and convolved."""
    if config.fusion == "sum":
        x = keras.layers.Add(dtype=dtype, name="sum")(maps) if maps[1:] else maps[0]
    elif len(maps) == 2:
        x = InterleaveChannels(dtype=dtype, name="interleave")(maps)
    else:
        x = maps[0]
    if config.map_dropout:
        shape = (None, 1, 1, 1, x.shape[-1])
        x = keras.layers.Dropout(config.map_dropout, shape, dtype=dtype, name="map_dropout")(x)
    if config.fusion in ("sum", "concat"):
        # The name by which others find X_conv. (Keras saves no Identity that has a dtype policy.)
        return keras.layers.Activation("linear", dtype=dtype, name="fusion")(x)
    initializer = IdentitySum() if config.fusion_init == "identity_sum" else config.fusion_init
    return keras.layers.Conv3D(
        config.fused_channels,
        3 if config.fusion == "conv3d" else (1, 3, 3),
        padding="same",
        data_format="channels_last",
        activation="relu" if config.fusion_relu else None,
        kernel_initializer=initializer,
        dtype=dtype,
        name="fusion",
    )(x)


def _recur(config, fused, dtype):
    """The last hidden state of the last LSTM (B, units), from X_conv (Eqs. 7-11)."""
    layers = keras.layers
    frames = config.clip.num_frames

    def lstm(x, name, return_sequences):
        x = LayerNormLSTM(
            config.lstm_units,
            return_sequences=return_sequences,
            normalize=config.normalize,
            statistics=config.lstm_statistics,
            dtype=dtype,
            name=f"lstm_{name}",
        )(x)
        return layers.Dropout(config.lstm_dropout, dtype=dtype, name=f"dropout_{name}")(x)

    sequences = {}
    if config.branches != "fc":
        # b t h w c -> b t c, or b t (h w c)
        x_conv = ops.mean(fused, axis=(2, 3)) if config.conv_pool else fused
        x_conv = layers.Reshape((frames, -1), dtype=dtype, name="flatten_conv")(x_conv)
        sequences["conv"] = x_conv
    if config.branches != "conv":
        # Time folds into the batch because TensorFlow has no 3D pooling in float16 on CPUs. "same"
        # keeps the one cell of a 16-pixel clip; on the 14 x 14 of 224 pixels it does nothing.
        x_fc = ops.reshape(fused, (-1, *fused.shape[2:]))  # b t h w c -> (b t) h w c
        x_fc = ops.max_pool(x_fc, 2, strides=2, padding="same", data_format="channels_last")
        x_fc = ops.reshape(x_fc, (-1, frames, math.prod(x_fc.shape[1:])))  # b t (h/2 w/2 c)
        x_fc = layers.Dense(config.fc6_units, activation="relu", dtype=dtype, name="fc6")(x_fc)
        x_fc = layers.Dropout(config.fc6_dropout, dtype=dtype, name="dropout_fc6")(x_fc)
        sequences["fc"] = x_fc

    branches = [lstm(x, name, return_sequences=True) for name, x in sequences.items()]
    merged = branches[0]
    if len(branches) == 2:
        merged = MERGES[config.merge](dtype=dtype, name="merge")(branches)
    return lstm(merged, "merged", return_sequences=False)


def _classify(config, h, maps, dtype):
    """Logits from the last hidden state (Eq. 12), whose softmax is the answer.

    They are a layer of their own, because training takes its cross entropy from them.
    """
    layers, softmax_dtype = keras.layers, score_dtype(dtype)
    if not config.linear_parts:
        return layers.Dense(config.num_classes, dtype=softmax_dtype, name="logits")(h)
    recurrent = layers.Dense(config.num_classes, dtype=softmax_dtype, name="lstm_logits")(h)
    linear = _linear_path(config, maps, softmax_dtype)
    return layers.Add(dtype=softmax_dtype, name="logits")([recurrent, linear])


def _linear_path(config, maps, dtype):
    """Logits (B, classes), linear in the means of the streams' maps over parts of the clip."""
    layers = keras.layers
    means = ops.concatenate([ops.mean(ops.cast(x, dtype), axis=(2, 3)) for x in maps], axis=-1)
    norm = layers.BatchNormalization(
        momentum=0.9, scale=False, center=False, dtype=dtype, name="linear_norm"
    )
    means = linear_parts(norm(means), config.linear_parts)
    # From zero: the network starts as if the path were not there.
    dense = layers.Dense(
        config.num_classes,
        use_bias=False,
        kernel_initializer="zeros",
        dtype=dtype,
        name="linear_logits",
    )
    return dense(layers.Dropout(config.fc6_dropout, dtype=dtype, name="dropout_linear")(means))


def linear_parts(means, count):
    """Means over `count` parts of a clip, one after the other: (B, T, C) to (B, count * C)."""
    edges = [round(k * means.shape[1] / count) for k in range(1, count)]
    parts = ops.split(means, edges, axis=1) if edges else [means]  # TensorFlow splits by no edge
    return ops.concatenate([ops.mean(part, axis=1) for part in parts], axis=-1)
