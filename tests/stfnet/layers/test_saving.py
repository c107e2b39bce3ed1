"""Every layer is saved, cloned and loaded inside a model that is none of this project's."""

import inspect

import keras
import numpy as np
import pytest

from stfnet import ClipConfig, STFNet, layers, networks

# Class -> (its arguments, shapes of its inputs without the batch, whether they are bytes).
CASES = {
    layers.FlowNormalization: ({"mode": "pixels", "bound": 15.0}, [(4, 4, 8)], True),
    layers.RGBNormalization: ({"mode": "unit"}, [(4, 4, 3)], True),
    layers.GateNormalization: ({"statistics": "batch", "epsilon": 1e-2}, [(3, 5)], False),
    layers.InterleaveChannels: ({}, [(2, 3), (2, 3)], False),
    layers.LayerNormLSTM: (
        {"units": 4, "normalize": "all", "statistics": "batch", "forget_bias": 2.0},
        [(3, 5)],
        False,
    ),
    layers.ScoreAverage: ({"weights": [0.25, 0.75]}, [(2, 5)], False),
    layers.StreamDropout: ({"rate": 0.5, "seed": 3}, [(2, 3), (2, 3)], False),
    layers.VGGStream: ({"width_divisor": 32, "levels": [4, 5]}, [(2, 32, 32, 3)], False),
    layers.AttentionLSTM: ({"units": 4, "layers": 2, "dropout": 0.25}, [(3, 4, 5)], False),
}
PRECISIONS = ["float32", "float64", "mixed_bfloat16"]


def _values(shapes, as_bytes):
    rng = np.random.default_rng(0)
    if as_bytes:
        return [rng.integers(0, 256, (2, *shape), np.uint8) for shape in shapes]
    return [rng.normal(0, 1, (2, *shape)) for shape in shapes]


def _model(layer, shapes, as_bytes, dtype):
    inputs = [keras.Input(shape, dtype="uint8" if as_bytes else dtype) for shape in shapes]
    heads = [
        keras.layers.Dense(2, dtype=dtype)(keras.layers.Flatten(dtype=dtype)(x))
        for x in _list(layer(_one(inputs)))
    ]
    return keras.Model(inputs, heads)


def _one(inputs):
    return inputs if inputs[1:] else inputs[0]


def _list(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


def _answers(model, values):
    return [np.asarray(x, np.float64) for x in model(values)]


def _policies(model):
    return {
        layer.name: layer.dtype_policy.name
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    }


def _check_saved_cloned_loaded(model, values, folder):
    expected = _answers(model, values)
    model.save(folder / "model.keras")
    loaded = keras.saving.load_model(folder / "model.keras")
    cloned = keras.models.clone_model(model)
    cloned.set_weights(model.get_weights())
    for other in (loaded, cloned):
        for one, want in zip(_answers(other, values), expected, strict=True):
            np.testing.assert_array_equal(one, want)
        assert _policies(other) == _policies(model)


def test_every_layer_has_a_case():
    ours = {
        value
        for value in vars(layers).values()
        if inspect.isclass(value) and issubclass(value, keras.layers.Layer)
    }
    assert ours - {layers.LayerNormLSTMCell} == set(CASES)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("kind", CASES, ids=lambda kind: kind.__name__)
def test_a_layer_is_a_layer_of_keras(tmp_path, kind, precision):
    """Shapes, precision, settings, a training step; saved, cloned and loaded in another model."""
    arguments, shapes, as_bytes = CASES[kind]
    policy = keras.dtype_policies.get(precision)
    # Keras saves the two ways to give a policy in different forms.
    layer = kind(**arguments, dtype=policy if precision == "float64" else precision, name="ours")
    model = _model(layer, shapes, as_bytes, policy.compute_dtype)
    values = _values(shapes, as_bytes)
    for one, symbolic in zip(_list(layer(_one(values))), _list(layer.output), strict=True):
        assert tuple(one.shape) == (2, *symbolic.shape[1:])
        assert keras.backend.standardize_dtype(one.dtype) == policy.compute_dtype
    config = layer.get_config()
    assert {name: config[name] for name in arguments} == arguments
    assert kind.from_config(config).get_config() == config
    _check_saved_cloned_loaded(model, values, tmp_path)
    model.compile(optimizer=keras.optimizers.SGD(1e-3), loss="mse")
    before = [weight.numpy() for weight in layer.trainable_variables]
    loss = model.train_on_batch(values, [np.ones((2, 2))] * len(model.outputs))
    assert np.isfinite(loss).all()
    for weight, old in zip(layer.trainable_variables, before, strict=True):
        assert np.isfinite(weight.numpy()).all() and (weight.numpy() != old).any(), weight.path


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_cell_inside_another_model(tmp_path, precision):
    cell = layers.LayerNormLSTMCell(4, normalize="all", forget_bias=2.0, dtype=precision)
    layer = keras.layers.RNN(cell, dtype=precision)
    compute = keras.dtype_policies.get(precision).compute_dtype
    _check_saved_cloned_loaded(
        _model(layer, [(3, 5)], False, compute), _values([(3, 5)], False), tmp_path
    )


def test_an_initialiser_inside_another_model(tmp_path):
    images = keras.Input((4, 4, 4))
    start = layers.IdentitySum()
    x = keras.layers.Conv2D(2, 3, padding="same", kernel_initializer=start)(images)
    _check_saved_cloned_loaded(keras.Model([images], [x]), _values([(4, 4, 4)], False), tmp_path)


@pytest.mark.parametrize(
    ("precision", "settings"),
    [
        ("mixed_bfloat16", {}),
        (
            "float32",
            {"network": "small_data", "linear_parts": 2, "map_norm": True, "map_levels": (3, 5)},
        ),
        ("float32", {"fusion_init": "identity_sum", "lstm_statistics": "batch"}),
        ("float32", {"network": "soft_attention"}),
        ("float32", {"network": "two_stream"}),
        ("float32", {"network": "tsn"}),
        ("float32", {"fusion": "sum", "streams": "rgb"}),
        ("float32", {"network": "c3d"}),
    ],
)
def test_a_network_with_a_new_head(tmp_path, precision, settings):
    clip = ClipConfig(num_frames=3, flow_length=4, image_size=64)
    sizes = {"num_classes": 3, "clip": clip, "width_divisor": 32, "fc6_units": 8, "lstm_units": 4}
    config = networks.switched(sizes, settings.get("network", "stfnet")) | settings
    network = STFNet(networks.read(config), dtype=precision)
    features = network.get_layer("logits").output
    model = keras.Model(network.input, [keras.layers.Dense(5, name="new_head")(features)])
    rng = np.random.default_rng(0)
    values = {
        name: rng.integers(0, 256, (2, *x.shape[1:]), np.uint8) for name, x in network.input.items()
    }
    _check_saved_cloned_loaded(model, values, tmp_path)
