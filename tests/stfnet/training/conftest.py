"""The configuration of small runs."""

import dataclasses

import pytest

from stfnet import ClipConfig, ModelConfig
from stfnet.config import TrainingConfig
from stfnet.run.config import RunConfig

# One stream, two frames and plain LSTMs, because most of the time goes into building graphs.
MODEL = ModelConfig(
    num_classes=3,
    clip=ClipConfig(num_frames=2, flow_length=4, image_size=32),
    streams="rgb",
    width_divisor=32,
    fc6_units=8,
    lstm_units=8,
    rgb_input="unit",
    flow_input="pixels",
    normalize="none",
    fc6_dropout=0.1,
    lstm_dropout=0.1,
)
TRAINING = TrainingConfig(
    learning_rates=(3e-3, 1e-3),
    max_epochs=(2, 1),
    batch_size=4,
    tau_range=(1, 3),
    validation_fraction=0.2,
)


@pytest.fixture(scope="session")
def make_config():
    """Function of a record set, changed settings of the network, and others of training."""
    return _config


def _config(record_set, model=None, **changes):
    return RunConfig(
        record_set.name,
        record_set.classes,
        dataclasses.replace(MODEL, **(model or {})),
        dataclasses.replace(TRAINING, **changes),
    )
