"""Weights to start from: VGG-16's in both streams (and, if asked, fc6), or those of another run."""

import os
from collections.abc import Sequence
from pathlib import Path

import h5py
import keras
import numpy as np

from preprocessing.errors import UserError
from stfnet import run
from stfnet.config import FC6_INIT, TEMPORAL_CONV1
from stfnet.layers.vgg_stream import VGGStream
from stfnet.run import checkpoints

# Layers that depend on the classes.
CLASSIFIERS = (
    *("logits", "lstm_logits", "linear_logits"),
    *("rgb_scores", "flow_scores", "fused_scores"),
)
_OWN = {"fc6": "fc1", "fc7": "fc2"}  # VGG-16's fully connected layers, in keras.applications

_URL = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
# keras.applications' files and their MD5 sums: the convolutions alone, and with the fc layers.
_NOTOP = ("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc")
_FULL = ("vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b")


def load_vgg16_weights(
    model: keras.Model,
    path: str | Path,
    temporal_conv1: str = "random",
    fc6_init: str = "random",
) -> None:
    """Sets the streams' convolutions to VGG-16's; both streams start from the same file.

    Everything is read and checked before the first weight is set, so an error leaves the model as
    it was.

    Args:
        model: an STFNet of width_divisor 1, with one stream or both.
        path: a `notop` or full .h5 file in the layout of keras.applications, or `imagenet` to
            download keras.applications' own (59 MB; 553 MB with `fc6_init="imagenet"`).
        temporal_conv1: the flow stream's block1_conv1, whose 2L input channels VGG-16 does not
            have: `random` leaves it, bias included, as initialised (the paper); `cross_modality`
            repeats the mean of the RGB filters over their input channels (Wang et al. 2015).
        fc6_init: `random` leaves fc6 as initialised (the paper does not say); `imagenet` takes
            VGG-16's fc1, which needs 224-pixel clips, 4096 fc6 units and a full file. A baseline's
            fc6 and fc7 of every stream then take VGG-16's fc1 and fc2.

    Raises:
        UserError: the file is missing, is not HDF5, or lacks a data set of the needed shape; or a
            choice is unknown.
    """
    _check_choice("temporal_conv1", temporal_conv1, TEMPORAL_CONV1)
    _check_choice("fc6_init", fc6_init, FC6_INIT)
    streams = [layer for layer in model.layers if isinstance(layer, VGGStream)]
    if not streams:
        raise UserError(f"model {model.name} has no VGG stream to load VGG-16's weights into")
    path = vgg16_file(path, full=fc6_init == "imagenet")
    assignments = []
    with _open(path) as file:
        for stream in streams:
            for name, convolution in stream.convolutions.items():
                if name == "block1_conv1" and stream.name == "flow_stream":
                    if temporal_conv1 == "random":
                        continue
                    kernel, bias = _cross_modality(file, convolution)
                else:
                    kernel, bias = _read(file, name, convolution.kernel.shape)
                assignments += [(convolution.kernel, kernel), (convolution.bias, bias)]
        if fc6_init == "imagenet":
            found = [(layer, _OWN[layer.name[-3:]]) for layer in model.layers if _is_fc(layer)]
            if not found:
                raise UserError(
                    "fc6_init=imagenet sets fc6, and the network has none: set fc6_init=random"
                )
            for layer, own in found:
                kernel, bias = _read(file, own, layer.kernel.shape)
                assignments += [(layer.kernel, kernel), (layer.bias, bias)]
    for variable, value in assignments:
        variable.assign(value)


def vgg16_file(path: str | Path, full: bool = False) -> Path:
    """The file of VGG-16's weights; where it is `imagenet`, that is downloaded once.

    Args:
        path: a file, which is returned as it is, or `imagenet`.
        full: whether to download the file with the fully connected layers.

    Raises:
        UserError: the download failed.
    """
    if path == "imagenet":
        return Path(_download(*(_FULL if full else _NOTOP)))
    return Path(path)


def has_fc1(path: Path) -> bool:
    """Whether a file of VGG-16's weights has the first fully connected layer.

    Raises:
        UserError: the file is missing or is not HDF5.
    """
    with _open(path) as file:
        return "fc1" in _layers(file)


