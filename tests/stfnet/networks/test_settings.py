"""Settings of the networks: what they refuse."""

import pytest

from preprocessing.errors import UserError
from stfnet import networks
from stfnet.config import ClipConfig
from stfnet.networks import ModelConfig, SmallDataConfig


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig(3, merge="max"), "model.merge='max'"),
        (lambda: ModelConfig(3, width_divisor=3), "does not divide 64"),
        (lambda: ModelConfig(3, fc6_dropout=1.5), "model.fc6_dropout=1.5"),
        (lambda: ModelConfig(3, fusion_relu="no"), "model.fusion_relu='no' is not True or False"),
        (lambda: ModelConfig(3, clip=5), "model.clip=5 is not a group of settings"),
        (lambda: ModelConfig(0), "model.num_classes=0"),
        (lambda: SmallDataConfig(3, streams="rgb", stream_dropout=0.5), "needs both streams"),
        (
            lambda: SmallDataConfig(3, linear_parts=1, linear_root=True, stream_dropout=0.1),
            "model.stream_dropout=0.1 has not left out",
        ),
        (lambda: SmallDataConfig(3, linear_parts=18), "clip.num_frames=17 frames: set at most"),
        (lambda: SmallDataConfig(3, map_levels=(3, 4)), "must rise and end with 5"),
        (lambda: SmallDataConfig(3, map_levels=(5, 4)), "must rise and end with 5"),
        (
            lambda: SmallDataConfig(3, map_levels=(3, 4, 5), fusion_init="identity_sum"),
            "needs as many model.fusion_filters as a stream's map has channels, 1280, not 512",
        ),
        (
            lambda: SmallDataConfig(3, fusion_filters=256, fusion_init="identity_sum"),
            "needs as many model.fusion_filters as a stream's map has channels, 512, not 256",
        ),
        (lambda: SmallDataConfig(3, width_divisor=32, fusion_filters=16), "does not divide"),
        (lambda: networks.LRCNConfig(3, lstm_units=0), "model.lstm_units=0"),
        (lambda: networks.DeepLSTMConfig(3, lstm_layers=0), "model.lstm_layers=0"),
        (lambda: networks.SoftAttentionConfig(3, dropout=1.0), "model.dropout=1.0"),
        (lambda: networks.TSNConfig(3, flow_weight=0.0), "model.flow_weight=0.0"),
    ],
)
def test_a_wrong_value_is_named(make, message):
    with pytest.raises(UserError) as refusal:
        make()
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fusion": "sum", "fusion_filters": 64}, "fusion_filters=64 has no effect with"),
        ({"branches": "fc", "conv_pool": True}, "conv_pool=True has no effect with"),
        ({"linear_root": True}, "linear_root=True has no effect with model.linear_parts=0"),
        ({"fusion": "concat", "fusion_relu": False}, "fusion_relu=False has no effect with"),
        ({"branches": "conv", "merge": "sum"}, "merge=sum has no effect with model.branches=conv"),
        (
            {"normalize": "none", "lstm_statistics": "batch"},
            "lstm_statistics=batch has no effect with model.normalize=none: leave it at layer, or "
            "set normalize=gates",
        ),
        (
            {"linear_parts": 1, "linear_quarters": True},
            "linear_quarters=True has no effect with model.linear_root=False",
        ),
    ],
)
def test_a_setting_without_effect_is_refused_where_it_is_asked_for(settings, message):
    config = SmallDataConfig(3, **settings)  # a variant of an ablation
    with pytest.raises(UserError, match=message):
        config.refuse_without_effect()
    SmallDataConfig(3, fusion_filters=64, conv_pool=True).refuse_without_effect()
    ModelConfig(3, fusion="sum", branches="fc", normalize="none").refuse_without_effect()


def test_inputs_of_the_network_have_two_channels_a_flow_field():
    clip = ClipConfig(flow_length=5)
    assert ModelConfig(3, clip).input_channels == {"rgb": 3, "flow": 10}
    assert ModelConfig(3, clip, streams="flow").input_channels == {"flow": 10}
    assert networks.C3DConfig(3, clip).input_channels == {"rgb": 3}


def test_channels_of_a_streams_map():
    assert ModelConfig(3).map_channels == 512
    assert SmallDataConfig(3, map_levels=(3, 4, 5), width_divisor=4).map_channels == 320
