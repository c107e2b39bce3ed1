"""Every setting of a network and of its training at its default, so that each can be named.

`defaults.py:NAME` has those of the network NAME of `stfnet.networks`; `stfnet` unless given.
"""

import dataclasses

from ml_collections import config_dict

from preprocessing.errors import UserError
from stfnet.config import TrainingConfig
from stfnet.networks import NETWORKS


def get_config(network="stfnet"):
    if network not in NETWORKS:
        raise UserError(f"{network!r} is not a network: give one of {', '.join(NETWORKS)}")
    model = dataclasses.asdict(NETWORKS[network](num_classes=1))
    del model["num_classes"]  # read from the records
    return config_dict.create(
        protocol="group",
        fold="1",
        split_seed=0,
        split_from="",
        model=model,
        training=dataclasses.asdict(TrainingConfig()),
    )


def changed(**changes):
    """The defaults with some settings changed, given as nested dictionaries.

    `model=dict(network=NAME)` says of which network; without, they are the paper's.

    Raises:
        KeyError: a setting does not exist.
        UserError: a network does not exist.
    """
    config = get_config(changes.get("model", {}).get("network", "stfnet")).lock()
    config.update(changes)
    return config