def load_run_weights(model: keras.Model, path: str | Path) -> list[str]:
    """Starts a network from the weights of another run's, trained on other classes.

    Each layer takes the weights of the layer of the same name if all their shapes agree. With
    another image size fc6 and the LSTM that reads X_conv keep their own; another T changes no
    shape. The classifier (`logits`) stays as initialised.

    Args:
        model: an STFNet.
        path: the other run's `best.keras`.

    Returns:
        Names of the layers that kept their own weights, without the classifier.

    Raises:
        UserError: the file is not the network of a run, or no layer of it fits; the model is
            unchanged.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is missing; give {run.BEST_FILE} in the folder of a run")
    try:
        checkpoints.check_members(path)
        other = keras.saving.load_model(path, compile=False)
    except Exception as error:  # of many kinds, whatever the file's damage
        raise UserError(f"{path} is not the network of a run ({error})") from error
    layers = {layer.name: layer for layer in other.layers}
    assignments: list[tuple[keras.Variable, keras.Variable]] = []
    left = []
    for layer in model.layers:
        if not layer.weights or layer.name in CLASSIFIERS:
            continue
        weights = layers[layer.name].weights if layer.name in layers else []
        if [w.shape for w in weights] == [w.shape for w in layer.weights]:
            assignments += zip(layer.weights, weights, strict=True)
        else:
            left.append(layer.name)
    if not assignments:
        raise UserError(
            f"{path}: none of its layers fits this network; model.width_divisor, model.lstm_units "
            f"and the like must be those of that run (its {run.CONFIG_FILE})"
        )
    for variable, value in assignments:
        variable.assign(keras.ops.convert_to_numpy(value))
    return left


def _is_fc(layer: keras.Layer) -> bool:
    """Whether a layer is fc6 or fc7, of STFNet or of a baseline's stream such as `rgb_fc6`."""
    return isinstance(layer, keras.layers.Dense) and layer.name[-3:] in _OWN


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise UserError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")


def _download(file_name: str, md5: str) -> str:
    try:
        return keras.utils.get_file(
            file_name, _URL + file_name, cache_subdir="models", file_hash=md5
        )
    except Exception as error:  # get_file raises bare Exceptions for anything the network does
        reason = str(error).removeprefix(f"URL fetch failure on {_URL}{file_name}: ")
        place = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models" / file_name
        raise UserError(
            f"could not download {_URL}{file_name} ({reason}); fetch it by other means and put it "
            f"at {place}, or give its path instead of 'imagenet'"
        ) from error


def _open(path: str | Path) -> h5py.File:
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"VGG-16 weights file {path} is missing; give an .h5 file of keras.applications, or "
            "'imagenet' to download one"
        )
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UserError(
            f"{path} is not a readable HDF5 file ({error}); VGG-16 weights come as the notop or "
            "full .h5 file of keras.applications"
        ) from error


def _layers(file: h5py.File) -> h5py.Group:
    """The groups of the layers, which a whole saved model has below `model_weights`."""
    return file.get("model_weights", file)


def _read(file: h5py.File, layer: str, kernel_shape: Sequence[int]) -> list[np.ndarray]:
    """Kernel and bias of one layer, checked against the shape that the model needs."""
    group = _layers(file).get(layer)
    if not isinstance(group, h5py.Group) or len(group.attrs.get("weight_names", ())) != 2:
        hint = f"; {layer} is in the full file only, not in notop" if layer in _OWN.values() else ""
        raise UserError(
            f"{file.filename} has no data sets for {layer} (a kernel of shape "
            f"{tuple(kernel_shape)} and a bias) in the layout of keras.applications{hint}"
        )
    arrays = []
    for name, needed in zip(
        group.attrs["weight_names"], (tuple(kernel_shape), (kernel_shape[-1],)), strict=True
    ):
        name = name.decode() if isinstance(name, bytes) else name
        data = group.get(name)
        shape = getattr(data, "shape", None)
        if shape != needed:
            hint = (
                "224-pixel clips, width_divisor=1 and fc6_units=4096"
                if layer in _OWN.values()
                else "width_divisor=1"
            )
            raise UserError(
                f"{file.filename}: data set {layer}/{name} has shape {shape}, but the model needs "
                f"{needed}; VGG-16's weights fit models of {hint}"
            )
        arrays.append(np.asarray(data))
    return arrays


def _cross_modality(file: h5py.File, convolution: keras.layers.Conv2D):
    """Kernel of the mean RGB filter for each input channel, and the bias."""
    *window, channels, filters = convolution.kernel.shape
    kernel, bias = _read(file, "block1_conv1", (*window, 3, filters))
    return np.repeat(kernel.mean(axis=2, keepdims=True), channels, axis=2), bias
