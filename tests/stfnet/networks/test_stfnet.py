"""The paper's network: its parts, count and switches, on tiny clips."""

import keras
import numpy as np
import pytest
from helpers import small_network

import stfnet
from stfnet import ClipConfig, ModelConfig, build_stfnet
from stfnet.networks.model import without_weights


def test_parameter_count_of_the_papers_network():
    with without_weights():
        model = build_stfnet(ModelConfig(num_classes=11))
    counts = {layer.name: layer.count_params() for layer in model.layers if layer.weights}
    # keras.applications.VGG16 without its top has 14,714,688. The flow stream reads 8 channels
    # instead of 3: 9 * 5 * 64 = 2,880 more.
    vgg16 = 14_714_688
    recurrent = 101 * 404  # four kernels of 101 x 101
    norms_and_bias = 3 * (101 + 101) + 101  # gamma and beta of i, f, o; the candidate's bias
    assert counts == {
        "rgb_stream": vgg16,
        "flow_stream": vgg16 + 2_880,
        "fusion": 27 * 1024 * 512 + 512,  # 14,156,288
        "fc6": 7 * 7 * 512 * 4096 + 4096,  # 102,764,544
        "lstm_conv": 14 * 14 * 512 * 404 + recurrent + norms_and_bias,  # 40,583,719
        "lstm_fc": 4096 * 404 + recurrent + norms_and_bias,  # 1,696,295
        "lstm_merged": 202 * 404 + recurrent + norms_and_bias,  # 123,119
        "logits": 101 * 11 + 11,  # 1,122
    }
    assert model.count_params() == sum(counts.values()) == 188_757_343
    convolutions = model.get_layer("rgb_stream").convolutions
    assert {name: layer.count_params() for name, layer in convolutions.items()} == {
        "block1_conv1": 1_792,
        "block1_conv2": 36_928,
        "block2_conv1": 73_856,
        "block2_conv2": 147_584,
        "block3_conv1": 295_168,
        "block3_conv2": 590_080,
        "block3_conv3": 590_080,
        "block4_conv1": 1_180_160,
        "block4_conv2": 2_359_808,
        "block4_conv3": 2_359_808,
        "block5_conv1": 2_359_808,
        "block5_conv2": 2_359_808,
        "block5_conv3": 2_359_808,
    }
    assert model.get_layer("fusion").output.shape == (None, 17, 14, 14, 512)


@pytest.mark.parametrize("normalize", ["none", "gates", "all"])
def test_everything_behind_the_streams_is_section_2(
    normalize, numpy_convolution, numpy_lstm, randomize, weights_of, from_streams
):
    """Eqs. 1-12 from the streams' features to the probabilities, restated in float64."""
    model = stfnet.STFNet(small_network(normalize=normalize), dtype="float64")
    randomize(model)
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0, 2, (2, 2, 3, 2, 2, 16))
    x = np.empty((2, 3, 2, 2, 32))
    x[..., 0::2], x[..., 1::2] = a, b
    fusion, fc6 = model.get_layer("fusion"), model.get_layer("fc6")
    x_conv = np.maximum(numpy_convolution(x, fusion.kernel.numpy(), fusion.bias.numpy()), 0)
    pooled = x_conv.max(axis=(2, 3))  # 2 x 2 cells are one pooling window
    x_fc = np.maximum(pooled @ fc6.kernel.numpy() + fc6.bias.numpy(), 0)

    def lstm(inputs, name):
        return numpy_lstm(inputs, weights_of(model.get_layer(name).cell), normalize)

    h_conv, h_fc = lstm(x_conv.reshape(2, 3, -1), "lstm_conv"), lstm(x_fc, "lstm_fc")
    h = lstm(np.concatenate([h_conv, h_fc], axis=-1), "lstm_merged")[:, -1]
    dense = model.get_layer("logits")
    logits = h @ dense.kernel.numpy() + dense.bias.numpy()
    want = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    got = from_streams(model, "probabilities")([a, b])
    np.testing.assert_allclose(got, want, rtol=1e-9)


