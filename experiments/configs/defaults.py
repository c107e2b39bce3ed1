"""Every setting at its default, so that each can be named on the command line."""

import dataclasses

from ml_collections import config_dict

from stfnet.config import ClipConfig, ModelConfig, TrainingConfig


def get_config():
    model = {field.name: field.default for field in dataclasses.fields(ModelConfig)}
    del model["num_classes"]  # read from the records
    model["clip"] = dataclasses.asdict(ClipConfig())
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
