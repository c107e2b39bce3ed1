"""VGG-16 weights files in keras.applications' layout, and files that are not."""

import functools
import hashlib
import http.server
import threading

import h5py
import keras
import numpy as np
import pytest

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, build_stfnet, load_vgg16_weights, weights
from stfnet.networks import TSNConfig, TwoStreamConfig
from stfnet.weights import load_run_weights

SIZE = 32


def _layers(vgg16):
    layers = {layer.name: layer.get_weights() for layer in vgg16.layers}
    return {name: arrays for name, arrays in layers.items() if arrays}


@pytest.fixture(scope="module")
def model():
    clip = ClipConfig(num_frames=2, flow_length=2, image_size=SIZE)
    return build_stfnet(ModelConfig(num_classes=3, clip=clip, lstm_units=4, fc6_units=8))


def test_stream_features_are_keras_applications(model, vgg16, notop):
    load_vgg16_weights(model, notop)
    frames = np.random.default_rng(2).integers(0, 256, (1, 2, SIZE, SIZE, 3), dtype="uint8")
    reference = keras.Model(vgg16.input, vgg16.get_layer("block5_conv3").output)
    want = reference(keras.applications.vgg16.preprocess_input(frames[0].astype("float32")))
    stream = keras.Model(model.input["rgb"], model.get_layer("rgb_stream").output)
    got = np.asarray(stream(frames))[0]
    assert np.max(want) > 0.01
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.max(want))


