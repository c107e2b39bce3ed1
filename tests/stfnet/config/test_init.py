"""The choices that settings allow are those of the modules that implement them."""

import dataclasses

from stfnet.clips import plans
from stfnet.config import TrainingConfig


def test_choices_are_those_of_the_modules_that_implement_them():
    fields = {field.name: field for field in dataclasses.fields(TrainingConfig)}
    augmentations = fields["augmentation"].metadata["allowed"]
    assert {*plans.MIRRORED, *plans.CROPPED, "none"} == set(augmentations)
