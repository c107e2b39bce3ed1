"""One definition on every backend: a model saved here predicts and trains the same there."""

import importlib.util

import keras
import numpy as np
import pytest

from stfnet import ClipConfig, ModelConfig, build_stfnet

PROGRAM = """
import sys
import keras, numpy as np
import stfnet

folder, backend = sys.argv[1:]
assert keras.backend.backend() == backend
clips = dict(np.load(folder + "/clips.npz"))
model = keras.models.load_model(folder + "/model.keras")
before = model.predict(clips, verbose=0)
model.compile(optimizer=keras.optimizers.SGD(0.01), loss="sparse_categorical_crossentropy")
loss = model.train_on_batch(clips, np.array([1, 3]))
changed = [np.asarray(keras.ops.convert_to_numpy(w)) for w in model.trainable_variables]

cell = stfnet.layers.LayerNormLSTMCell(4)
rnn = keras.layers.RNN(cell, return_sequences=True)
x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
want = rnn(x)
layer = stfnet.layers.LayerNormLSTM(4, return_sequences=True)
layer.build(x.shape)
layer.set_weights(cell.get_weights())
convert = keras.ops.convert_to_numpy
np.testing.assert_allclose(convert(layer(x)), convert(want), rtol=1e-4, atol=1e-5)
np.savez(folder + "/results.npz", probabilities=before, loss=loss, *changed)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "package"), [("jax", "jax"), ("torch", "torch")])
def test_backend_agrees(run_python, backend, package, tmp_path):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed, so Keras has no {backend} backend here")
    config = ModelConfig(
        num_classes=5,
        clip=ClipConfig(num_frames=2, flow_length=2, image_size=32),
        lstm_units=6,
        fc6_units=7,
        width_divisor=16,
        rgb_input="unit",
        flow_input="pixels",
        normalize="all",
        fc6_dropout=0.0,
        lstm_dropout=0.0,
    )
    model = build_stfnet(config)
    rng = np.random.default_rng(0)
    clips = {
        "rgb": rng.integers(0, 256, (2, 2, 32, 32, 3), dtype="uint8"),
        "flow": rng.integers(0, 256, (2, 2, 32, 32, 4), dtype="uint8"),
    }
    np.savez(tmp_path / "clips.npz", **clips)
    model.save(tmp_path / "model.keras")

    # Compiling for JAX takes most of this test; the machine code need not be fast.
    variables = {"KERAS_BACKEND": backend, "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    done = run_python("-c", PROGRAM, tmp_path, backend, **variables)
    assert done.returncode == 0, done.stderr
    results = np.load(tmp_path / "results.npz")

    np.testing.assert_allclose(results["probabilities"], model(clips), rtol=1e-3, atol=1e-5)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="sparse_categorical_crossentropy")
    loss = model.train_on_batch(clips, np.array([1, 3]))
    np.testing.assert_allclose(results["loss"], loss, rtol=1e-3)
    for number, variable in enumerate(model.trainable_variables):
        np.testing.assert_allclose(
            results[f"arr_{number}"], variable.numpy(), rtol=1e-2, atol=1e-4, err_msg=variable.path
        )
