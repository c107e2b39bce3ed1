"""The parts that networks share, and the walk through a network."""

import keras
import numpy as np
import pytest

from stfnet import STFNet, build_stfnet
from stfnet.networks import parts


def test_maps_pass_through_one_layer_and_come_back(tiny):
    model = build_stfnet(tiny("tsn"))
    streams = [model.get_layer(f"{name}_stream").output for name in ("rgb", "flow")]
    together = keras.Model(streams, model.get_layer("fusion").output)
    a, b = np.random.default_rng(0).normal(size=(2, 1, 3, 3, 3, 16)).astype("float32")
    np.testing.assert_array_equal(together([a, b]), np.concatenate([a, b], axis=-1))
    means = keras.Model(streams, model.get_layer("logits").input)([a, b])
    weights = [model.get_layer(f"{name}_scores").weights for name in ("rgb", "flow")]
    want = [
        x.mean((1, 2, 3)) @ np.asarray(w) + np.asarray(v)
        for x, (w, v) in zip((a, b), weights, strict=True)
    ]
    np.testing.assert_allclose(means, np.stack(want, axis=1), rtol=1e-4, atol=1e-5)


def test_channels_are_left_out_of_whole_training_clips(tiny):
    model = build_stfnet(tiny("tsn", map_dropout=0.5))
    layer = model.get_layer("map_dropout")
    kept = np.asarray(layer(np.ones((3, 3, 3, 3, 32), "float32"), training=True))
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert (kept == kept[:, :1, :1, :1]).all()


def test_half_precision_gives_float32_scores(tiny):
    model = STFNet(tiny("two_stream"), dtype="mixed_bfloat16")
    assert model.output.dtype == "float32" == model.get_layer("logits").output.dtype
    assert model.get_layer("rgb_fc7").output.dtype == "bfloat16"


@pytest.mark.parametrize("block", [0, 3, 5])
@pytest.mark.parametrize("network", ["small_data", "lrcn"])
def test_the_walk_from_a_block_ends_in_the_networks_own_logits(tiny, network, block):
    own = {"map_levels": (3, 5), "map_norm": True}
    model = build_stfnet(tiny(network, **own))
    rng = np.random.default_rng(0)
    clips = {
        name: rng.integers(0, 256, (2, *x.shape[1:]), np.uint8) for name, x in model.input.items()
    }
    whole = keras.Model(model.input, model.get_layer("logits").output)(clips)
    if block:
        begin = {name: parts.map_of(model, name, x, block) for name, x in clips.items()}
        assert begin["rgb"].shape[2:] == parts.block_shape(model.config, block)
    else:
        begin = clips
    got = parts.from_block(model, block)(begin)
    np.testing.assert_allclose(got, whole, rtol=1e-2, atol=1e-3)  # maps are float16 on the way
    maps = parts.to_maps(model, block)(begin)
    again = parts.from_maps(model, model.get_layer("logits").output)(maps)
    np.testing.assert_allclose(again, got, rtol=1e-4, atol=1e-5)


def test_means_of_quarters_share_the_middle_of_an_odd_side():
    x = np.arange(1 * 2 * 3 * 4 * 2, dtype="float32").reshape(1, 2, 3, 4, 2)
    top, bottom = x[:, :, :2], x[:, :, 1:]
    quarters = [
        half[:, :, :, columns] for half in (top, bottom) for columns in (slice(2), slice(2, 4))
    ]
    want = np.concatenate([quarter.mean((2, 3)) for quarter in quarters], -1)
    np.testing.assert_allclose(parts.means_of_quarters(x), want, rtol=1e-6)


def test_means_of_parts_are_of_frames_one_after_the_other():
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    want = np.concatenate([x[:, :2].mean(1), x[:, 2:].mean(1)], -1)  # 5 / 2 is rounded to 2
    np.testing.assert_allclose(parts.means_of_parts(x, 2), want, rtol=1e-6)
    np.testing.assert_allclose(parts.means_of_parts(x, 1), x.mean(1), rtol=1e-6)
