"""STFNet: the spatiotemporal fusion network of Ou & Sun 2019 and what feeds it.

Importing this package registers its layers, so that saved models load without custom objects.
"""

from stfnet import layers, sampling
from stfnet.config import ClipConfig, ModelConfig
from stfnet.model import STFNet, build_stfnet
from stfnet.weights import load_vgg16_weights

__all__ = [
    "ClipConfig",
    "ModelConfig",
    "STFNet",
    "build_stfnet",
    "layers",
    "load_vgg16_weights",
    "sampling",
]
