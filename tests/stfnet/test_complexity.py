"""The count of multiply-adds against the specification's and a case worked by hand."""

import pytest

from stfnet import ClipConfig, ModelConfig
from stfnet.complexity import (
    forward_multiply_adds,
    head_multiply_adds,
    stream_multiply_adds,
)
from stfnet.networks import SmallDataConfig


def test_the_paper_network_takes_574_g_multiply_adds():
    assert forward_multiply_adds(ModelConfig(num_classes=11)) == pytest.approx(574e9, rel=1e-3)


def test_a_tiny_network_by_hand():
    # 16 pixels, one frame, all widths / 64: 1, 1, 2, 2, 4, 4, 4, 8 x 6; one cell behind block 5.
    clip = ClipConfig(num_frames=1, flow_length=1, image_size=16)
    config = ModelConfig(
        2, clip, lstm_units=3, fc6_units=5, width_divisor=64, streams="rgb", merge="sum"
    )
    stream = 9 * (
        256 * (3 * 1 + 1 * 1)
        + 64 * (1 * 2 + 2 * 2)
        + 16 * (2 * 4 + 4 * 4 + 4 * 4)
        + 4 * (4 * 8 + 8 * 8 + 8 * 8)
        + 1 * (3 * 8 * 8)
    )
    fusion = 27 * 8 * 8
    fc6 = 8 * 5
    lstms = 12 * ((8 + 3) + (5 + 3) + (3 + 3))
    assert stream_multiply_adds(config) == stream
    assert stream_multiply_adds(config, first=5) == 9 * 3 * 8 * 8
    assert stream_multiply_adds(config, first=6) == 0
    assert head_multiply_adds(config) == fusion + fc6 + lstms + 3 * 2
    assert forward_multiply_adds(config) == stream + fusion + fc6 + lstms + 3 * 2


def test_other_fusions_and_branches_by_hand():
    clip = ClipConfig(num_frames=1, flow_length=1, image_size=32)  # 2 x 2 cells, one pooled
    shared = {"lstm_units": 3, "fc6_units": 5, "width_divisor": 64}
    conv2d = SmallDataConfig(
        2, clip, fusion="conv2d", fusion_filters=128, branches="conv", conv_pool=True, **shared
    )
    lstms = 12 * ((2 + 3) + (3 + 3))
    assert head_multiply_adds(conv2d) == 4 * 9 * 16 * 2 + lstms + 3 * 2
    concat = ModelConfig(2, clip, fusion="concat", branches="fc", **shared)
    lstms = 12 * ((5 + 3) + (3 + 3))
    assert head_multiply_adds(concat) == 16 * 5 + lstms + 3 * 2
