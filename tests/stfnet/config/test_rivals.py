"""Settings of the rivals: what they refuse, and that older configurations have STFNet."""

import pytest

from preprocessing.errors import UserError
from stfnet.config import ModelConfig, RunConfig, TrainingConfig, from_dict, rivals, to_dict


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig(3, architecture="resnet"), "model.architecture='resnet' is not one"),
        (lambda: rivals.LRCNConfig(lstm_units=0), "model.lrcn.lstm_units=0"),
        (lambda: rivals.DeepLSTMConfig(lstm_layers=0), "model.deep_lstm.lstm_layers=0"),
        (lambda: rivals.SoftAttentionConfig(dropout=1.0), "model.soft_attention.dropout=1.0"),
        (lambda: rivals.TSNConfig(flow_weight=0.0), "model.tsn.flow_weight=0.0"),
        (lambda: ModelConfig(3, tsn=1.5), "model.tsn=1.5 is not a group of settings"),
        (
            lambda: ModelConfig(3, architecture="soft_attention", streams="flow"),
            "reads streams=rgb, and model.streams is flow: set model.streams=rgb",
        ),
        (
            lambda: ModelConfig(3, architecture="tsn", linear_parts=2),
            "model.linear_parts=2 has no effect with model.architecture=tsn",
        ),
    ],
)
def test_a_wrong_value_is_named(make, message):
    with pytest.raises(UserError) as refusal:
        make()
    assert message in str(refusal.value)


def test_the_groups_are_kept_and_older_configurations_are_stfnet():
    model = ModelConfig(3, architecture="lrcn", lrcn=rivals.LRCNConfig(lstm_units=9))
    config = RunConfig("tiny", ("a", "b", "c"), model, TrainingConfig())
    values = to_dict(config)
    assert from_dict(RunConfig, values) == config
    for name in ("architecture", "lrcn", "deep_lstm", "soft_attention", "tsn"):
        del values["model"][name]
    assert from_dict(RunConfig, values).model == ModelConfig(3)


def test_the_lists_name_architectures():
    lists = (rivals.FRAMES_ALONE, rivals.BOTH_STREAMS, rivals.WITHOUT_VGG)
    assert {name for one in lists for name in one} <= set(rivals.ARCHITECTURES[1:])
