"""What the network for little data has beside the paper's."""

import keras
import numpy as np
import pytest
from helpers import small_network

from stfnet import build_stfnet


def test_a_fusion_over_space_alone_sees_no_other_frame(randomize, from_streams):
    model = build_stfnet(small_network("small_data", fusion="conv2d", fusion_filters=32 * 6))
    randomize(model)
    a, b = np.random.default_rng(2).normal(size=(2, 2, 3, 2, 2, 16)).astype("float32")
    fuse = from_streams(model, "fusion")
    before = np.asarray(fuse([a, b]))
    assert before.shape[-1] == 6
    a[:, 1] += 1
    changed = np.abs(np.asarray(fuse([a, b])) - before).max(axis=(0, 2, 3, 4))
    np.testing.assert_array_equal(changed > 0, [False, True, False])


def test_conv_pool_gives_the_lstm_the_mean_over_the_cells(from_streams):
    model = build_stfnet(small_network("small_data", conv_pool=True))
    a, b = np.random.default_rng(2).normal(size=(2, 2, 3, 2, 2, 16)).astype("float32")
    fused, flat = from_streams(model, "fusion", "flatten_conv")([a, b])
    np.testing.assert_allclose(flat, np.mean(fused, axis=(2, 3)), rtol=1e-5)


def test_a_normalised_map_has_mean_0_and_variance_1_in_training():
    model = build_stfnet(small_network("small_data", map_norm=True))
    layer = model.get_layer("flow_map_norm")
    x = np.random.default_rng(2).normal(3, 5, size=(2, 3, 2, 2, 16))
    y = np.asarray(layer(x, training=True))
    np.testing.assert_allclose(y.mean((0, 1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(y.std((0, 1, 2, 3)), 1, atol=1e-2)
    assert not layer.trainable_variables


def test_a_dropped_map_channel_is_missing_from_all_of_a_clip():
    model = build_stfnet(small_network("small_data", map_dropout=0.5))
    layer = model.get_layer("map_dropout")
    y = np.asarray(layer(np.ones((4, 3, 2, 2, 32)), training=True))
    assert set(np.unique(y)) == {0.0, 2.0}
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1, :1], y.shape))
    assert (y[0] != y[1]).any()


@pytest.mark.parametrize(("root", "quarters"), [(False, False), (True, False), (True, True)])
def test_the_linear_path_adds_the_means_of_the_maps_over_parts_of_the_clip(
    randomize, from_streams, root, quarters
):
    # Three frames: of two and of one, by round(1.5). Roots are of the maps before map_norm.
    config = small_network(
        "small_data", linear_parts=2, linear_root=root, linear_quarters=quarters, map_norm=root
    )
    model = build_stfnet(config)
    a, b = np.random.default_rng(2).exponential(size=(2, 2, 3, 2, 2, 16)).astype("float32")
    names = "lstm_logits", "logits"
    before = from_streams(model, *names)([a, b])
    np.testing.assert_array_equal(*before)  # from zero
    randomize(model.get_layer("linear_logits"))
    norm = model.get_layer("linear_norm")
    mean, variance = (np.asarray(v) + 0.5 for v in norm.weights)
    norm.set_weights([mean, variance])
    means = [a.mean((2, 3)), b.mean((2, 3))]  # b t c
    if quarters:  # maps have two rows and two columns
        means += [x.reshape(2, 3, 4 * 16) for x in (a, b)]
    means = np.concatenate(means, axis=-1)
    if root:
        means = np.sqrt(means + 1e-3)
    means = (means - mean) / np.sqrt(variance + norm.epsilon)
    means = np.concatenate([means[:, :2].mean(1), means[:, 2]], axis=-1)
    recurrent, logits = from_streams(model, *names)([a, b])
    expected = recurrent + means @ np.asarray(model.get_layer("linear_logits").kernel)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_linear_path_survives_saving(clips, tmp_path, randomize):
    model = build_stfnet(
        small_network(
            "small_data",
            linear_parts=3,
            linear_root=True,
            linear_quarters=True,
            map_levels=(4, 5),
            map_norm=True,
        )
    )
    randomize(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(clips), model(clips))
    assert loaded.config == model.config
