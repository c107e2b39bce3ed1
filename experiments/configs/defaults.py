"""Every setting at its default, so that each can be named on the command line."""

import dataclasses

from ml_collections import config_dict

from stfnet.config import ModelConfig, TrainingConfig


def get_config():
    model = dataclasses.asdict(ModelConfig(num_classes=1))
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

    Raises:
        KeyError: a setting does not exist.
    """
    config = get_config().lock()
    config.update(changes)
    return config
