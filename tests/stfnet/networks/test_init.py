"""The registry of the networks, and settings that earlier versions saved."""

import dataclasses
import json

import pytest

from preprocessing.errors import UserError
from stfnet import networks
from stfnet.config import TrainingConfig, from_dict, to_dict
from stfnet.networks import NETWORKS, ModelConfig, SmallDataConfig
from stfnet.run.config import RunConfig

OLD = {"num_classes": 3, "lstm_units": 7, "fusion_filters": 512, "map_levels": [5]}
GROUPS = {"lrcn": {"lstm_units": 9}, "tsn": {"flow_weight": 2.0, "dropout": 0.5}}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_networks_settings_are_saved_with_its_name_and_read_again(name):
    model = NETWORKS[name](3, width_divisor=2)
    config = RunConfig("tiny", ("a", "b", "c"), model, TrainingConfig())
    values = json.loads(json.dumps(to_dict(config)))
    assert values["model"]["network"] == name
    assert from_dict(RunConfig, values) == config


def test_the_papers_network_has_its_switches_alone():
    extra = {field.name for field in dataclasses.fields(SmallDataConfig)}
    extra -= {field.name for field in dataclasses.fields(ModelConfig)}
    assert extra == {
        "map_levels",
        "map_norm",
        "map_dropout",
        "stream_dropout",
        "fusion_filters",
        "conv_pool",
        "linear_parts",
        "linear_root",
        "linear_quarters",
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (OLD, ModelConfig(3, lstm_units=7)),
        (OLD | {"architecture": "stfnet"} | GROUPS, ModelConfig(3, lstm_units=7)),
        (OLD | {"map_levels": [3, 5]}, SmallDataConfig(3, lstm_units=7, map_levels=(3, 5))),
        (OLD | {"linear_parts": 2}, SmallDataConfig(3, lstm_units=7, linear_parts=2)),
        (OLD | {"architecture": "lrcn"} | GROUPS, networks.LRCNConfig(3, lstm_units=9)),
        (
            OLD | {"architecture": "tsn", "map_norm": True} | GROUPS,
            networks.TSNConfig(3, map_norm=True, flow_weight=2.0, dropout=0.5),
        ),
        (
            OLD | {"architecture": "two_stream_lstm", "streams": "rgb", "merge": "sum"},
            networks.TwoStreamLSTMConfig(3, lstm_units=7),
        ),
    ],
)
def test_settings_that_an_earlier_version_saved_are_those_of_a_network(values, expected):
    assert networks.read(values) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"network": "resnet"}, "model.network='resnet' is not one of stfnet, small_data"),
        (
            {"network": "stfnet", "num_classes": 3, "conv_pool": True},
            "the network stfnet has no setting conv_pool; it has num_classes, clip",
        ),
        (
            {"network": "lrcn", "num_classes": 3, "lstm_unit": 5},
            "has no setting lstm_unit (did you mean lstm_units?)",
        ),
        ({"network": "two_stream_fusion", "streams": "rgb"}, "fusion has no setting streams"),
        ({"network": "two_stream_lstm", "streams": "both"}, "lstm has no setting streams"),
        (5, "model=5 is not a group of settings"),
    ],
)
def test_what_a_network_does_not_have_is_named(values, message):
    with pytest.raises(UserError) as refusal:
        networks.read(values)
    assert message in str(refusal.value)


def test_another_network_keeps_the_settings_that_it_has_too():
    values = to_dict(SmallDataConfig(3, map_norm=True, lstm_units=7, conv_pool=True))
    switched = networks.read(networks.switched(values, "lrcn"))
    assert switched == networks.LRCNConfig(3, map_norm=True, lstm_units=7)
    with pytest.raises(UserError, match=r"model\.network='resnet' is not one of"):
        networks.switched(values, "resnet")
