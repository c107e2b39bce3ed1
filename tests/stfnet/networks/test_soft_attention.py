"""Soft attention: the cells that the next frame is read from are chosen by the last state."""

import numpy as np

from stfnet.networks import SoftAttentionConfig


def test_parameters_of_the_papers_text(counts):
    found = counts(SoftAttentionConfig(11))
    gates = 4 * 512 * (512 + 512 + 1)  # of each LSTM: 512 channels or units read
    first_states = 6 * (512 * 512 + 512)
    assert found == {
        "rgb_stream": 14_714_688,
        "attention_lstm": 3 * gates + first_states + 512 * 49,
        "hidden": 512 * 512 + 512,
        "rgb_scores": 513 * 11,
    }


def test_equations_1_to_6(restated, tiny, numpy_pool5, softmax, numpy_lstm, weights_of):
    one = restated(tiny("soft_attention"))
    layer = one.model.get_layer("attention_lstm")
    cells = numpy_pool5(one.maps["rgb"]).reshape(2, 3, 4, 16)
    mean = cells.mean(axis=(1, 2))

    def dense(layer, x):
        return np.tanh(x @ layer.kernel.numpy() + layer.bias.numpy())

    def step(cell, x, h, c):
        """i, f, o, g of an LSTM, by its matrices."""
        w = weights_of(cell)
        z = x @ w["kernel"] + h @ w["recurrent_kernel"]
        z = z + np.concatenate([w["gate_bias"].ravel(), w["candidate_bias"]])
        i, f, o, g = np.split(z, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        return o * np.tanh(c), c

    states = [
        (dense(layer.first[f"h_{n}"], mean), dense(layer.first[f"c_{n}"], mean)) for n in (0, 1)
    ]
    scores = []
    for t in range(3):
        location = softmax(states[1][0] @ layer.attention.numpy())
        x = (location[:, :, None] * cells[:, t]).sum(axis=1)
        for n in (0, 1):
            states[n] = step(layer.cells[n], x, *states[n])
            x = states[n][0]
        hidden = np.tanh(one.dense("hidden", x))
        scores.append(softmax(one.dense("rgb_scores", hidden)))
    np.testing.assert_allclose(one.answers, np.mean(scores, axis=0), rtol=1e-9)