def test_flow_stream_takes_all_but_its_first_convolution(model, vgg16, notop):
    convolutions = model.get_layer("flow_stream").convolutions
    first = [weight.copy() for weight in convolutions["block1_conv1"].get_weights()]
    load_vgg16_weights(model, notop, temporal_conv1="random")
    for name, convolution in convolutions.items():
        want = first if name == "block1_conv1" else vgg16.get_layer(name).get_weights()
        for got, expected in zip(convolution.get_weights(), want, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_cross_modality_repeats_the_mean_filter(model, vgg16, notop):
    load_vgg16_weights(model, notop, temporal_conv1="cross_modality")
    kernel, bias = model.get_layer("flow_stream").convolutions["block1_conv1"].get_weights()
    rgb_kernel, rgb_bias = vgg16.get_layer("block1_conv1").get_weights()
    mean = (rgb_kernel[:, :, 0] + rgb_kernel[:, :, 1] + rgb_kernel[:, :, 2]) / 3
    for channel in range(4):
        np.testing.assert_allclose(kernel[:, :, channel], mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(bias, rgb_bias)


def test_fc6_reads_the_features_in_the_order_of_vgg16s_fc1(vgg16, write_vgg16, tmp_path):
    """Pool, flatten and fc1 as keras.applications stacks them, on 4 x 4 fused features."""
    clip = ClipConfig(num_frames=2, flow_length=1, image_size=64)
    model = build_stfnet(
        ModelConfig(num_classes=3, clip=clip, lstm_units=2, fc6_units=8, streams="rgb")
    )
    rng = np.random.default_rng(3)
    fc1 = rng.normal(size=(2 * 2 * 512, 8)), rng.normal(size=8)
    path = write_vgg16(tmp_path / "full.h5", {**_layers(vgg16), "fc1": fc1})
    load_vgg16_weights(model, path, fc6_init="imagenet")
    top = keras.Sequential(
        [
            keras.Input((4, 4, 512)),
            keras.layers.MaxPooling2D(2, name="block5_pool"),
            keras.layers.Flatten(),
            keras.layers.Dense(8, activation="relu", name="fc1"),
        ]
    )
    top.get_layer("fc1").set_weights(fc1)
    features = rng.uniform(size=(1, 2, 4, 4, 512)).astype("float32")
    fc6 = keras.Model(model.get_layer("fusion").output, model.get_layer("fc6").output)
    np.testing.assert_allclose(np.asarray(fc6(features))[0], top(features[0]), rtol=1e-4)


def test_fc6_and_fc7_of_each_stream_are_vgg16s_fc1_and_fc2(vgg16, write_vgg16, tmp_path):
    clip = ClipConfig(num_frames=2, flow_length=1, image_size=32)
    config = TwoStreamConfig(3, clip, fc6_units=8)
    model = build_stfnet(config)
    rng = np.random.default_rng(3)
    fc1 = rng.normal(size=(512, 8)), rng.normal(size=8)
    fc2 = rng.normal(size=(8, 8)), rng.normal(size=8)
    path = write_vgg16(tmp_path / "full.h5", {**_layers(vgg16), "fc1": fc1, "fc2": fc2})
    load_vgg16_weights(model, path, fc6_init="imagenet")
    for stream in ("rgb", "flow"):
        for number, want in ((6, fc1), (7, fc2)):
            got = model.get_layer(f"{stream}_fc{number}").get_weights()
            for one, other in zip(got, want, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-6)


def test_a_baseline_without_fc6_refuses_vgg16s(notop):
    clip = ClipConfig(num_frames=2, flow_length=1, image_size=32)
    with pytest.raises(UserError, match="the network has none: set fc6_init=random"):
        load_vgg16_weights(build_stfnet(TSNConfig(3, clip)), notop, fc6_init="imagenet")


def test_weights_inside_a_whole_saved_model_are_found(model, vgg16, notop, tmp_path):
    whole = tmp_path / "whole.h5"
    with h5py.File(whole, "w") as file, h5py.File(notop) as source:
        source.copy(source, file, "model_weights")
    load_vgg16_weights(model, whole)
    got = model.get_layer("rgb_stream").convolutions["block4_conv2"].get_weights()[0]
    np.testing.assert_array_equal(got, vgg16.get_layer("block4_conv2").get_weights()[0])


def _without(layer):
    def change(layers):
        del layers[layer]

    return change


def _narrow(layers):
    kernel, bias = layers["block5_conv3"]
    layers["block5_conv3"] = kernel[..., :500], bias[:500]


def _short_bias(layers):
    layers["block5_conv3"] = layers["block5_conv3"][0], np.zeros(511)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            _without("block5_conv3"),
            r"broken\.h5 has no data sets for block5_conv3 .*3, 3, 512, 512",
        ),
        (
            _narrow,
            r"broken\.h5: the kernel of block5_conv3 has shape \(3, 3, 512, 500\), "
            r"but the model needs \(3, 3, 512, 512\)",
        ),
        (_short_bias, r"the bias of block5_conv3 has shape \(511,\), but the model needs \(512,\)"),
    ],
)
def test_unfit_file_leaves_the_model_untouched(
    change, message, model, vgg16, write_vgg16, tmp_path
):
    layers = {name: [2 * a for a in arrays] for name, arrays in _layers(vgg16).items()}
    change(layers)
    path = write_vgg16(tmp_path / "broken.h5", layers)
    before = model.get_weights()
    with pytest.raises(UserError, match=message):
        load_vgg16_weights(model, path)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value, weight.path)


def test_only_the_full_file_has_fc1(notop, write_vgg16, tmp_path):
    fc1 = {"fc1": (np.zeros((4, 2)), np.zeros(2))}
    full = write_vgg16(tmp_path / "full.h5", fc1)
    whole = tmp_path / "whole.h5"
    with h5py.File(whole, "w") as file, h5py.File(full) as source:
        source.copy(source, file, "model_weights")
    assert [weights.has_fc1(path) for path in (notop, full, whole)] == [False, True, True]
    assert weights.vgg16_file(str(notop)) == notop
    with pytest.raises(UserError, match=r"nowhere\.h5 is missing"):
        weights.has_fc1(tmp_path / "nowhere.h5")


def test_fc6_needs_the_full_file(model, notop):
    with pytest.raises(UserError, match=r"no data sets for fc1.*not in notop"):
        load_vgg16_weights(model, notop, fc6_init="imagenet")


def test_narrow_model_is_refused(notop):
    clip = ClipConfig(num_frames=2, flow_length=1, image_size=16)
    model = build_stfnet(ModelConfig(3, clip=clip, lstm_units=2, fc6_units=2, width_divisor=32))
    with pytest.raises(UserError, match=r"needs \(3, 3, 3, 2\); .*width_divisor=1"):
        load_vgg16_weights(model, notop)


