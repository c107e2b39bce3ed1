"""Weights to start from: VGG-16's in both streams (and, if asked, fc6), or those of another run."""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from preprocessing.errors import UserError
from stfnet import run
from stfnet.config import FC6_INIT, TEMPORAL_CONV1
from stfnet.layers.input_normalization import IMAGENET_MEAN
from stfnet.networks import parts
from stfnet.run import checkpoints

# Layers that depend on the classes.
CLASSIFIERS = (
    "logits",
    "lstm_logits",
    "linear_logits",
    "rgb_scores",
    "flow_scores",
    "fused_scores",
)
_OWN = {"fc6": "fc1", "fc7": "fc2"}  # VGG-16's fully connected layers, in keras.applications

# Where torchvision's `vgg16` and timm's `vgg16.tv_in1k` have VGG-16's layers.
_FEATURES = dict(
    zip(
        ("0", "2", "5", "7", "10", "12", "14", "17", "19", "21", "24", "26", "28"),
        [f"block{b}_conv{c}" for b, n in enumerate((2, 2, 3, 3, 3), 1) for c in range(1, n + 1)],
        strict=True,
    )
)
_LINEAR = {"classifier.0": "fc1", "classifier.3": "fc2"}
_LINEAR |= {"pre_logits.fc1": "fc1", "pre_logits.fc2": "fc2"}
TORCH_EXTENSIONS = (".safetensors", ".pth", ".pt")
# torchvision's mean and deviation of RGB in [0, 1].
_TORCH_MEAN, _TORCH_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_PLACE = re.compile(r"(?:.*\.)?(features\.(\d+)|classifier\.\d|pre_logits\.fc\d)\.weight")

_URL = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/"
# keras.applications' files and their MD5 sums: the convolutions alone, and with the fc layers.
_NOTOP = ("vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5", "6d6bbae143d832006294945121d1f1fc")
_FULL = ("vgg16_weights_tf_dim_ordering_tf_kernels.h5", "64373286793e3c8b2b4e3219cbf3544b")


