"""The choices that settings allow are those of the modules that implement them."""

import dataclasses

from stfnet.clips import plans
from stfnet.config import ModelConfig, TrainingConfig
from stfnet.model import MERGES


def test_choices_are_those_of_the_modules_that_implement_them():
    def choices(config, name):
        fields = {field.name: field for field in dataclasses.fields(config)}
        return fields[name].metadata["allowed"]

    assert choices(ModelConfig, "merge") == tuple(MERGES)
    augmentations = choices(TrainingConfig, "augmentation")
    assert {*plans.MIRRORED, *plans.CROPPED, "none"} == set(augmentations)
