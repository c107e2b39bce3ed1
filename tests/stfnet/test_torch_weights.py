"""VGG-16 in the files of torchvision, timm and two-stream projects, by float64 statements."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from scipy.signal import correlate

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, build_stfnet, load_vgg16_weights
from stfnet.weights import _FEATURES

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CAFFE = np.array([123.68, 116.779, 103.939])  # RGB
REAL = Path("../shared/data/vgg16/vgg16_imagenet_notop.h5")
SIZE = 32


@pytest.fixture(scope="module")
def numpy():
    """The module that writes and reads safetensors as arrays."""
    return pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")


@pytest.fixture(scope="module")
def model():
    clip = ClipConfig(num_frames=2, flow_length=2, image_size=SIZE)
    return build_stfnet(ModelConfig(num_classes=3, clip=clip, lstm_units=4, fc6_units=8))


def _random(channels=3, prefix="features.", seed=0):
    """A VGG-16 in torchvision's layout, (out, in, height, width)."""
    rng, tensors = np.random.default_rng(seed), {}
    for place, name in _FEATURES.items():
        filters = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}[name[5]]
        kernel = rng.normal(size=(filters, channels, 3, 3)) * (2 / 9 / channels) ** 0.5
        tensors[f"{prefix}{place}.weight"] = kernel.astype(np.float32)
        tensors[f"{prefix}{place}.bias"] = rng.normal(size=filters).astype(np.float32) / 10
        channels = filters
    return tensors


def test_the_first_convolution_gives_what_it_gave_for_torchvisions_input(numpy, model, tmp_path):
    tensors = _random()
    numpy.save_file(tensors, tmp_path / "vgg16.safetensors")
    load_vgg16_weights(model, tmp_path / "vgg16.safetensors")
    frame = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    theirs = np.pad((frame / 255 - MEAN) / DEVIATION, ((1, 1), (1, 1), (0, 0)))
    kernels, bias = tensors["features.0.weight"].astype(float), tensors["features.0.bias"]
    want = np.stack(
        [
            correlate(theirs, kernel.transpose(1, 2, 0), "valid")[..., 0] + offset
            for kernel, offset in zip(kernels, bias, strict=True)
        ],
        -1,
    )
    read = model.get_layer("rgb_normalization")(frame[None, None])
    convolution = model.get_layer("rgb_stream").convolutions["block1_conv1"]
    kernel, offset = convolution.kernel, convolution.bias
    got = keras.ops.conv(read[:, 0], kernel, padding="same", data_format="channels_last") + offset
    difference = np.abs(keras.ops.convert_to_numpy(got)[0] - want)
    assert difference[1:-1, 1:-1].max() < 1e-4 < np.abs(want).max()
    # Around the picture are zeros, which stand for colours half a grey level apart.
    half = np.abs(CAFFE - 255 * MEAN) / (255 * DEVIATION)
    most = np.abs(kernels).sum((2, 3)) @ half
    assert (difference <= most + 1e-4).all() and half.max() < 0.01


@pytest.mark.parametrize("prefix", ["features.", "module.backbone.features."])
def test_the_other_convolutions_are_theirs(numpy, model, tmp_path, prefix):
    tensors = _random(prefix=prefix)
    numpy.save_file(tensors, tmp_path / "vgg16.safetensors")
    load_vgg16_weights(model, tmp_path / "vgg16.safetensors")
    for stream in ("rgb_stream", "flow_stream"):
        for place, name in list(_FEATURES.items())[1:]:
            kernel, bias = model.get_layer(stream).convolutions[name].get_weights()
            want = tensors[f"{prefix}{place}.weight"]
            np.testing.assert_array_equal(kernel, want.transpose(2, 3, 1, 0))
            np.testing.assert_array_equal(bias, tensors[f"{prefix}{place}.bias"])


@pytest.mark.parametrize(("channels", "scale"), [(4, 1), (20, 5), (10, 2.5)])
def test_a_network_of_flow_gives_the_same_for_steady_motion(
    numpy, model, tmp_path, channels, scale
):
    numpy.save_file(_random(), tmp_path / "rgb.safetensors")
    tensors = _random(channels, seed=1)
    numpy.save_file(tensors, tmp_path / "flow.safetensors")
    load_vgg16_weights(model, tmp_path / "rgb.safetensors", flow_path=tmp_path / "flow.safetensors")
    kernel, _ = model.get_layer("flow_stream").convolutions["block1_conv1"].get_weights()
    theirs = tensors["features.0.weight"].transpose(2, 3, 1, 0)
    steady = np.array([3.0, -2.0])  # x and y of every field
    want = np.einsum("hwco,c->hwo", theirs, np.tile(steady, channels // 2))
    got = np.einsum("hwco,c->hwo", kernel, np.tile(steady, 2))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    if channels != 4:
        np.testing.assert_allclose(
            kernel[:, :, 0], theirs[:, :, ::2].mean(2) * scale, rtol=1e-4, atol=1e-6
        )


def test_what_does_not_fit_is_refused_in_one_line(numpy, model, tmp_path):
    tensors = _random()
    del tensors["features.28.weight"]
    numpy.save_file(tensors, tmp_path / "part.safetensors")
    with pytest.raises(UserError, match="has not the 13 convolutions of VGG-16"):
        load_vgg16_weights(model, tmp_path / "part.safetensors")
    (tmp_path / "damaged.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match=r"damaged\.safetensors is no readable safetensors file"):
        load_vgg16_weights(model, tmp_path / "damaged.safetensors")
    numpy.save_file(_random(), tmp_path / "whole.safetensors")
    clip = ClipConfig(num_frames=2, flow_length=2, image_size=SIZE)
    unit = build_stfnet(ModelConfig(3, clip, lstm_units=4, fc6_units=8, rgb_input="unit"))
    with pytest.raises(UserError, match="set rgb_input=imagenet"):
        load_vgg16_weights(unit, tmp_path / "whole.safetensors")


def test_a_file_of_pytorch_is_that_of_safetensors(numpy, model, tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensors = _random()
    numpy.save_file(tensors, tmp_path / "vgg16.safetensors")
    state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    torch.save({"state_dict": state}, tmp_path / "vgg16.pth")
    load_vgg16_weights(model, tmp_path / "vgg16.safetensors")
    want = model.get_layer("rgb_stream").get_weights()
    load_vgg16_weights(model, tmp_path / "vgg16.pth")
    for one, other in zip(model.get_layer("rgb_stream").get_weights(), want, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(not REAL.is_file(), reason="VGG-16's ImageNet weights are not on this machine")
def test_imagenets_weights_come_back_from_torchvisions_layout(numpy, model, tmp_path):
    tensors = {}
    with h5py.File(REAL) as file:
        for place, name in _FEATURES.items():
            kernel, bias = (np.array(file[name][one]) for one in file[name].attrs["weight_names"])
            if name == "block1_conv1":  # for RGB / 255, less the mean, by the deviation
                bias = bias - np.einsum("hwio,i->o", kernel[:, :, ::-1], CAFFE - 255 * MEAN)
                kernel = kernel[:, :, ::-1] * (255 * DEVIATION)[:, None]
            kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1), np.float32)
            tensors[f"features.{place}.weight"] = kernel
            tensors[f"features.{place}.bias"] = bias.astype(np.float32)
    numpy.save_file(tensors, tmp_path / "vgg16.safetensors")
    load_vgg16_weights(model, REAL, temporal_conv1="cross_modality")
    want = model.get_weights()
    load_vgg16_weights(model, tmp_path / "vgg16.safetensors", temporal_conv1="cross_modality")
    for one, other in zip(model.get_weights(), want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())
