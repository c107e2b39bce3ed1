"""From the bytes of frames and flow fields to the numbers that VGG-16 reads.

These are the network's first layers, so that a trained, an exported and a served model cannot
disagree on preprocessing. They compute in float32 and give the layer's compute dtype.
"""

from typing import Any

import keras
from keras import KerasTensor, ops

from stfnet.config import FLOW_INPUTS, RGB_INPUTS

# ImageNet's mean in RGB order, as in keras.applications.
IMAGENET_MEAN = (123.68, 116.779, 103.939)


@keras.saving.register_keras_serializable(package="stfnet")
class RGBNormalization(keras.layers.Layer):
    """RGB bytes to network input.

    Args:
        mode: `imagenet` gives BGR minus the ImageNet mean, unscaled, as
            `keras.applications.vgg16.preprocess_input`; `unit` gives RGB in [-1, 1].

    Call arguments:
        frames: uint8 (..., 3), RGB.

    Returns:
        Floating (..., 3).
    """

    def __init__(self, mode: str = "imagenet", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in RGB_INPUTS:
            raise ValueError(f"mode={mode!r} is not one of {', '.join(RGB_INPUTS)}")
        self.mode = mode

    def call(self, frames: KerasTensor) -> KerasTensor:
        frames = ops.cast(frames, "float32")
        if self.mode == "imagenet":
            frames = ops.flip(frames - ops.convert_to_tensor(IMAGENET_MEAN, "float32"), axis=-1)
        else:
            frames = frames / 127.5 - 1.0
        return ops.cast(frames, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable(package="stfnet")
class FlowNormalization(keras.layers.Layer):
    """Encoded flow bytes to network input.

    A byte v encodes a displacement of (v - 128) * bound / 127.5 pixels.

    Args:
        mode: `centered` gives v - 128, the two-stream convention, whose scale the ImageNet
            filters expect; `pixels` gives the displacement in pixels.
        bound: displacement in pixels at the ends of the 8-bit range.

    Call arguments:
        flow: uint8 (..., 2L).

    Returns:
        Floating (..., 2L).
    """

    def __init__(self, mode: str = "centered", bound: float = 20.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in FLOW_INPUTS:
            raise ValueError(f"mode={mode!r} is not one of {', '.join(FLOW_INPUTS)}")
        self.mode = mode
        self.bound = bound

    def call(self, flow: KerasTensor) -> KerasTensor:
        flow = ops.cast(flow, "float32") - 128.0
        if self.mode == "pixels":
            flow = flow * (self.bound / 127.5)
        return ops.cast(flow, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode, "bound": self.bound}
