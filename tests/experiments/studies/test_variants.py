"""A study on a configuration: its values, folders and learning rates."""

import dataclasses

import pytest

from experiments.studies.ablation import STUDIES
from experiments.studies.variants import AS_CONFIGURED, changed_config, variants
from preprocessing.errors import UserError
from stfnet.config import ClipConfig, TrainingConfig
from stfnet.networks import ModelConfig
from stfnet.run.config import RunConfig

PAPER = RunConfig("ucf11", tuple("abc"), ModelConfig(3), TrainingConfig((1e-3, 1e-4), (1, 1)))


def _with(**model):
    return dataclasses.replace(PAPER, model=dataclasses.replace(PAPER.model, **model))


def test_another_value_of_the_configuration_is_a_variant_of_its_own():
    clip = ClipConfig(num_frames=6)
    found = variants(STUDIES["num_frames"], _with(clip=clip))
    assert list(found) == ["17", "4", "8", "25", "6 (as configured)"]
    assert found["6 (as configured)"].config == _with(clip=clip)
    assert found["17"].folder == "num_frames-17"
    assert found["6 (as configured)"].folder == AS_CONFIGURED
    # Where the values have it, it is that one.
    found = variants(STUDIES["normalize"], _with(normalize="all"))
    assert list(found) == ["gates", "none", "all"]
    assert found["all"].folder == AS_CONFIGURED


def test_rates_of_all_stages_are_multiplied_and_name_the_folder():
    found = variants(STUDIES["merge"], PAPER, 3)
    assert found["sum"].config.training.learning_rates == (3e-3, 3e-4)
    assert found["sum"].folder == "merge-sum+learning_rates-0.003-to-0.0003"
    assert variants(STUDIES["merge"], PAPER, 1)["concat"].folder == AS_CONFIGURED


def test_a_value_that_does_not_fit_is_named():
    with pytest.raises(UserError, match=r"^model\.fc6_units=0 does not fit the configuration: "):
        changed_config(PAPER, {"model.fc6_units": 0})