def load_vgg16_weights(
    model: keras.Model,
    path: str | Path,
    temporal_conv1: str = "random",
    fc6_init: str = "random",
    flow_path: str | Path | None = None,
) -> None:
    """Sets the streams' convolutions to VGG-16's; both streams start from the same file.

    Files of torchvision and timm are of a network that reads RGB divided by 255, less a mean and
    divided by a deviation. That is folded into the first convolution, so that it gives the same
    for the input of this network; only the zeros around the picture then stand for a colour that is
    less than half a grey level from theirs.

    Everything is read and checked before the first weight is set, so an error leaves the model as
    it was.

    Example:
        >>> clip = stfnet.ClipConfig(num_frames=2, image_size=32)
        >>> model = stfnet.build_stfnet(stfnet.ModelConfig(5, clip, fc6_units=8, lstm_units=4))
        >>> stfnet.load_vgg16_weights(model, "vgg16.h5", temporal_conv1="cross_modality")

    Args:
        model: an STFNet of width_divisor 1, with one stream or both.
        path: a `notop` or full .h5 file in the layout of keras.applications, or `imagenet` to
            download keras.applications' own (59 MB; 553 MB with `fc6_init="imagenet"`); or the
            weights of torchvision's `vgg16` or timm's `vgg16.tv_in1k`, .safetensors (needs the
            package safetensors) or .pth (PyTorch).
        temporal_conv1: the flow stream's block1_conv1, whose 2L input channels VGG-16 does not
            have: `random` leaves it, bias included, as initialised (the paper); `cross_modality`
            repeats the mean of the RGB filters over their input channels (Wang et al. 2015).
        fc6_init: `random` leaves fc6 as initialised (the paper does not say); `imagenet` takes
            VGG-16's fc1, which needs 224-pixel clips, 4096 fc6 units and a full file. A baseline's
            fc6 and fc7 of every stream then take VGG-16's fc1 and fc2.
        flow_path: a VGG-16 that another project trained on flow stacks of x1, y1, x2, y2, ... less
            128, in the same formats; the flow stream takes it, and `temporal_conv1` has no effect.
            Where its stacks have another length, the x filters of the first convolution are
            averaged and repeated, and so are the y filters, scaled so that steady motion gives the
            same.

    Raises:
        UserError: the file is missing, is of no such format, or lacks a data set of the needed
            shape; a choice is unknown; or the file is torchvision's and the network's `rgb_input`
            is not `imagenet`.
    """
    _check_choice("temporal_conv1", temporal_conv1, TEMPORAL_CONV1)
    _check_choice("fc6_init", fc6_init, FC6_INIT)
    streams = parts.streams_of(model)
    if not streams:
        raise UserError(f"model {model.name} has no VGG stream to load VGG-16's weights into")
    path = vgg16_file(path, full=fc6_init == "imagenet")
    if path.suffix in TORCH_EXTENSIONS and model.config.rgb_input != "imagenet":
        raise UserError(
            f"{path} needs model.rgb_input=imagenet, to which it is converted, and this network has"
            f" {model.config.rgb_input}: set rgb_input=imagenet"
        )
    assignments = []
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(_open(path))
        of_flow = stack.enter_context(_open(Path(flow_path))) if flow_path else None
        for stream, layer in streams.items():
            source = of_flow if stream == "flow" and of_flow else file
            for name, convolution in layer.convolutions.items():
                if name == "block1_conv1" and stream == "flow":
                    if of_flow:
                        kernel, bias = _of_stacks(of_flow, convolution)
                    elif temporal_conv1 == "random":
                        continue
                    else:
                        kernel, bias = _cross_modality(file, convolution)
                else:
                    kernel, bias = _read(source, name, convolution.kernel.shape)
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
        UserError: the file is missing or of no such format.
    """
    with _open(path) as file:
        return "fc1" in file.layers


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


class _File:
    """The layers of a file of weights: its name, and what it has of each layer, as it is read."""

    def __init__(self, path: Path, layers: Any):
        self.path, self.layers = path, layers

    def find(self, layer: str) -> list[np.ndarray] | None:
        """The arrays of a layer, not yet read where the file is HDF5; None without it."""
        found = self.layers.get(layer)
        if not isinstance(found, h5py.Group):
            return found
        names = found.attrs.get("weight_names", ())
        names = [name.decode() if isinstance(name, bytes) else name for name in names]
        return [found.get(name) for name in names]


@contextlib.contextmanager
def _open(path: str | Path) -> Iterator[_File]:
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"VGG-16 weights file {path} is missing; give an .h5 file of keras.applications, a"
            " .safetensors or .pth file of torchvision's, or 'imagenet' to download one"
        )
    if path.suffix in TORCH_EXTENSIONS:
        yield _File(path, _keras_layers(path, _read_torch(path)))
        return
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(
            f"{path} is not a readable HDF5 file ({error}); VGG-16 weights come as the notop or "
            "full .h5 file of keras.applications, or as .safetensors or .pth of torchvision"
        ) from error
    with file:
        # A whole saved model has the groups of the layers below `model_weights`.
        yield _File(path, file.get("model_weights", file))


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file of PyTorch's or of safetensors, by their names."""
    package = "safetensors" if path.suffix == ".safetensors" else "torch"
    try:
        if package == "safetensors":
            from safetensors import numpy

            return numpy.load_file(path)
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)
        state = next((state[key] for key in ("state_dict", "model") if key in state), state)
        return {name: tensor.float().numpy() for name, tensor in state.items()}
    except ImportError as error:
        raise UserError(f"{path} needs the package {package} ({error}): pip install it") from error
    except Exception as error:  # of many kinds, whatever the file's damage
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is no readable {package} file of weights ({reason})") from error


