"""Configurations on the way to JSON and back."""

import json

import pytest

from preprocessing.errors import UserError
from stfnet.config import ClipConfig, TrainingConfig, from_dict, read_json, to_dict
from stfnet.networks import ModelConfig
from stfnet.run.config import RunConfig


def test_a_run_configuration_survives_json(tmp_path):
    model = ModelConfig(3, ClipConfig(num_frames=5), merge="sum")
    training = TrainingConfig(learning_rates=(1e-3,), max_epochs=(4,), frozen_blocks=(0,))
    config = RunConfig("mine", ("a", "b", "c"), model, training, protocol="paper")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(to_dict(config)))
    assert read_json(RunConfig, path) == config


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: from_dict(ClipConfig, {"frames": 3}),
            "no setting frames (did",
        ),
        (lambda: from_dict(ClipConfig, {"frame_length": 3}), "did you mean flow_length?"),
        (lambda: from_dict(ModelConfig, {}), "num_classes"),
        (lambda: from_dict(ModelConfig, []), "ModelConfig is a group of settings, not []"),
    ],
)
def test_a_wrong_value_is_named(make, message):
    with pytest.raises(UserError) as refusal:
        make()
    assert message in str(refusal.value)


def test_a_missing_file_names_the_folder(tmp_path):
    with pytest.raises(UserError, match=r"is missing: is .* the folder of a run"):
        read_json(RunConfig, tmp_path / "config.json")
