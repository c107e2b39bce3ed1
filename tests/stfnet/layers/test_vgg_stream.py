"""A stream against a float64 NumPy statement; that it is VGG-16 is tested with its weights."""

import keras
import numpy as np

from stfnet.layers import VGGStream
from stfnet.layers.vgg_stream import map_shape

CONVOLUTIONS = (2, 2, 3, 3, 3)


def _numpy_stream(frames, stream, convolve):
    x = frames
    for block, count in enumerate(CONVOLUTIONS, 1):
        if block > 1:
            n, height, width, channels = x.shape
            x = x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
        for number in range(1, count + 1):
            layer = stream.convolutions[f"block{block}_conv{number}"]
            x = np.maximum(convolve(x, layer.kernel.numpy(), layer.bias.numpy()), 0)
    return x


def test_stream_passes_every_frame_through_vgg16(numpy_convolution, randomize):
    clips = np.random.default_rng(0).normal(size=(2, 3, 32, 16, 5))
    stream = VGGStream(width_divisor=32, dtype="float64")
    stream.build(clips.shape)
    randomize(stream)
    features = np.asarray(stream(clips))
    assert features.shape == (2, 3, 2, 1, 16)
    assert stream(keras.Input(clips.shape[1:])).shape == (None, 3, 2, 1, 16)
    want = _numpy_stream(clips.reshape(6, 32, 16, 5), stream, numpy_convolution)
    np.testing.assert_allclose(features.reshape(want.shape), want, rtol=1e-9, atol=1e-12)


def test_freezing_keeps_the_first_blocks():
    stream = VGGStream(width_divisor=64)
    stream.build((None, 2, 32, 32, 3))
    for blocks, trained in ((5, 0), (2, 2 * 9), (0, 2 * 13)):  # a kernel and a bias each
        stream.freeze(blocks)
        assert len(stream.trainable_variables) == trained
    stream.freeze(2)
    frozen = {variable.path.split("/")[-2] for variable in stream.non_trainable_variables}
    assert frozen == {"block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2"}


def test_features_keep_their_scale_at_first():
    """He's initialiser: 13 layers neither extinguish nor blow up what a narrow stream sees."""
    keras.utils.set_random_seed(0)
    clips = np.random.default_rng(0).normal(size=(1, 2, 32, 32, 3)).astype("float32")
    features = np.asarray(VGGStream(width_divisor=4)(clips))
    assert 0.1 < np.sqrt(np.mean(features**2)) < 30


def test_earlier_levels_stand_before_the_last_averaged_to_its_cells(randomize):
    clips = np.random.default_rng(0).normal(size=(2, 3, 64, 32, 5))
    stream = VGGStream(width_divisor=32, levels=(3, 4, 5), dtype="float64")
    stream.build(clips.shape)
    randomize(stream)
    maps = np.asarray(stream(clips))
    assert maps.shape[2:] == map_shape((64, 32), 5, 32, (3, 4, 5)) == (4, 2, 8 + 16 + 16)
    third = np.asarray(stream(clips, last=3)).reshape(2, 3, 4, 2, 2, 2, 8).mean((3, 5))
    np.testing.assert_allclose(maps[..., :8], third, rtol=1e-9)
    np.testing.assert_array_equal(maps[..., 8:24], stream(clips, last=4))
    alone = VGGStream(width_divisor=32, dtype="float64")
    alone.build(clips.shape)
    for one, other in zip(alone.weights, stream.weights, strict=True):
        one.assign(other)
    np.testing.assert_array_equal(maps[..., 24:], alone(clips))
    # From the maps of an earlier block too, and a map that is whole stays as it is.
    np.testing.assert_array_equal(stream(stream(clips, last=3), first=4), maps)
    np.testing.assert_array_equal(stream(maps, first=6), maps)
