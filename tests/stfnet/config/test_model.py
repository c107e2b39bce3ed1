"""Settings of clips and of the network: what they refuse."""

import pytest

from preprocessing.errors import UserError
from stfnet.config import ClipConfig, ModelConfig

NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClipConfig(num_frames=0), "clip.num_frames=0"),
        (lambda: ClipConfig(short_video="wrap"), "'pad_last', 'loop', 'error'"),
        (lambda: ClipConfig(flow_bound=NAN), "clip.flow_bound=nan"),
        (lambda: ClipConfig(image_size=10**9), "clip.image_size=1000000000"),
        (lambda: ModelConfig(3, merge="max"), "model.merge='max'"),
        (lambda: ModelConfig(3, width_divisor=3), "does not divide 64"),
        (lambda: ModelConfig(3, fc6_dropout=1.5), "model.fc6_dropout=1.5"),
        (lambda: ModelConfig(3, fusion_relu="no"), "model.fusion_relu='no' is not True or False"),
        (lambda: ModelConfig(3, clip=5), "model.clip=5 is not a group of settings"),
        (lambda: ModelConfig(0), "model.num_classes=0"),
        (lambda: ModelConfig(3, streams="rgb", stream_dropout=0.5), "needs both streams"),
        (lambda: ModelConfig(3, linear_parts=18), "clip.num_frames=17 frames: set at most"),
        (lambda: ModelConfig(3, map_levels=(3, 4)), "must rise and end with 5"),
        (lambda: ModelConfig(3, map_levels=(5, 4)), "must rise and end with 5"),
        (
            lambda: ModelConfig(3, map_levels=(3, 4, 5), fusion_init="identity_sum"),
            "needs as many model.fusion_filters as a stream's map has channels, 1280, not 512",
        ),
        (lambda: ModelConfig(3, width_divisor=32, fusion_filters=16), "does not divide"),
    ],
)
def test_a_wrong_value_is_named(make, message):
    with pytest.raises(UserError) as refusal:
        make()
    assert message in str(refusal.value)


def test_inputs_of_the_network_have_two_channels_a_flow_field():
    clip = ClipConfig(flow_length=5)
    assert ModelConfig(3, clip).input_channels == {"rgb": 3, "flow": 10}
    assert ModelConfig(3, clip, streams="flow").input_channels == {"flow": 10}


@pytest.mark.parametrize(
    ("changes", "channels"),
    [
        ({}, 512),
        ({"fusion_filters": 64, "width_divisor": 8}, 8),
        ({"fusion": "conv2d"}, 512),
        ({"fusion": "sum"}, 512),
        ({"fusion": "concat", "width_divisor": 4}, 256),
        ({"fusion": "concat", "streams": "flow"}, 512),
        ({"fusion": "sum", "map_levels": (3, 4, 5)}, 1280),
    ],
)
def test_channels_of_the_fused_map(changes, channels):
    assert ModelConfig(3, **changes).fused_channels == channels
