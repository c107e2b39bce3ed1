"""A network as a Keras model that keeps its configuration."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from keras.src.backend.common import global_state  # of what Keras has no public name for

from preprocessing.errors import UserError
from stfnet import networks
from stfnet.config import LearnedConfig, from_dict, to_dict
from stfnet.layers.score_average import score_dtype
from stfnet.networks import parts

_WAITING = "uninitialized_variables"


@keras.saving.register_keras_serializable(package="stfnet")
class STFNet(keras.Model):
    """A network as a functional model that keeps its configuration.

    Inputs are a dictionary of bytes, `rgb` (B, T, H, W, 3) and `flow` (B, T, H, W, 2L), both uint8;
    with `streams="rgb"` or `"flow"` only that one. Outputs are class probabilities (B, classes),
    in float32 under any dtype policy. It saves to and loads from `.keras` files with no more than
    `import stfnet.networks.model`. Its configuration says which network it is, and what it learned
    from: its class names, and what a video must be like that it is asked about.

    Example:
        >>> clip = stfnet.ClipConfig(num_frames=3, image_size=32)
        >>> model = stfnet.STFNet(stfnet.ModelConfig(5, clip, width_divisor=32))
        >>> rgb, flow = (np.zeros((2, 3, 32, 32, channels), "uint8") for channels in (3, 8))
        >>> tuple(model({"rgb": rgb, "flow": flow}).shape)
        (2, 5)

    Args:
        config: NetworkConfig, kept as the attribute `config`.
        dtype: dtype policy of the layers; None takes the global one.
        learned: LearnedConfig, kept as the attribute `learned`; None where nothing is known.

    Raises:
        UserError: `learned` names another number of classes than the network has.

    Reference:
        Ou & Sun, J. Electronic Imaging 28(2) 023009, 2019.
    """

    def __init__(
        self,
        config: networks.NetworkConfig,
        dtype: Any = None,
        name: str = "stfnet",
        learned: LearnedConfig | None = None,
        **kwargs: Any,
    ) -> None:
        if learned and len(learned.classes) != config.num_classes:
            raise UserError(
                f"there are {len(learned.classes)} class names, and the network has "
                f"model.num_classes={config.num_classes}: give a name for each class"
            )
        policy = keras.dtype_policies.get(dtype) if dtype else keras.config.dtype_policy()
        inputs = parts.make_inputs(config)
        logits = config.logits(parts, parts.normalized(config, inputs, policy), policy)
        softmax = keras.layers.Softmax(dtype=score_dtype(policy), name="probabilities")
        super().__init__(inputs=inputs, outputs=softmax(logits), name=name, **kwargs)
        self.config, self.learned = config, learned
        self.dtype_policy = policy

    def get_config(self) -> dict[str, Any]:
        return {
            "config": to_dict(self.config),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
            "trainable": self.trainable,
            "learned": self.learned and to_dict(self.learned),
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "STFNet":
        values = {**config, "config": networks.read(config["config"])}
        if config.get("learned"):  # files of earlier versions have none
            values["learned"] = from_dict(LearnedConfig, config["learned"])
        return cls(**values)


def build_stfnet(
    model_config: networks.NetworkConfig, learned: LearnedConfig | None = None
) -> STFNet:
    """Builds the network with fresh weights, under the global dtype policy.

    Example:
        >>> clip = stfnet.ClipConfig(num_frames=3, image_size=32)
        >>> config = stfnet.ModelConfig(num_classes=5, clip=clip, width_divisor=32)  # a small one
        >>> model = stfnet.build_stfnet(config)
        >>> model.output_shape
        (None, 5)

    Args:
        model_config: ModelConfig, or the settings of another network.
        learned: LearnedConfig that is saved with the network, such as `learned` of the data sets of
            `stfnet.datasets`, so that its file names its answers.

    Returns:
        keras.Model: see `STFNet`.
    """
    return STFNet(model_config, learned=learned)


def in_float32(model: STFNet) -> STFNet:
    """The network in float32: itself, or a copy where it computes in another precision."""
    if model.dtype_policy.name == "float32":
        return model
    copy = STFNet.from_config({**model.get_config(), "dtype": "float32"})
    copy.set_weights(model.get_weights())
    return copy


def undrawn_weights() -> contextlib.AbstractContextManager[None]:
    """Scope in which networks begin with zeros, because a file's weights come next.

    Drawing 188 million numbers takes a quarter of the time in which the full network loads.
    """
    zeros = keras.initializers.Zeros
    return keras.saving.custom_object_scope({"glorot_uniform": zeros, "he_normal": zeros})


@contextlib.contextmanager
def without_weights() -> Iterator[None]:
    """Scope in which networks are built for their shapes alone, without memory for weights.

    Keras keeps the variables of such a network in a list, and draws them all when the next network
    is built: they are taken off it.
    """
    waiting = list(global_state.get_global_attribute(_WAITING, []))
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute(_WAITING, waiting)
