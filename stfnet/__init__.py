"""STFNet: the spatiotemporal fusion network of Ou & Sun 2019 and what feeds it.

What needs no network, such as a configuration file, loads without Keras: names that need it import
it when they are first asked for. With `import stfnet.networks.model` the layers are registered with
Keras, so that `keras.saving.load_model` loads saved networks without custom objects.
"""

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

# A file of a user's, such as preprocessing.py beside a notebook, hides the package of that name.
if (
    (found := importlib.util.find_spec("preprocessing"))
    and found.origin
    and Path(found.origin).resolve().parent != Path(__file__).resolve().parents[1] / "preprocessing"
):
    raise ImportError(
        f"{found.origin} hides the package of this name that stfnet needs: give that file or "
        "folder another name"
    )

from stfnet import sampling
from stfnet.config import ClipConfig
from stfnet.networks import ModelConfig

if TYPE_CHECKING:
    from stfnet import layers
    from stfnet.clips.keras_dataset import datasets
    from stfnet.evaluation.evaluate import evaluate_run as evaluate
    from stfnet.networks.model import STFNet, build_stfnet
    from stfnet.recognizer import clip, load
    from stfnet.weights import load_vgg16_weights

__all__ = [
    "ClipConfig",
    "ModelConfig",
    "STFNet",
    "build_stfnet",
    "clip",
    "datasets",
    "evaluate",
    "layers",
    "load",
    "load_vgg16_weights",
    "sampling",
]

# The public names that need Keras, imported when they are first asked for: the module of each, and
# after a colon its name there where it has another.
_MODULE_OF = {
    "STFNet": "stfnet.networks.model",
    "build_stfnet": "stfnet.networks.model",
    "clip": "stfnet.recognizer",
    "datasets": "stfnet.clips.keras_dataset",
    "evaluate": "stfnet.evaluation.evaluate:evaluate_run",
    "load": "stfnet.recognizer",
    "load_vgg16_weights": "stfnet.weights",
}


def __getattr__(name: str):
    if name == "layers":
        return importlib.import_module("stfnet.layers")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'stfnet' has no attribute {name!r}")
    module, _, own = _MODULE_OF[name].partition(":")
    return getattr(importlib.import_module(module), own or name)
