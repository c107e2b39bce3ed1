"""Networks as Keras models: precision and files."""

import keras
import numpy as np
import pytest
from helpers import small_network

import stfnet
from stfnet import ClipConfig, build_stfnet
from stfnet.networks import NETWORKS
from stfnet.networks.model import without_weights


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_gives_a_float32_softmax_and_survives_saving(policy, clips, tmp_path):
    model = stfnet.STFNet(small_network(rgb_input="unit", flow_input="pixels"), dtype=policy)
    probabilities = model(clips)
    assert keras.backend.standardize_dtype(probabilities.dtype) == "float32"
    np.testing.assert_allclose(np.sum(probabilities, axis=-1), 1.0, rtol=1e-5)
    half = policy.removeprefix("mixed_")
    for name in ("rgb_normalization", "flow_stream", "fusion", "lstm_conv", "merge"):
        dtype = model.get_layer(name).output.dtype
        assert keras.backend.standardize_dtype(dtype) == half, name
    full = stfnet.STFNet(model.config, dtype="float32")
    full.set_weights(model.get_weights())
    np.testing.assert_allclose(full(clips), probabilities, atol=0.02)
    model.save(tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras")
    assert loaded.get_layer("fusion").compute_dtype == half


PAPERS = {"normalize": "all", "lstm_statistics": "batch", "fusion_init": "identity_sum"}


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        *(("stfnet", {**PAPERS, "streams": streams}) for streams in ("both", "flow")),
        *(("two_stream", {"streams": streams}) for streams in ("both", "rgb", "flow")),
        *(("tsn", {"streams": streams}) for streams in ("both", "rgb", "flow")),
        *(("lrcn", {"streams": streams}) for streams in ("both", "rgb")),
        *(("conv_pooling", {"streams": streams}) for streams in ("both", "rgb")),
        *(("deep_lstm", {"streams": streams}) for streams in ("both", "flow")),
        *((name, {}) for name in ("c3d", "soft_attention", "two_stream_fusion", "two_stream_lstm")),
    ],
    ids=str,
)
def test_clips_to_probabilities_and_a_file_that_loads_alone(
    check, tiny, tmp_path, network, settings
):
    check(tiny(network, **settings), tmp_path)


@pytest.mark.parametrize("network", NETWORKS)
def test_channels_are_last_whatever_keras_is_set_to(tiny, network):
    """As where keras.json has "image_data_format": "channels_first"."""
    own = {"map_levels": (3, 5)} if network == "small_data" else {}
    config = tiny(network, clip=ClipConfig(num_frames=3, flow_length=2, image_size=64), **own)
    rng = np.random.default_rng(0)
    clips = {
        name: rng.integers(0, 256, (2, 3, 64, 64, channels), dtype="uint8")
        for name, channels in config.input_channels.items()
    }
    keras.utils.set_random_seed(1)
    usual = build_stfnet(config)
    keras.config.set_image_data_format("channels_first")
    try:
        keras.utils.set_random_seed(1)
        other = build_stfnet(config)
        answers = other(clips), stfnet.STFNet.from_config(other.get_config())(clips)
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(answers[0], usual(clips))
    assert answers[1].shape == answers[0].shape


def test_a_network_built_for_its_shapes_is_not_drawn_with_the_next():
    drawn = []

    def draw(shape, dtype=None):
        drawn.append(shape)
        return keras.ops.zeros(shape, dtype)

    with without_weights(), keras.saving.custom_object_scope({"he_normal": draw}):
        shapes = build_stfnet(small_network())
    assert shapes.count_params() > 1000 and drawn  # for their shapes
    drawn.clear()
    build_stfnet(small_network())
    assert not drawn
