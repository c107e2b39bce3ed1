"""A network as a Keras model that keeps its configuration."""

import keras

from stfnet import networks
from stfnet.config import to_dict
from stfnet.layers.score_average import score_dtype
from stfnet.networks import parts


@keras.saving.register_keras_serializable(package="stfnet")
class STFNet(keras.Model):
    """A network as a functional model that keeps its configuration.

    Inputs are a dictionary of bytes, `rgb` (B, T, H, W, 3) and `flow` (B, T, H, W, 2L), both uint8;
    with `streams="rgb"` or `"flow"` only that one. Outputs are class probabilities (B, classes),
    in float32 under any dtype policy. It saves to and loads from `.keras` files with no more than
    `import stfnet.networks.model`. Its configuration says which network it is.

    Example:
        >>> model = STFNet(ModelConfig(num_classes=11))
        >>> model({"rgb": frames, "flow": flow})  # (B, 11)

    Args:
        config: NetworkConfig, kept as the attribute `config`.
        dtype: dtype policy of the layers; None takes the global one.

    Reference:
        Ou & Sun, J. Electronic Imaging 28(2) 023009, 2019.
    """

    def __init__(self, config, dtype=None, name="stfnet", **kwargs):
        policy = keras.dtype_policies.get(dtype) if dtype else keras.config.dtype_policy()
        inputs = parts.make_inputs(config)
        logits = config.logits(parts, parts.normalized(config, inputs, policy), policy)
        softmax = keras.layers.Softmax(dtype=score_dtype(policy), name="probabilities")
        super().__init__(inputs=inputs, outputs=softmax(logits), name=name, **kwargs)
        self.config = config
        self.dtype_policy = policy

    def get_config(self):
        return {
            "config": to_dict(self.config),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**{**config, "config": networks.read(config["config"])})


def build_stfnet(model_config):
    """Builds the network with fresh weights, under the global dtype policy.

    Args:
        model_config: ModelConfig, or the settings of another network.

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
