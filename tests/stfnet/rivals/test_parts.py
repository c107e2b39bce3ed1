"""The parts that rivals share."""

import keras
import numpy as np

from stfnet import ModelConfig, build_stfnet
from stfnet.rivals import RIVALS, parts


def test_maps_pass_through_one_layer_and_come_back(tiny):
    model = build_stfnet(tiny("tsn"))
    streams = [model.get_layer(f"{name}_stream").output for name in ("rgb", "flow")]
    together = keras.Model(streams, model.get_layer("fusion").output)
    a, b = np.random.default_rng(0).normal(size=(2, 1, 3, 3, 3, 16)).astype("float32")
    np.testing.assert_array_equal(together([a, b]), np.concatenate([a, b], axis=-1))
    inputs = {name: keras.Input(a.shape[1:], name=name) for name in ("rgb", "flow")}
    apart = parts.gathered(tiny("tsn"), inputs, keras.config.dtype_policy())
    network = keras.Model(inputs, apart)
    got = network({"rgb": a, "flow": b})
    np.testing.assert_array_equal(got["rgb"], a)
    np.testing.assert_array_equal(got["flow"], b)


def test_channels_are_left_out_of_whole_training_clips(tiny):
    model = build_stfnet(tiny("tsn", map_dropout=0.5))
    layer = model.get_layer("map_dropout")
    kept = np.asarray(layer(np.ones((3, 3, 3, 3, 32), "float32"), training=True))
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert (kept == kept[:, :1, :1, :1]).all()


def test_features_of_the_papers_clips():
    config = ModelConfig(11, architecture="lrcn")
    assert parts.map_features(config) == 100_352 and parts.pooled_features(config) == 25_088
    assert parts.fully_connected_multiply_adds(config) == 25_088 * 4096 + 4096 * 4096
    assert parts.lstm_multiply_adds(3, 2) == 4 * 2 * (3 + 2)


def test_every_architecture_but_stfnet_is_a_rival():
    from stfnet.config import ARCHITECTURES

    assert tuple(RIVALS) == ARCHITECTURES[1:]


def test_half_precision_gives_float32_scores(tiny):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_stfnet(tiny("two_stream"))
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.output.dtype == "float32" == model.get_layer("logits").output.dtype
    assert model.get_layer("rgb_fc7").output.dtype == "bfloat16"
