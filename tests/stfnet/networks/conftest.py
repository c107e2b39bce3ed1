"""Tiny networks, their counts, and float64 NumPy statements of what several have in common."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import stfnet
from stfnet import ClipConfig, build_stfnet, complexity, networks
from stfnet.networks.model import without_weights


def _tiny(network, **changes):
    """A configuration whose streams end in maps of 3 x 3 cells and 16 channels."""
    settings = {
        "num_classes": 5,
        "clip": ClipConfig(num_frames=3, flow_length=2, image_size=48),
        "rgb_input": "unit",
        "flow_input": "pixels",
        "lstm_units": 6 if network == "two_stream_lstm" else 4,
        "lstm_layers": 2,
        "fc6_units": 24,  # of fewer, a ReLU may leave none above 0
        "width_divisor": 32,
    }
    return networks.read({**networks.switched(settings, network), **changes})


def _counts(config):
    """Parameters of each layer that has some, without memory for them."""
    with without_weights():
        layers = build_stfnet(config).layers
    return {layer.name: layer.count_params() for layer in layers if layer.weights}


def _graph_multiply_adds(model):
    """Multiply-adds of one clip by the shapes of the operations in TensorFlow's graph."""
    specs = {name: tf.TensorSpec((1, *x.shape[1:]), x.dtype) for name, x in model.input.items()}
    call = tf.function(lambda clips: model(clips, training=False))
    total = 0
    for op in call.get_concrete_function(specs).graph.get_operations():
        if op.type in ("Conv2D", "Conv3D"):
            total += math.prod(op.outputs[0].shape) * math.prod(op.inputs[1].shape[:-1])
        elif op.type in ("MatMul", "BatchMatMulV2"):
            total += math.prod(op.outputs[0].shape) * op.inputs[0].shape[-1]
        else:
            assert op.type != "Einsum"
    return total


def _check(config, folder):
    """Shape, probabilities, multiply-adds, and the same answers after saving and loading."""
    keras.utils.set_random_seed(0)
    model = build_stfnet(config)
    clip, rng = config.clip, np.random.default_rng(0)
    shape = (2, clip.num_frames, clip.image_size, clip.image_size)
    clips = {
        name: rng.integers(0, 256, (*shape, channels), dtype="uint8")
        for name, channels in config.input_channels.items()
    }
    assert list(model.input) == list(clips)
    answers = np.asarray(model(clips))
    assert answers.shape == (2, config.num_classes) and answers.dtype == np.float32
    np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)
    assert np.ptp(answers, axis=0).max() > 0  # the clips are told from each other
    assert complexity.forward_multiply_adds(config) == _graph_multiply_adds(model)
    model.save(folder / "network.keras")
    loaded = keras.saving.load_model(folder / "network.keras")
    assert loaded.config == config
    np.testing.assert_array_equal(loaded(clips), answers)


class Restated:
    """A network in float64 with random weights, what it answers to random maps, and its layers.

    Attributes:
        maps: name of a stream -> (2, 3, 3, 3, 16), which its network reads.
        answers: its probabilities (2, 5).
    """

    def __init__(self, config, randomize, numpy_lstm, weights_of):
        self.model = stfnet.STFNet(config, dtype="float64")
        randomize(self.model)
        self._lstm, self._weights_of = numpy_lstm, weights_of
        outputs = [self.model.get_layer(f"{name}_stream").output for name in self.model.input]
        rng = np.random.default_rng(1)
        self.maps = {
            name: rng.uniform(0, 2, (2, *output.shape[1:]))
            for name, output in zip(self.model.input, outputs, strict=True)
        }
        rest = keras.Model(outputs, self.model.output)
        self.answers = np.asarray(rest(list(self.maps.values()), training=False))

    def dense(self, name, x):
        layer = self.model.get_layer(name)
        return x @ layer.kernel.numpy() + layer.bias.numpy()

    def lstm(self, name, x):
        return self._lstm(x, self._weights_of(self.model.get_layer(name).cell), "none")

    def fc7(self, stream, x):
        """fc6, fc7 of a stream on vectors."""
        hidden = np.maximum(self.dense(f"{stream}_fc6", x), 0)
        return np.maximum(self.dense(f"{stream}_fc7", hidden), 0)


@pytest.fixture
def restated(randomize, numpy_lstm, weights_of):
    return lambda config: Restated(config, randomize, numpy_lstm, weights_of)


@pytest.fixture(scope="session")
def numpy_pool5():
    """Function of maps (2, T, 3, 3, D): the maximum of 2 x 2 cells, (2, T, 2, 2, D)."""

    def pool(x):
        rows = [x[:, :, 0:2].max(2), x[:, :, 2:3].max(2)]
        return np.stack([np.stack([r[:, :, 0:2].max(2), r[:, :, 2]], 2) for r in rows], 2)

    return pool


@pytest.fixture(scope="session")
def softmax():
    def of(x):
        exponents = np.exp(x - x.max(axis=-1, keepdims=True))
        return exponents / exponents.sum(axis=-1, keepdims=True)

    return of


@pytest.fixture(scope="session")
def tiny():
    return _tiny


@pytest.fixture(scope="session")
def counts():
    return _counts


@pytest.fixture(scope="session")
def check():
    return _check


@pytest.fixture(scope="session")
def clips():
    """Two clips of 3 frames of 32 x 32 with two flow fields each."""
    rng = np.random.default_rng(0)
    shape = (2, 3, 32, 32)
    return {
        "rgb": rng.integers(0, 256, (*shape, 3), dtype="uint8"),
        "flow": rng.integers(0, 256, (*shape, 4), dtype="uint8"),
    }


@pytest.fixture(scope="session")
def from_streams():
    """Function of a model and names: from both streams' features to the outputs of the layers."""

    def submodel(model, *names):
        features = [model.get_layer(name).output for name in ("rgb_stream", "flow_stream")]
        outputs = [model.get_layer(name).output for name in names]
        return keras.Model(features, outputs if len(outputs) > 1 else outputs[0])

    return submodel
