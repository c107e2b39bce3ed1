"""Float64 NumPy statements of the network's parts, written from the paper's equations."""

import numpy as np
import pytest

EPSILON = 1e-3


def _sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def _layer_norm(x, gamma, beta):
    """Eqs. 3-6 for the rows of x (B, units)."""
    out = np.empty_like(x)
    for row, values in enumerate(x):
        mu = values.sum() / values.size
        s2 = ((values - mu) ** 2).sum() / values.size
        out[row] = gamma * (values - mu) / np.sqrt(s2 + EPSILON) + beta
    return out


def _lstm(x, weights, normalize):
    """All hidden states (B, T, units) of LN_LSTM on x (B, T, F), one gate at a time.

    `weights` maps the cell's weight paths, such as "kernel" and "gate_normalization/gamma", to
    arrays; columns and rows of the gates are in the order i, f, o, g.
    """
    units = weights["recurrent_kernel"].shape[0]
    gamma, beta = (weights.get(f"gate_normalization/{name}", ()) for name in ("gamma", "beta"))
    h = c = np.zeros((len(x), units))
    states = []
    for t in range(x.shape[1]):
        z = {}
        for position, gate in enumerate("ifog"):
            columns = slice(position * units, (position + 1) * units)
            z[gate] = x[:, t] @ weights["kernel"][:, columns]
            z[gate] = z[gate] + h @ weights["recurrent_kernel"][:, columns]
            if position < len(gamma):
                z[gate] = _layer_norm(z[gate], gamma[position], beta[position])
            elif normalize == "none" and gate != "g":
                z[gate] = z[gate] + weights["gate_bias"][position]
        if normalize != "all":
            z["g"] = z["g"] + weights["candidate_bias"]
        c = _sigmoid(z["f"]) * c + _sigmoid(z["i"]) * np.tanh(z["g"])
        shown = c
        if normalize == "all":
            state = (weights[f"state_normalization/{name}"] for name in ("gamma", "beta"))
            shown = _layer_norm(c, *state)
        h = _sigmoid(z["o"]) * np.tanh(shown)
        states.append(h)
    return np.stack(states, axis=1)


def _convolve(x, kernel, bias):
    """'Same' correlation of x (N, *size, C) with kernel (*window, C, D) of odd sides, plus bias."""
    size, window = x.shape[1:-1], kernel.shape[:-2]
    padded = np.pad(x, [(0, 0), *((side // 2, side // 2) for side in window), (0, 0)])
    out = np.zeros((*x.shape[:-1], kernel.shape[-1])) + bias
    for offset in np.ndindex(*window):
        crop = tuple(slice(o, o + n) for o, n in zip(offset, size, strict=True))
        out += padded[(slice(None), *crop)] @ kernel[offset]
    return out


def _randomize(layer, seed=0):
    """Gives every weight, scales and biases included, a random value around its first one."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(weight.numpy() + rng.normal(0, 0.3, weight.shape))


def _weights_of(layer):
    """The layer's weights as float64 arrays by their path below the layer."""
    return {
        weight.path.split(f"{layer.name}/", 1)[1]: np.asarray(weight.numpy(), "float64")
        for weight in layer.weights
    }


@pytest.fixture(scope="session")
def numpy_layer_norm():
    return _layer_norm


@pytest.fixture(scope="session")
def numpy_lstm():
    return _lstm


@pytest.fixture(scope="session")
def numpy_convolution():
    return _convolve


@pytest.fixture(scope="session")
def randomize():
    return _randomize


@pytest.fixture(scope="session")
def weights_of():
    return _weights_of


@pytest.fixture(scope="session")
def vgg16_maps(vgg16):
    """Function of a record set, a position, frames and a layer: stream -> VGG-16's maps.

    By keras.applications' network of RGB images alone: the mean of the RGB filters over each of
    8 channels gives what the RGB filters give for an image whose three channels are all a third of
    the sum of the 8.
    """
    import keras

    from preprocessing import records

    def maps(record_set, position, frames, layer):
        example = records.read_video(record_set, record_set.videos[position])
        rgb = np.stack([records.decode_frame(example["frames"][t]) for t in frames])
        last = record_set.videos[position].num_frames - 2
        sums = []
        for t in frames:
            fields = [
                records.decode_field(example["flow"][min(max(k, 0), last)])
                for k in (t - 2, t - 1, t, t + 1)
            ]
            sums.append((np.stack(fields).astype(float) - 128).sum((0, 1)) / 3)
        grey = np.repeat(np.stack(sums)[..., None], 3, axis=-1).astype(np.float32)
        network = keras.Model(vgg16.input, vgg16.get_layer(layer).output)
        prepared = keras.applications.vgg16.preprocess_input(rgb.astype(np.float32))
        return {"rgb": np.asarray(network(prepared)), "flow": np.asarray(network(grey))}

    return maps
