"""Attributions against NumPy in float64, and against what a network must be looking at."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, build_stfnet, networks
from stfnet.explanation import attribution
from stfnet.layers.layer_norm_lstm import LayerNormLSTM
from stfnet.networks import SmallDataConfig
from stfnet.networks.model import STFNet

CLIP = ClipConfig(num_frames=4, flow_length=2, image_size=32)
SMALL = {"num_classes": 3, "clip": CLIP, "width_divisor": 16, "fc6_units": 8, "lstm_units": 4}


def _clip(config, seed=0):
    clip, rng = config.clip, np.random.default_rng(seed)
    shape = (clip.num_frames, clip.image_size, clip.image_size)
    return {
        name: rng.integers(0, 256, (*shape, channels), np.uint8)
        for name, channels in config.input_channels.items()
    }


@pytest.fixture(scope="module")
def network(randomize):
    """A network in which nothing is at its first value, biases and scales included."""
    keras.utils.set_random_seed(0)
    model = build_stfnet(ModelConfig(**SMALL))
    for name in ("fc6", "lstm_conv", "lstm_fc", "lstm_merged", "logits"):
        randomize(model.get_layer(name))
    return model


@pytest.fixture(scope="module")
def fused():
    """X_conv of a size at which no LSTM saturates; half of it is 0, as after a ReLU."""
    return tf.nn.relu(tf.random.stateless_normal((1, 4, 2, 2, 32), seed=(0, 1)))


@pytest.fixture(scope="module")
def float64_logits(network, numpy_lstm, weights_of):
    """In float64: X_conv (T, h, w, D) to x_conv and x_fc (T, F), and these to logits (C,)."""
    layers = [network.get_layer(name) for name in ("fc6", "logits")]
    layers += [network.get_layer(f"lstm_{name}").cell for name in ("conv", "fc", "merged")]
    fc6, logits, *cells = map(weights_of, layers)

    def dense(x, weights):
        return x @ weights["kernel"] + weights["bias"]

    def of_branches(x_conv, x_fc):
        h_conv, h_fc = (
            numpy_lstm(x[None], weights, "gates")
            for x, weights in zip((x_conv, x_fc), cells[:2], strict=True)
        )
        merged = np.concatenate([h_conv, h_fc], axis=-1)
        return dense(numpy_lstm(merged, cells[2], "gates")[0, -1], logits)

    def branches(maps):
        # 2 x 2 maps: the pooling leaves one cell.
        return maps.reshape(len(maps), -1), np.maximum(dense(maps.max((1, 2)), fc6), 0)

    return branches, of_branches


def test_the_logits_are_those_of_the_equations(network, float64_logits):
    branches, of_branches = float64_logits
    clip = _clip(network.config)
    fused = attribution.fuse(network, clip).numpy()[0].astype(np.float64)
    np.testing.assert_allclose(
        attribution.logits(network, clip), of_branches(*branches(fused)), rtol=1e-4, atol=1e-4
    )


def test_grad_cam_is_the_sum_of_maps_weighted_by_their_mean_gradient(
    network, fused, float64_logits
):
    maps, target, step = fused.numpy()[0].astype(np.float64), 1, 1e-6
    branches, of_branches = float64_logits
    frames, height, width, channels = maps.shape
    assert (frames, height, width) == (4, 2, 2)
    expected = np.zeros((frames, height, width))
    for t in range(frames):
        for k in range(channels):
            # Moving a whole channel by `step` changes the logit by h w alpha step.
            moved = np.zeros_like(maps)
            moved[t, :, :, k] = step
            ahead, behind = (of_branches(*branches(maps + sign * moved)) for sign in (1, -1))
            alpha = (ahead - behind)[target] / (2 * step) / (height * width)
            expected[t] += alpha * maps[t, :, :, k]
    found = attribution.grad_cam(network, fused, target)
    assert (expected < 0).any() and (expected > 0).any()
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-4 * np.abs(expected).max())


def test_importance_by_leaving_out_and_its_first_order_estimate(network, fused, float64_logits):
    branches, of_branches = float64_logits
    sequences, target, step = branches(fused.numpy()[0].astype(np.float64)), 2, 1e-6
    importance = attribution.frame_importance(network, fused, target)
    assert list(importance) == ["conv", "fc"]
    whole = of_branches(*sequences)[target]
    for k, branch in enumerate(importance):
        left_out, gradient = [], []
        for t in range(4):
            others = np.mean([sequences[k][s] for s in range(4) if s != t], axis=0)
            without = [sequence.copy() for sequence in sequences]
            without[k][t] = others
            left_out.append(whole - of_branches(*without)[target])
            towards = [sequence.copy() for sequence in sequences]
            towards[k][t] += step * (others - sequences[k][t])
            gradient.append((whole - of_branches(*towards)[target]) / step)
        found = importance[branch]
        assert np.abs(left_out).max() > 1e-3
        np.testing.assert_allclose(found.left_out, left_out, atol=2e-5)
        np.testing.assert_allclose(found.gradient, gradient, atol=2e-5)


def test_more_frames_than_pass_at_once_are_left_out_one_by_one(network, fused, monkeypatch):
    together = attribution.frame_importance(network, fused, 0)
    monkeypatch.setattr(attribution, "AT_ONCE", 3)
    for branch, importance in attribution.frame_importance(network, fused, 0).items():
        np.testing.assert_allclose(importance.left_out, together[branch].left_out, atol=1e-6)


def test_the_shown_maps_are_those_of_the_first_sixth_and_ninth_convolution(network):
    inputs = _clip(network.config)
    maps = attribution.feature_maps(network, inputs, t=2)
    shapes = {1: (32, 32, 4), 6: (8, 8, 16), 9: (4, 4, 32)}
    for name in ("rgb", "flow"):
        assert {number: value.shape for number, value in maps[name].items()} == shapes
        layers = list(network.get_layer(f"{name}_stream").convolutions.values())
        x = network.get_layer(f"{name}_normalization")(inputs[name][None])[0, 2:3]
        for number, layer in enumerate(layers, 1):  # pooling before convolutions 3, 5, 8 and 11
            x = layer(ops.max_pool(x, 2, strides=2) if number in (3, 5, 8, 11) else x)
            if number in shapes:
                np.testing.assert_allclose(maps[name][number], x[0], atol=1e-4)


@pytest.mark.parametrize("streams", ["rgb", "flow"])
def test_one_stream_and_one_frame_in_half_precision_are_explained_in_float32(streams):
    clip = ClipConfig(num_frames=1, flow_length=1, image_size=16)
    config = ModelConfig(**{**SMALL, "clip": clip, "streams": streams, "width_divisor": 64})
    half = STFNet(config, dtype="mixed_bfloat16")
    full = STFNet(config, dtype="float32")
    full.set_weights(half.get_weights())
    explanations = [attribution.explain_clip(model, "abc", _clip(config)) for model in (half, full)]
    for one in explanations:
        assert one.grad_cam.dtype == np.float32 and one.grad_cam.shape == (1, 1, 1)
        assert list(one.feature_maps) == [streams]
        assert one.target == one.logits.argmax() and one.shown == 0
        np.testing.assert_array_equal(one.logits, explanations[1].logits)
        for branch, importance in one.importance.items():
            assert importance.left_out.shape == importance.gradient.shape == (1,)
            np.testing.assert_array_equal(
                importance.left_out, explanations[1].importance[branch].left_out
            )
    assert half.compute_dtype == "bfloat16"


def test_a_network_with_one_branch_has_the_importance_of_that_branch():
    maps = keras.Input((3, 2, 2, 5))
    x = keras.layers.Conv3D(4, 3, padding="same", name="fusion")(maps)
    x = LayerNormLSTM(4, name="lstm_conv")(ops.reshape(x, (-1, 3, 16)))
    model = keras.Model(maps, keras.layers.Dense(2, name="logits")(x))
    fused = tf.random.stateless_normal((1, 3, 2, 2, 4), seed=(0, 1))
    importance = attribution.frame_importance(model, fused, 1)
    assert list(importance) == attribution.branches(model) == ["conv"]
    assert np.abs(importance["conv"].left_out).max() > 0


def test_damaged_weights_are_named():
    model = build_stfnet(ModelConfig(**SMALL))
    model.get_layer("logits").bias.assign([np.nan] * 3)
    with pytest.raises(UserError, match="no finite scores: its weights are damaged"):
        attribution.explain_clip(model, "abc", _clip(model.config))


def test_a_linear_path_changes_the_scores_and_not_what_the_lstms_see(randomize):
    config = SmallDataConfig(
        **SMALL, linear_parts=2, map_levels=(4, 5), map_norm=True, branches="conv"
    )
    model = build_stfnet(config)
    clip = _clip(config)
    before = attribution.explain_clip(model, "abc", clip, 1)
    assert list(before.importance) == ["conv", "linear"]
    assert not before.importance["linear"].left_out.any()  # its kernel is zero
    randomize(model.get_layer("linear_logits"))
    after = attribution.explain_clip(model, "abc", clip, 1)
    assert np.abs(after.logits - before.logits).max() > 1e-3
    np.testing.assert_array_equal(after.grad_cam, before.grad_cam)
    np.testing.assert_array_equal(
        after.importance["conv"].left_out, before.importance["conv"].left_out
    )


def test_the_frames_of_the_linear_path_count_as_computed_by_hand(randomize):
    config = SmallDataConfig(**SMALL, linear_parts=2, map_levels=(4, 5))
    model = build_stfnet(config)
    randomize(model)
    clip = _clip(config)
    importance = attribution.linear_importance(model, clip, 2)["linear"]
    normalized = keras.Model(model.input, model.get_layer("linear_norm").output)
    x = np.float64(normalized({name: clip[name][None] for name in model.input}))[0]  # t c
    kernel = np.float64(model.get_layer("linear_logits").kernel)[:, 2]
    frames = len(x)
    edge = round(frames / 2)

    def score(x):
        return np.concatenate([x[:edge].mean(0), x[edge:].mean(0)]) @ kernel

    for t in range(frames):
        without = x.copy()
        without[t] = np.delete(x, t, axis=0).mean(0)
        want = score(x) - score(without)
        np.testing.assert_allclose(importance.left_out[t], want, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(importance.gradient[t], want, rtol=1e-3, atol=1e-4)


def test_a_network_without_a_linear_path_has_no_importance_of_it():
    model = build_stfnet(ModelConfig(**SMALL))
    assert attribution.linear_importance(model, _clip(model.config), 0) == {}


def test_a_network_without_branches_has_the_importance_of_its_maps():
    # y = k . mean over frames and cells, so leaving out frame t takes k . (x_t - others) / T.
    maps = keras.Input((4, 2, 2, 3))
    x = keras.layers.Identity(name="fusion")(maps)
    model = keras.Model(maps, keras.layers.Dense(2, name="logits")(ops.mean(x, axis=(1, 2, 3))))
    fused = tf.random.stateless_normal((1, 4, 2, 2, 3), seed=(0, 1))
    kernel = np.float64(model.get_layer("logits").kernel)[:, 1]
    scores = np.float64(fused)[0].mean(axis=(1, 2)) @ kernel
    want = [(scores[t] - np.delete(scores, t).mean()) / 4 for t in range(4)]
    importance = attribution.frame_importance(model, fused, 1)
    assert list(importance) == [attribution.MAPS] and attribution.branches(model) == []
    np.testing.assert_allclose(importance["maps"].left_out, want, atol=1e-5)
    np.testing.assert_allclose(importance["maps"].gradient, want, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "branches"),
    [
        ("tsn", ["maps"]),
        ("two_stream_fusion", ["maps"]),
        ("soft_attention", ["maps"]),
        ("two_stream_lstm", ["conv", "fc"]),
    ],
)
def test_a_baseline_is_explained(network, branches):
    settings = {"rgb_input": "unit", "flow_input": "pixels"}
    settings["clip"] = dataclasses.replace(CLIP, image_size=48)
    config = networks.read(networks.switched(SMALL | settings, network))
    explanation = attribution.explain_clip(build_stfnet(config), "abc", _clip(config), 1)
    assert list(explanation.importance) == branches
    assert explanation.grad_cam.shape == (4, 3, 3) and explanation.grad_cam.min() >= 0
    for importance in explanation.importance.values():
        assert importance.left_out.shape == (4,) and np.abs(importance.left_out).max() > 0


def test_a_baseline_without_maps_of_frames_says_so_in_one_line():
    config = networks.C3DConfig(3, CLIP, width_divisor=16, fc6_units=8)
    with pytest.raises(UserError, match=r"the network c3d has no map of each frame.*: explain a"):
        attribution.explain_clip(build_stfnet(config), "abc", _clip(config))
