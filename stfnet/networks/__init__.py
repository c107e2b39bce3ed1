"""The networks, one a file: its settings, and beside them what it builds from `parts`.

A new network is one file and one line here. Settings load without Keras.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from preprocessing.errors import UserError
from stfnet.config import from_dict
from stfnet.networks.c3d import C3DConfig
from stfnet.networks.conv_pooling import ConvPoolingConfig
from stfnet.networks.deep_lstm import DeepLSTMConfig
from stfnet.networks.lrcn import LRCNConfig
from stfnet.networks.settings import NetworkConfig
from stfnet.networks.small_data import SmallDataConfig
from stfnet.networks.soft_attention import SoftAttentionConfig
from stfnet.networks.stfnet import ModelConfig
from stfnet.networks.tsn import TSNConfig
from stfnet.networks.two_stream import TwoStreamConfig
from stfnet.networks.two_stream_fusion import TwoStreamFusionConfig
from stfnet.networks.two_stream_lstm import TwoStreamLSTMConfig

_ALL: tuple[type[NetworkConfig], ...] = (
    ModelConfig,
    SmallDataConfig,
    TwoStreamConfig,
    TwoStreamFusionConfig,
    LRCNConfig,
    DeepLSTMConfig,
    ConvPoolingConfig,
    TwoStreamLSTMConfig,
    SoftAttentionConfig,
    TSNConfig,
    C3DConfig,
)
# By the name that a configuration has as `model.network`.
NETWORKS: Mapping[str, type[NetworkConfig]] = {cls.network: cls for cls in _ALL}
BASELINES = tuple(name for name in NETWORKS if name not in ("stfnet", "small_data"))


def read(values: Mapping[str, Any]) -> NetworkConfig:
    """The settings of a network, from nested mappings such as those of a saved one.

    Args:
        values: with the name of the network as `network`. Without, they are those of a version in
            which all networks had the same settings.

    Raises:
        UserError: there is no such network, or as `from_dict`.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"model={values!r} is not a group of settings")
    settings = dict(values if "network" in values else _converted(values))
    name = settings.pop("network")
    return from_dict(_named(name), settings, f"the network {name}")


def switched(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Settings of another network: the given ones as far as it has them, with its name.

    Args:
        values: settings of a network, as nested mappings.
        name: of the other network.

    Raises:
        UserError: there is no such network.
    """
    known = {field.name for field in dataclasses.fields(_named(name))}
    return {**{key: value for key, value in values.items() if key in known}, "network": name}


def _named(name: str) -> type[NetworkConfig]:
    if name not in NETWORKS:
        raise UserError(f"model.network={name!r} is not one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _converted(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a version in which `architecture` named the network, and all had all settings.

    Those that a network does not have had no effect. Some of a baseline were in a group of its
    name.
    """
    values = dict(values)
    name = values.pop("architecture", "stfnet")
    groups = {group: values.pop(group, None) for group in BASELINES}
    if name in BASELINES:
        if groups[name] is not None:
            del values["lstm_units"]  # of the paper's network
        return {**switched(values, name), **(groups[name] or {})}
    paper = {field.name for field in dataclasses.fields(ModelConfig)}
    own = [field for field in dataclasses.fields(SmallDataConfig) if field.name not in paper]
    small = {field.name: values.pop(field.name) for field in own if field.name in values}
    small["map_levels"] = tuple(small.get("map_levels", (5,)))  # a list in JSON
    if any(small.get(field.name, field.default) != field.default for field in own):
        return {**values, **small, "network": "small_data"}
    return {**values, "network": name}
