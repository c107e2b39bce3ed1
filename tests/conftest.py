"""A small video and the folder of a small run, shared by the tests of prediction and after."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def moving_square(tmp_path_factory):
    """An mp4 of 11 frames of 64 x 48 at 20 frames/s: a textured square before a textured wall."""
    path = tmp_path_factory.mktemp("video") / "square.mp4"
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    wall, square = (cv2.GaussianBlur(image, (0, 0), 2) for image in noise)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 20, (64, 48))
    for k in range(11):
        frame = wall[:48].copy()
        frame[10:34, 5 + 2 * k : 29 + 2 * k] = square[:24, :24]
        writer.write(frame)
    writer.release()
    return path


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Function of ModelConfig settings that makes the folder of a run with random weights."""
    from stfnet import ClipConfig, ModelConfig, build_stfnet
    from stfnet.checkpoints import write_json
    from stfnet.config import RunConfig, TrainingConfig, to_dict

    clip = ClipConfig(num_frames=3, flow_length=4, image_size=32)

    def make(**settings):
        settings = {"clip": clip, "width_divisor": 16, "fc6_units": 8, "lstm_units": 4} | settings
        model = ModelConfig(num_classes=3, **settings)
        config = RunConfig("tiny", ("Bow", "Jump", "Wave"), model, TrainingConfig())
        folder = tmp_path_factory.mktemp("run")
        write_json(folder / "config.json", to_dict(config))
        build_stfnet(model).save(folder / "best.keras")
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_run(make_run):
    """Folder of a run of both streams: T = 3, L = 4, 32 x 32, three classes."""
    return make_run()
