"""Class scores averaged after their softmax: late fusion of streams, and of frames."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops


@keras.saving.register_keras_serializable(package="stfnet")
class ScoreAverage(keras.layers.Layer):
    """Logits whose softmax is the weighted mean of the softmax of several logits.

    With z_s the logits of score s and w_s its weight, sum_s w_s = 1:

        y_c = log sum_s w_s softmax(z_s)_c

    so that softmax(y) is the mean of the scores (fusion by averaging, Simonyan & Zisserman
    2014). Training does not learn from y but from each z_s by itself, by the mean of their
    cross entropies with the same weights (`training_logits`), as networks that are trained apart
    and averaged afterwards.

    Args:
        weights: of the scores, above 0; they are divided by their sum.

    Call arguments:
        logits: floating (B, S, C), of S scores.

    Returns:
        Floating (B, C), finite for finite logits.

    Raises:
        ValueError: a weight is not above 0.
    """

    def __init__(self, weights: Sequence[float], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not len(weights) or not min(weights) > 0:
            raise ValueError(f"weights={list(weights)} of scores must be above 0")
        self.score_weights = tuple(float(weight) / sum(weights) for weight in weights)

    def call(self, logits: KerasTensor) -> KerasTensor:
        weights = ops.convert_to_tensor(np.log(self.score_weights)[:, None], logits.dtype)  # s 1
        return ops.logsumexp(ops.log_softmax(logits, axis=-1) + weights, axis=1)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return (input_shape[0], input_shape[2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": list(self.score_weights)}


def score_dtype(dtype: keras.DTypePolicy) -> str:
    """Of logits and softmax: float64 of a float64 network, float32 of a half-precision one.

    Args:
        dtype: dtype policy of the network.
    """
    return keras.backend.result_type(dtype.compute_dtype, "float32")


def training_logits(model: keras.Model) -> tuple[KerasTensor, tuple[float, ...] | None]:
    """What the loss of a network is taken of.

    Args:
        model: network with a layer `logits`.

    Returns:
        (tensor of the network's graph, weights): logits (B, C) and None; of a network whose layer
        `logits` is a `ScoreAverage`, those of every score (B, S, C), and the scores' weights.
    """
    layer = model.get_layer("logits")
    if isinstance(layer, ScoreAverage):
        return layer.input, layer.score_weights
    return layer.output, None
