"""Spatiotemporal fusion: interleave the streams' channels (Eq. 1), then convolve (Eq. 2)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops


def interleave_channels(a: KerasTensor, b: KerasTensor) -> KerasTensor:
    """Puts the channels of two feature maps alternately (Ou & Sun 2019, Eq. 1).

    y[..., 2d] = a[..., d] and y[..., 2d + 1] = b[..., d].

    Args:
        a: tensor (B, ..., D); spatial features. Only B may be unknown.
        b: tensor of the same shape; temporal features.

    Returns:
        Tensor (B, ..., 2D).
    """
    pairs = ops.stack([a, b], axis=-1)  # b ... d 2
    return ops.reshape(pairs, (-1, *pairs.shape[1:-2], 2 * pairs.shape[-2]))  # b ... 2d


@keras.saving.register_keras_serializable(package="stfnet")
class InterleaveChannels(keras.layers.Layer):
    """`interleave_channels` as a layer, called on a list of two feature maps.

    Example:
        >>> spatial, temporal = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])
        >>> np.asarray(stfnet.layers.InterleaveChannels()([spatial, temporal])).tolist()
        [[1.0, 3.0, 2.0, 4.0]]
    """

    def call(self, inputs: Sequence[KerasTensor]) -> KerasTensor:
        spatial, temporal = inputs
        return interleave_channels(spatial, temporal)

    def get_config(self) -> dict[str, Any]:
        # Keras' own, without it, cannot be that of a layer that was given a dtype policy.
        return super().get_config()


@keras.saving.register_keras_serializable(package="stfnet")
class StreamDropout(keras.layers.Layer):
    """Leaves one of two streams out of some training clips, and changes nothing elsewhere.

    Nothing is scaled up: the other stream looks as it always does.

    Args:
        rate: chance that a clip lacks a stream, the first or the second equally often.
        seed: of the choice; None takes the next of the global seed.

    Call arguments:
        inputs: list of two tensors (B, ...).
        training: whether to leave streams out.

    Returns:
        List of two tensors of the same shapes.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Sequence[KerasTensor], training: bool = False) -> list[KerasTensor]:
        if not training:
            return list(inputs)
        chance = keras.random.uniform((ops.shape(inputs[0])[0],), seed=self.seed_generator)
        kept = (chance >= self.rate / 2, chance < 1 - self.rate / 2)
        return [
            x * ops.cast(ops.reshape(keep, (-1, *[1] * (x.ndim - 1))), x.dtype)
            for x, keep in zip(inputs, kept, strict=True)
        ]

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


@keras.saving.register_keras_serializable(package="stfnet")
class IdentitySum(keras.initializers.Initializer):
    """Convolution kernel of stacked identities: the paper's example for Eq. 2.

    Output channel d is the sum of the k = C_in / C_out input channels kd, ..., kd + k - 1 at the
    kernel's centre. On interleaved streams (k = 2) this is spatial + temporal; on one stream
    (k = 1) it is the identity.
    """

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> KerasTensor:
        *window, inputs, outputs = shape
        if inputs % outputs or not all(side % 2 for side in window):
            raise ValueError(
                f"IdentitySum cannot fill a kernel of shape {tuple(shape)}: it needs a window of "
                "odd sides and input channels that are a multiple of the output channels"
            )
        kernel = np.zeros(shape)
        centre: tuple[Any, ...] = tuple(side // 2 for side in window)
        channels = np.arange(inputs)
        kernel[(*centre, channels, channels // (inputs // outputs))] = 1.0
        return ops.convert_to_tensor(kernel, dtype or keras.config.floatx())