def _keras_layers(path: Path, tensors: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
    """VGG-16's layers by their names in keras.applications, of tensors of torchvision's layout.

    Raises:
        UserError: the convolutions are not VGG-16's.
    """
    layers: dict[str, list[np.ndarray]] = {}
    found = set()
    for name, kernel in tensors.items():
        place = _PLACE.fullmatch(name)
        bias = tensors.get(name.removesuffix("weight") + "bias")
        if not place or bias is None:
            continue
        if place[2]:
            found.add(place[2])
            if place[2] in _FEATURES and kernel.ndim == 4:
                layers[_FEATURES[place[2]]] = [kernel.transpose(2, 3, 1, 0), bias]  # o i h w
        elif own := _LINEAR.get(place[1]):
            if own == "fc1":  # of 7 x 7 cells, which Keras flattens with their channels last
                kernel = kernel.reshape(len(kernel), 512, -1).transpose(0, 2, 1)  # o c (h w)
            layers[own] = [kernel.reshape(len(kernel), -1).T, bias]
    if found != set(_FEATURES):
        raise UserError(
            f"{path} has not the 13 convolutions of VGG-16 as torchvision names them (features.0 to"
            " features.28, without batch normalisation): give the weights of torchvision's vgg16 or"
            " timm's vgg16.tv_in1k"
        )
    kernel, bias = layers["block1_conv1"]
    if kernel.shape[2] == 3:
        layers["block1_conv1"] = _for_bgr(kernel, bias)
    return layers


def _for_bgr(kernel: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """A first convolution of torchvision's input for this network's, BGR less ImageNet's mean."""
    mean, deviation = 255 * np.array(_TORCH_MEAN), 255 * np.array(_TORCH_DEVIATION)
    kernel = kernel / deviation[:, None]
    bias = bias + np.einsum("hwio,i->o", kernel, np.array(IMAGENET_MEAN) - mean)
    return [kernel[:, :, ::-1].astype(np.float32), bias.astype(np.float32)]


def _read(file: _File, layer: str, kernel_shape: Sequence[int | None]) -> list[np.ndarray]:
    """Kernel and bias of one layer, checked against the shape that the model needs."""
    found = file.find(layer)
    if not found or len(found) != 2:
        hint = f"; {layer} is in the full file only, not in notop" if layer in _OWN.values() else ""
        raise UserError(
            f"{file.path} has no data sets for {layer} (a kernel of shape "
            f"{tuple(kernel_shape)} and a bias) in the layout of keras.applications{hint}"
        )
    arrays = []
    for kind, data, needed in zip(
        ("kernel", "bias"), found, (tuple(kernel_shape), (kernel_shape[-1],)), strict=True
    ):
        shape = getattr(data, "shape", ())
        if len(shape) != len(needed) or any(
            want not in (None, size) for size, want in zip(shape, needed, strict=True)
        ):
            hint = (
                "224-pixel clips, width_divisor=1 and fc6_units=4096"
                if layer in _OWN.values()
                else "width_divisor=1"
            )
            raise UserError(
                f"{file.path}: the {kind} of {layer} has shape {shape}, but the model needs "
                f"{needed}; VGG-16's weights fit models of {hint}"
            )
        arrays.append(np.asarray(data))
    return arrays


def _cross_modality(file: _File, convolution: keras.layers.Conv2D):
    """Kernel of the mean RGB filter for each input channel, and the bias."""
    *window, channels, filters = convolution.kernel.shape
    kernel, bias = _read(file, "block1_conv1", (*window, 3, filters))
    return np.repeat(kernel.mean(axis=2, keepdims=True), channels, axis=2), bias


def _of_stacks(file: _File, convolution: keras.layers.Conv2D):
    """Kernel and bias of a first convolution of flow stacks of another length."""
    *window, channels, filters = convolution.kernel.shape
    kernel, bias = _read(file, "block1_conv1", (*window, None, filters))
    if kernel.shape[2] == channels:
        return kernel, bias
    if kernel.shape[2] % 2:
        raise UserError(
            f"{file.path}: its first convolution reads {kernel.shape[2]} channels, and a stack of "
            "flow has x and y of each field: give a network of flow"
        )
    fields = kernel.reshape(*window, -1, 2, filters)  # h w l xy o
    total = fields.sum(axis=2, keepdims=True) / (channels // 2)
    return np.repeat(total, channels // 2, axis=2).reshape(*window, channels, filters), bias
