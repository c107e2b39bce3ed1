import pytest
from helpers import run_config

from stfnet import ClipConfig, ModelConfig


@pytest.fixture(scope="session")
def config(tiny_records):
    """Of a run on clips of 3 frames of `tiny_records`."""
    clip = ClipConfig(num_frames=3, flow_length=4, image_size=32)
    return run_config(
        ModelConfig(3, clip), tiny_records, batch_size=4, tau_range=(1, 3), validation_fraction=0.2
    )
