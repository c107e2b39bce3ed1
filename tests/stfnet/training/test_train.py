"""A training leaves what shows it."""

import cv2

from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import TrainingConfig
from stfnet.run.config import RunConfig
from stfnet.training.train import train


def test_a_run_leaves_its_curves_and_logs(tiny_records, tmp_path):
    clip = ClipConfig(num_frames=3, flow_length=4, image_size=32)
    model = ModelConfig(3, clip, width_divisor=32, fc6_units=8, lstm_units=8)
    training = TrainingConfig((1e-3,), (1,), frozen_blocks=(0,), batch_size=4, tau_range=(1, 3))
    config = RunConfig(tiny_records.name, tiny_records.classes, model, training)
    progress = train(config, tiny_records, tmp_path / "run")
    assert progress.finished and len(progress.history) == 1
    assert cv2.imread(str(tmp_path / "run" / run.CURVES_FILE)) is not None
    assert list((tmp_path / "run" / run.TENSORBOARD_FOLDER).glob("events.out.tfevents.*"))
    # Finished: nothing is trained again.
    again = train(config, tiny_records, tmp_path / "run")
    assert again.history == progress.history