def test_identity_sum_fusion_starts_as_the_sum_of_the_streams(from_streams):
    model = build_stfnet(small_network(fusion_init="identity_sum", fusion_relu=False))
    a, b = np.random.default_rng(2).normal(size=(2, 2, 3, 2, 2, 16)).astype("float32")
    fused = from_streams(model, "fusion")([a, b])
    np.testing.assert_allclose(fused, a + b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("relu", [True, False])
def test_fusion_relu_switch(relu, from_streams):
    model = build_stfnet(small_network(fusion_relu=relu))
    a, b = np.random.default_rng(2).normal(size=(2, 2, 3, 2, 2, 16)).astype("float32")
    fused = from_streams(model, "fusion")([a, b])
    assert (np.asarray(fused).min() >= 0) == relu


@pytest.mark.parametrize(("merge", "combine"), [("sum", np.add), ("product", np.multiply)])
def test_merge_switch(merge, combine, from_streams):
    model = build_stfnet(small_network(merge=merge))
    a, b = np.random.default_rng(2).normal(size=(2, 2, 3, 2, 2, 16)).astype("float32")
    h_conv, h_fc, merged = from_streams(model, "dropout_conv", "dropout_fc", "merge")([a, b])
    np.testing.assert_allclose(merged, combine(h_conv, h_fc), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("stream", ["rgb", "flow"])
def test_one_stream_alone(stream, clips):
    model = build_stfnet(small_network(streams=stream))
    assert list(model.input) == [stream]
    assert model.get_layer("fusion").kernel.shape == (3, 3, 3, 16, 16)
    probabilities = model({stream: clips[stream]})
    np.testing.assert_allclose(np.sum(probabilities, axis=-1), 1.0, rtol=1e-5)


def test_dropout_rates_are_the_papers():
    model = build_stfnet(small_network())
    rates = {x.name: x.rate for x in model.layers if isinstance(x, keras.layers.Dropout)}
    assert rates == {
        "dropout_fc6": 0.5,
        "dropout_conv": 0.25,
        "dropout_fc": 0.25,
        "dropout_merged": 0.25,
    }


def test_smallest_clips_have_one_cell(clips):
    model = build_stfnet(small_network(clip=ClipConfig(3, 2, 16)))
    small = {name: frames[:, :, :16, :16] for name, frames in clips.items()}
    assert model(small).shape == (2, 5)


@pytest.mark.parametrize("statistics", ["layer", "batch"])
def test_a_training_step_reaches_every_weight(statistics, clips):
    keras.utils.set_random_seed(0)
    config = small_network(
        rgb_input="unit", flow_input="pixels", width_divisor=8, lstm_statistics=statistics
    )
    model = build_stfnet(config)
    before = {weight.path: weight.numpy().copy() for weight in model.weights}
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        run_eagerly=True,
    )
    model.train_on_batch(clips, np.array([0, 3]))
    still = [
        weight.path
        for weight in model.weights
        if "seed_generator" not in weight.path
        and np.array_equal(weight.numpy(), before[weight.path])
    ]
    assert still == []
    assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)


def test_fusions_without_weights_are_the_sum_and_the_interleaved_channels(from_streams):
    a, b = np.random.default_rng(2).normal(size=(2, 2, 3, 2, 2, 16)).astype("float32")
    fused = from_streams(build_stfnet(small_network(fusion="sum")), "fusion")([a, b])
    np.testing.assert_allclose(fused, a + b, rtol=1e-6)
    fused = np.asarray(from_streams(build_stfnet(small_network(fusion="concat")), "fusion")([a, b]))
    np.testing.assert_array_equal(fused[..., 0::2], a)
    np.testing.assert_array_equal(fused[..., 1::2], b)


@pytest.mark.parametrize(("branches", "lstms"), [("conv", {"conv"}), ("fc", {"fc"})])
def test_one_branch_alone_has_one_lstm_before_the_last(branches, lstms, clips):
    model = build_stfnet(small_network(branches=branches))
    names = {layer.name for layer in model.layers}
    assert {name for name in ("conv", "fc") if f"lstm_{name}" in names} == lstms
    assert ("fc6" in names) == (branches == "fc")
    np.testing.assert_allclose(np.sum(model(clips), axis=-1), 1.0, rtol=1e-5)
