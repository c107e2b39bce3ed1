"""STFNet: the spatiotemporal fusion network of Ou & Sun 2019 and what feeds it.

With this package imported, saved networks load without custom objects: its layers are registered
with Keras as soon as Keras is imported, before or after. The package does not import Keras by
itself, so that what needs no network, such as a configuration file, loads without TensorFlow.

On x86-64 it also has TensorFlow convolve by oneDNN, unless TF_ENABLE_ONEDNN_OPTS=0 is set or
TensorFlow was imported before. By itself TensorFlow does so on processors with AVX-512 VNNI or AMX
alone, and on others a step of training on kept maps takes about twice the time.
"""

import importlib
import importlib.abc
import importlib.util
import os
import platform
import sys
from typing import TYPE_CHECKING

from stfnet import sampling
from stfnet.config import ClipConfig, ModelConfig

if platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if TYPE_CHECKING:
    from stfnet import layers
    from stfnet.clips.keras_dataset import datasets
    from stfnet.model import STFNet, build_stfnet
    from stfnet.weights import load_vgg16_weights

__all__ = [
    "ClipConfig",
    "ModelConfig",
    "STFNet",
    "build_stfnet",
    "datasets",
    "layers",
    "load_vgg16_weights",
    "sampling",
]

# The public names that need Keras, imported when they are first asked for.
_MODULE_OF = {
    "STFNet": "stfnet.model",
    "build_stfnet": "stfnet.model",
    "datasets": "stfnet.clips.keras_dataset",
    "load_vgg16_weights": "stfnet.weights",
}


def __getattr__(name: str):
    if name == "layers":
        return importlib.import_module("stfnet.layers")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'stfnet' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Imports `stfnet.model`, and with it every layer, right after Keras has been imported."""

    def find_spec(self, fullname, path, target=None):
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            sys.meta_path.insert(0, self)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_and_register(module):
                execute(module)
                sys.meta_path.remove(self)
                importlib.import_module("stfnet.model")

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]  # wrapped
        return spec


if "keras" in sys.modules:
    importlib.import_module("stfnet.model")
else:
    sys.meta_path.insert(0, _AfterKeras())
