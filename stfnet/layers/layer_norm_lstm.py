"""The layer-normalised LSTM of Ou & Sun 2019 (Eqs. 3-6 inside an LSTM)."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, ops

from stfnet.config import NORMALIZE, STATISTICS


@keras.saving.register_keras_serializable(package="stfnet")
class GateNormalization(keras.layers.Layer):
    """Normalises the sums of an LSTM step (Eqs. 3-6): y = gamma * x_hat + beta.

    Args:
        statistics: `layer`, mean and variance over the units of one example (Ba et al. 2016);
            `batch`, over the batch for each unit, with moving averages at inference.
        epsilon: added to the variance.
        beta_initializer: initialiser of beta; gamma starts at 1.
        momentum: of the moving averages, which are updated at every step of the sequence.

    Call arguments:
        x: floating (B, ..., units).
        training: whether `batch` statistics come from x and update the moving averages.

    Returns:
        Tensor of x's shape.
    """

    def __init__(
        self,
        statistics: str = "layer",
        epsilon: float = 1e-3,
        beta_initializer: str | keras.Initializer = "zeros",
        momentum: float = 0.99,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if statistics not in STATISTICS:
            raise ValueError(f"statistics={statistics!r} is not one of {', '.join(STATISTICS)}")
        self.statistics = statistics
        self.epsilon = epsilon
        self.beta_initializer = keras.initializers.get(beta_initializer)
        self.momentum = momentum

    def build(self, input_shape: tuple[Any, ...]) -> None:
        shape = tuple(input_shape[1:])
        self.gamma = self.add_weight(shape=shape, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=shape, initializer=self.beta_initializer, name="beta")
        if self.statistics == "batch":
            self.moving_mean = self.add_weight(
                shape=shape, initializer="zeros", trainable=False, name="moving_mean"
            )
            self.moving_variance = self.add_weight(
                shape=shape, initializer="ones", trainable=False, name="moving_variance"
            )

    def call(self, x: KerasTensor, training: bool = False) -> KerasTensor:
        if self.statistics == "batch" and not training:
            mean, variance = self.moving_mean, self.moving_variance
        else:
            axis = -1 if self.statistics == "layer" else 0
            # The mean of squared deviations, not E[x^2] - E[x]^2, which can turn out negative.
            mean = ops.mean(x, axis=axis, keepdims=True)
            variance = ops.mean(ops.square(x - mean), axis=axis, keepdims=True)
            if self.statistics == "batch":
                self._update(self.moving_mean, mean)
                self._update(self.moving_variance, variance)
        return (x - mean) * ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta

    def _update(self, moving: keras.Variable, current: KerasTensor) -> None:
        current = ops.stop_gradient(ops.squeeze(current, 0))
        moving.assign(moving * self.momentum + current * (1.0 - self.momentum))

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "statistics": self.statistics,
            "epsilon": self.epsilon,
            "beta_initializer": keras.initializers.serialize(self.beta_initializer),
            "momentum": self.momentum,
        }


@keras.saving.register_keras_serializable(package="stfnet")
class ForgetBias(keras.initializers.Initializer):
    """Fills the row of the forget gate, the second of (gates, units), and leaves 0 elsewhere."""

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> KerasTensor:
        bias = np.zeros(shape)
        bias[1] = self.value
        return ops.convert_to_tensor(bias, dtype or keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value}


@keras.saving.register_keras_serializable(package="stfnet")
class LayerNormLSTMCell(keras.layers.Layer):
    """One step of LN_LSTM, a cell for `keras.layers.RNN`.

    With z_k = W_k x_t + U_k h_{t-1} for k in i, f, o, g, the order in which the kernels hold them:

        i = sigmoid(LN_i(z_i))    f = sigmoid(LN_f(z_f))    o = sigmoid(LN_o(z_o))
        g = tanh(z_g + b_g)       c_t = f * c_{t-1} + i * g    h_t = o * tanh(c_t)

    The input kernels start from Glorot's uniform, the recurrent ones from an orthogonal matrix.
    Everything after the matrix products is computed in float32 at least.

    Example:
        >>> layer = keras.layers.RNN(LayerNormLSTMCell(101), return_sequences=True)
        >>> tuple(layer(np.zeros((2, 17, 64), "float32")).shape)
        (2, 17, 101)

    Args:
        units: hidden units.
        normalize: `gates`, the three sigmoid gates (the paper); `none`, which adds b_k to z_k in
            place of LN_k; `all`, also the candidate, whose
            beta is then b_g, and c_t before its tanh (Ba et al. 2016). The carried c_t stays raw.
        statistics: `layer` or `batch`, see `GateNormalization`. With `batch`, use
            `LayerNormLSTM`: the JAX backend cannot update moving averages inside
            `keras.layers.RNN`'s loop.
        epsilon: added to variances. Far smaller ones divide by zero on constant sums.
        forget_bias: initial beta of the forget gate.

    Reference:
        Ou & Sun, J. Electronic Imaging 28(2) 023009, 2019, Eqs. 3-6.
    """

    def __init__(
        self,
        units: int,
        normalize: str = "gates",
        statistics: str = "layer",
        epsilon: float = 1e-3,
        forget_bias: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if normalize not in NORMALIZE:
            raise ValueError(f"normalize={normalize!r} is not one of {', '.join(NORMALIZE)}")
        self.units = units
        self.normalize = normalize
        self.statistics = statistics
        self.epsilon = epsilon
        self.forget_bias = forget_bias
        self.state_size = [units, units]
        self.output_size = units
        self.step_dtype = keras.backend.result_type(self.compute_dtype, "float32")
        settings = {"statistics": statistics, "epsilon": epsilon, "dtype": self.step_dtype}
        self.gate_normalization: Any = None
        if normalize != "none":
            self.gate_normalization = GateNormalization(
                beta_initializer=ForgetBias(forget_bias), name="gate_normalization", **settings
            )
        self.state_normalization: Any = None
        if normalize == "all":
            self.state_normalization = GateNormalization(name="state_normalization", **settings)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        shape = (input_shape[-1], 4 * self.units)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.recurrent_kernel = self.add_weight(
            shape=(self.units, 4 * self.units), initializer="orthogonal", name="recurrent_kernel"
        )
        if self.state_normalization is None:
            if self.gate_normalization is None:
                self.gate_bias = self.add_weight(
                    shape=(3, self.units),
                    initializer=ForgetBias(self.forget_bias),
                    autocast=False,
                    name="gate_bias",
                )
            else:
                self.gate_normalization.build((None, 3, self.units))
            self.candidate_bias = self.add_weight(
                shape=(self.units,), initializer="zeros", autocast=False, name="candidate_bias"
            )
        else:
            self.gate_normalization.build((None, 4, self.units))
            self.state_normalization.build((None, self.units))

    def project(self, x: KerasTensor) -> KerasTensor:
        """W x for any number of leading axes: (..., F) -> (..., 4 * units)."""
        rows = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), self.kernel)
        return ops.reshape(rows, (-1, *x.shape[1:-1], 4 * self.units))

    def step(
        self,
        projection: KerasTensor,
        h: KerasTensor,
        c: KerasTensor,
        training: bool = False,
    ) -> tuple[KerasTensor, KerasTensor]:
        """One step from the projected input.

        Args:
            projection: W x_t, (B, 4 * units).
            h, c: the previous state, each (B, units).
            training: see `GateNormalization`.

        Returns:
            (h_t, c_t), each (B, units), in float32 at least.
        """
        recurrent = ops.matmul(ops.cast(h, self.compute_dtype), self.recurrent_kernel)
        z = ops.cast(projection, self.step_dtype) + ops.cast(recurrent, self.step_dtype)
        z = ops.reshape(z, (-1, 4, self.units))  # b gate unit
        if self.state_normalization is not None:
            z = self.gate_normalization(z, training=training)
            gates, candidate = z[:, :3], z[:, 3]
        else:
            gates, candidate = z[:, :3], z[:, 3] + self.candidate_bias
            if self.gate_normalization is None:
                gates = gates + self.gate_bias
            else:
                gates = self.gate_normalization(gates, training=training)
        gates = ops.sigmoid(gates)
        i, f, o = gates[:, 0], gates[:, 1], gates[:, 2]
        c = f * ops.cast(c, self.step_dtype) + i * ops.tanh(candidate)
        shown = c
        if self.state_normalization is not None:
            shown = self.state_normalization(c, training=training)
        return o * ops.tanh(shown), c

    def call(
        self, inputs: KerasTensor, states: Sequence[KerasTensor], training: bool = False
    ) -> tuple[KerasTensor, list[KerasTensor]]:
        h, c = states
        h, c = self.step(self.project(inputs), h, c, training=training)
        h, c = ops.cast(h, self.compute_dtype), ops.cast(c, self.compute_dtype)
        return h, [h, c]

    def get_initial_state(self, batch_size: int | None) -> list[KerasTensor]:
        return [ops.zeros((batch_size, self.units), self.compute_dtype) for _ in range(2)]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "normalize": self.normalize,
            "statistics": self.statistics,
            "epsilon": self.epsilon,
            "forget_bias": self.forget_bias,
        }


@keras.saving.register_keras_serializable(package="stfnet")
class LayerNormLSTM(keras.layers.Layer):
    """LN_LSTM over a sequence of fixed length.

    Equal to `keras.layers.RNN(LayerNormLSTMCell(units))`, but the inputs of all steps are projected
    in one matrix product: with 100,352 features a product at each step would read, and its gradient
    write, the 162 MB kernel T times.

    Example:
        >>> layer = stfnet.layers.LayerNormLSTM(101, return_sequences=True)
        >>> tuple(layer(np.zeros((2, 17, 64), "float32")).shape)
        (2, 17, 101)

    Args:
        units, normalize, statistics, epsilon, forget_bias: see `LayerNormLSTMCell`.
        return_sequences: whether to return every hidden state or the last one only.

    Call arguments:
        sequences: floating (B, T, F). Only B may be unknown.
        training: see `GateNormalization`.

    Returns:
        (B, T, units) with `return_sequences`, else (B, units).
    """

    def __init__(
        self,
        units: int,
        return_sequences: bool = False,
        normalize: str = "gates",
        statistics: str = "layer",
        epsilon: float = 1e-3,
        forget_bias: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.return_sequences = return_sequences
        self.cell = LayerNormLSTMCell(
            units,
            normalize=normalize,
            statistics=statistics,
            epsilon=epsilon,
            forget_bias=forget_bias,
            dtype=self.dtype_policy,
            name="cell",
        )

    def build(self, input_shape: tuple[Any, ...]) -> None:
        self.cell.build((input_shape[0], input_shape[2]))

    def call(self, sequences: KerasTensor, training: bool = False) -> KerasTensor:
        projections = self.cell.project(sequences)  # b t f -> b t 4u
        h = c = ops.zeros_like(projections[:, 0, : self.cell.units])
        outputs = []
        for t in range(sequences.shape[1]):
            h, c = self.cell.step(projections[:, t], h, c, training=training)
            outputs.append(h)
        output = ops.stack(outputs, axis=1) if self.return_sequences else h
        return ops.cast(output, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        batch, steps, _ = input_shape
        return (
            (batch, steps, self.cell.units) if self.return_sequences else (batch, self.cell.units)
        )

    def get_config(self) -> dict[str, Any]:
        cell = self.cell.get_config()
        shared = ("units", "normalize", "statistics", "epsilon", "forget_bias")
        return {
            **super().get_config(),
            "return_sequences": self.return_sequences,
            **{name: cell[name] for name in shared},
        }
