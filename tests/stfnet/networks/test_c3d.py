"""C3D: 3-D convolutions and poolings, counted and restated."""

import itertools

import numpy as np
import pytest

import stfnet
from preprocessing.errors import UserError
from stfnet import ClipConfig, complexity
from stfnet.config import TrainingConfig
from stfnet.networks import C3DConfig, parts
from stfnet.run.config import check_together


def _config(num_classes=5, num_frames=3, image_size=16, **settings):
    clip = ClipConfig(num_frames=num_frames, image_size=image_size)
    return C3DConfig(num_classes, clip, **settings)


def test_parameters_and_multiply_adds_of_the_papers_network(counts):
    # The published networks: 78.41 M parameters for UCF101's 101 classes (the 487 of Sports-1M are
    # 386 x 4097 more), 38.5 G multiply-adds a clip of 16 frames.
    config = _config(101, 16, 112)
    assert sum(counts(config).values()) == 78_409_573
    assert counts(config)["c3d_fc6"] == (1 * 4 * 4 * 512 + 1) * 4096
    assert complexity.forward_multiply_adds(config) == pytest.approx(38.5e9, rel=2e-3)
    assert complexity.stream_multiply_adds(config) == 0


def test_convolutions_and_poolings(numpy_convolution, randomize, softmax):
    model = stfnet.STFNet(_config(width_divisor=32, fc6_units=7), dtype="float64")
    randomize(model)
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16, 3), dtype="uint8")
    x = np.asarray(model.get_layer("rgb_normalization")(frames))

    def pool(x, time):
        """Maximum of windows of time x 2 x 2, those at the end cut off by the border."""
        sides = [range(0, n, s) for n, s in zip(x.shape[1:4], (time, 2, 2), strict=True)]
        shape = (2, *(len(side) for side in sides), x.shape[-1])
        windows = [
            x[:, t : t + time, i : i + 2, j : j + 2].max(axis=(1, 2, 3))
            for t, i, j in itertools.product(*sides)
        ]
        return np.stack(windows, axis=1).reshape(shape)

    for number, block in enumerate((("1a",), ("2a",), ("3a", "3b"), ("4a", "4b"), ("5a", "5b"))):
        for name in block:
            layer = model.get_layer(f"conv{name}")
            x = np.maximum(numpy_convolution(x, layer.kernel.numpy(), layer.bias.numpy()), 0)
        x = pool(x, 2 if number else 1)
    x = x.reshape(2, -1)
    for name in ("c3d_fc6", "c3d_fc7"):
        layer = model.get_layer(name)
        x = np.maximum(x @ layer.kernel.numpy() + layer.bias.numpy(), 0)
    layer = model.get_layer("logits")
    want = softmax(x @ layer.kernel.numpy() + layer.bias.numpy())
    np.testing.assert_allclose(model({"rgb": frames}), want, rtol=1e-9)


def test_sides_are_rounded_up():
    assert parts.pool3d(np.zeros((2, 17, 7, 7, 1), "float32"), 2).shape == (2, 9, 4, 4, 1)
    assert parts.pool3d(np.zeros((2, 17, 7, 7, 1), "float32"), 1).shape == (2, 17, 4, 4, 1)


@pytest.mark.parametrize(
    "settings", [{"weights": "imagenet"}, {"frozen_blocks": (5, 0)}, {"weights": "vgg16.h5"}]
)
def test_weights_of_vgg16_are_refused(settings):
    check_together(_config(), TrainingConfig(weights="other/best.keras"))
    with pytest.raises(UserError, match=r"the network c3d has no VGG-16, .*: leave weights empty"):
        check_together(_config(), TrainingConfig(**settings))
