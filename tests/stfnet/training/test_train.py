"""A training leaves what shows it."""

import cv2

from stfnet import run
from stfnet.training.train import train


def test_a_run_leaves_its_curves_and_logs(make_config, tiny_records, tmp_path):
    stage = {"learning_rates": (1e-3,), "max_epochs": (1,), "frozen_blocks": (0,)}
    config = make_config(tiny_records, **stage)
    progress = train(config, tiny_records, tmp_path / "run")
    assert progress.finished and len(progress.history) == 1
    assert cv2.imread(str(tmp_path / "run" / run.CURVES_FILE)) is not None
    assert list((tmp_path / "run" / run.TENSORBOARD_FOLDER).glob("events.out.tfevents.*"))
    # Finished: nothing is trained again.
    again = train(config, tiny_records, tmp_path / "run")
    assert again.history == progress.history
