"""An explanation and a clip with known values, for what draws and writes them."""

import dataclasses

import numpy as np
import pytest

from stfnet.explanation.attribution import Explanation, FrameImportance
from stfnet.explanation.pictures import ShownClip


@pytest.fixture
def explanation():
    """Of a clip of three frames: Grad-CAM is 1, 0.5 and 0 in one quarter of the map."""
    cam = np.zeros((3, 2, 2), np.float32)
    cam[:, 0, 1] = (1, 0.5, 0)
    maps = np.zeros((4, 4, 8), np.float32)
    maps[1, 2, :5] = (1, 2, 3, 4, 5)
    layers = {number: maps for number in (1, 6, 9)}
    return Explanation(
        classes=("Bow", "Jump", "Wave"),
        logits=np.log(np.array([0.25, 0.125, 0.625], np.float32)),
        target=2,
        shown=1,
        feature_maps={"rgb": layers, "flow": layers},
        grad_cam=cam,
        importance={
            "conv": FrameImportance(np.array([0.1, 0, -0.4]), np.array([0.2, -0.1, 0])),
            "fc": FrameImportance(np.zeros(3), np.zeros(3)),
        },
    )


@pytest.fixture
def make_clip():
    """Function of changes that makes the drawn clip: frames 0, 3 and 6 of 11, 64 x 48."""
    frames = np.full((3, 32, 32, 3), (90, 120, 150), np.uint8)
    fields = np.full((3, 32, 32, 3), (255, 0, 0), np.uint8)
    clip = ShownClip(frames, fields, (0, 3, 6), 11, 20.0, whole=True, aspect=4 / 3)

    def make(**changes):
        return dataclasses.replace(clip, **changes)

    return make