def test_missing_file_and_file_of_another_kind(model, tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.h5 is missing"):
        load_vgg16_weights(model, tmp_path / "nowhere.h5")
    (tmp_path / "page.h5").write_text("<html>moved</html>")
    with pytest.raises(UserError, match=r"page\.h5 is not a readable HDF5 file"):
        load_vgg16_weights(model, tmp_path / "page.h5")


def test_unknown_choices_are_refused(model, notop):
    with pytest.raises(UserError, match="temporal_conv1='zero' is not one of 'random'"):
        load_vgg16_weights(model, notop, temporal_conv1="zero")
    with pytest.raises(UserError, match="fc6_init='zero' is not one of 'random'"):
        load_vgg16_weights(model, notop, fc6_init="zero")


@pytest.fixture
def server(notop, tmp_path, monkeypatch):
    """Serves the weights file in place of keras.applications' server, into an empty cache."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Handler, directory=notop.parent)
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(weights, "_URL", f"http://localhost:{server.server_port}/")
        monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
        yield
        server.shutdown()


def test_imagenet_weights_are_downloaded_and_checked(server, model, vgg16, notop, monkeypatch):
    md5 = hashlib.md5(notop.read_bytes()).hexdigest()
    monkeypatch.setattr(weights, "_NOTOP", ("notop.h5", md5))
    load_vgg16_weights(model, "imagenet")
    got = model.get_layer("rgb_stream").convolutions["block1_conv1"].get_weights()[0]
    np.testing.assert_array_equal(got, vgg16.get_layer("block1_conv1").get_weights()[0])


@pytest.mark.parametrize("file_name", ["notop.h5", "absent.h5"])
def test_failed_download_says_what_to_do(file_name, server, model, monkeypatch):
    monkeypatch.setattr(weights, "_NOTOP", (file_name, "0" * 32))
    with pytest.raises(UserError, match=rf"could not download http.*{file_name}.*give its path"):
        load_vgg16_weights(model, "imagenet")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A narrow network for three classes and its file."""
    network = _narrow()
    path = tmp_path_factory.mktemp("run") / "best.keras"
    network.save(path)
    return network, path


def _narrow(num_classes=3, image_size=SIZE, width_divisor=32, **settings):
    clip = ClipConfig(num_frames=2, flow_length=2, image_size=image_size)
    settings = {"width_divisor": width_divisor, "lstm_units": 4, "fc6_units": 8} | settings
    return build_stfnet(ModelConfig(num_classes=num_classes, clip=clip, **settings))


def _weights(network):
    return {layer.name: layer.get_weights() for layer in network.layers if layer.weights}


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({"num_classes": 5}, []),
        ({"image_size": 2 * SIZE}, ["fc6", "lstm_conv"]),
        ({"streams": "flow"}, ["fusion"]),
    ],
)
def test_a_network_starts_from_another_runs_but_for_its_classifier(trained, settings, left):
    network, path = trained
    ours = _narrow(**settings)
    before, theirs = _weights(ours), _weights(network)
    assert sorted(load_run_weights(ours, path)) == left
    for name, arrays in _weights(ours).items():
        source = before if name in (*left, "logits") else theirs
        for found, expected in zip(arrays, source[name], strict=True):
            np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(before["lstm_merged"][0], theirs["lstm_merged"][0])


def test_a_file_that_is_no_fitting_network_is_refused(trained, tmp_path):
    wider = _narrow(width_divisor=16, lstm_units=3, fc6_units=6)
    before = _weights(wider)
    with pytest.raises(UserError, match="none of its layers fits this network"):
        load_run_weights(wider, trained[1])
    (tmp_path / "best.keras").write_bytes(trained[1].read_bytes()[:500])
    with pytest.raises(UserError, match="is not the network of a run"):
        load_run_weights(wider, tmp_path / "best.keras")
    with pytest.raises(UserError, match="is missing; give best"):
        load_run_weights(wider, tmp_path / "nothing.keras")
    for name, arrays in _weights(wider).items():
        for found, expected in zip(arrays, before[name], strict=True):
            np.testing.assert_array_equal(found, expected)
