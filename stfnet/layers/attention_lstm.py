"""LSTMs with soft attention over the cells of each frame (Sharma et al. 2015)."""

from typing import Any

import keras
from keras import KerasTensor, ops

from stfnet.layers.layer_norm_lstm import LayerNormLSTMCell
from stfnet.layers.score_average import score_dtype


@keras.saving.register_keras_serializable(package="stfnet")
class AttentionLSTM(keras.layers.Layer):
    """LSTMs that choose, at each frame, which cells of the map they read.

    With X_t the K cells of frame t (K, D), and h_t the state of the last of the LSTMs:

        l_t = softmax(W h_{t-1})           (K,)
        x_t = sum_i l_{t,i} X_{t,i}        (D,)
        h_t = LSTMs(x_t)

    The first states of LSTM n are c = tanh(A_n m + a_n) and h = tanh(B_n m + b_n), of the mean m of
    all cells of all frames.

    Args:
        units: of each LSTM.
        layers: number of LSTMs.
        dropout: rate of what each LSTM reads.

    Call arguments:
        cells: floating (B, T, K, D). Only B may be unknown.
        training: whether dropout is on.

    Returns:
        h_t of the last LSTM at each frame, (B, T, units).
    """

    def __init__(self, units: int, layers: int = 1, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.layers, self.dropout = units, layers, dropout
        settings = {"dtype": self.dtype_policy}
        self.cells = [
            LayerNormLSTMCell(units, normalize="none", name=f"cell_{n}", **settings)
            for n in range(layers)
        ]
        self.first = {
            f"{state}_{n}": keras.layers.Dense(
                units, activation="tanh", name=f"first_{state}_{n}", **settings
            )
            for n in range(layers)
            for state in "ch"
        }
        self.drop = keras.layers.Dropout(dropout, **settings)

    def build(self, input_shape: tuple[Any, ...]) -> None:
        batch, _, cells, channels = input_shape
        self.attention = self.add_weight(
            shape=(self.units, cells), initializer="glorot_uniform", name="attention"
        )
        for n, cell in enumerate(self.cells):
            cell.build((batch, channels if n == 0 else self.units))
        for dense in self.first.values():
            dense.build((batch, channels))

    def attend(self, h: KerasTensor, cells: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
        """The weights l_t (B, K) and x_t (B, D) from h_{t-1} (B, units) and X_t (B, K, D)."""
        scores = ops.matmul(ops.cast(h, self.compute_dtype), self.attention)
        weights = ops.softmax(ops.cast(scores, score_dtype(self.dtype_policy)))
        rows = ops.expand_dims(ops.cast(weights, self.compute_dtype), 1)  # b 1 k
        return weights, ops.squeeze(ops.matmul(rows, cells), 1)

    def call(self, cells: KerasTensor, training: bool = False) -> KerasTensor:
        mean = ops.mean(cells, axis=(1, 2))
        states = [
            (self.first[f"h_{n}"](mean), self.first[f"c_{n}"](mean)) for n in range(self.layers)
        ]
        outputs = []
        for t in range(cells.shape[1]):
            _, x = self.attend(states[-1][0], cells[:, t])
            for n, cell in enumerate(self.cells):
                x = self.drop(x, training=training)
                states[n] = cell.step(cell.project(x), *states[n], training=training)
                x = ops.cast(states[n][0], self.compute_dtype)
            outputs.append(x)
        return ops.stack(outputs, axis=1)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*input_shape[:2], self.units)

    def get_config(self) -> dict[str, Any]:
        own = {"units": self.units, "layers": self.layers, "dropout": self.dropout}
        return {**super().get_config(), **own}
