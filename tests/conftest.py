"""A small video and the folder of a small run, shared by the tests of prediction and after."""

import dataclasses
import logging
import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import cv2
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def warnings_are_logged():
    """Some libraries raise the level of the root logger when they are imported."""
    logging.getLogger().setLevel(logging.WARNING)


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
    from stfnet import ClipConfig, ModelConfig, build_stfnet, run
    from stfnet.config import RunConfig, TrainingConfig

    clip = ClipConfig(num_frames=3, flow_length=4, image_size=32)

    def make(**settings):
        settings = {"clip": clip, "width_divisor": 16, "fc6_units": 8, "lstm_units": 4} | settings
        model = ModelConfig(num_classes=3, **settings)
        config = RunConfig("tiny", ("Bow", "Jump", "Wave"), model, TrainingConfig())
        folder = tmp_path_factory.mktemp("run")
        parts = [{f"v_{k}": f"{k:064x}"} for k in range(3)]
        videos = run.RunVideos("group", "1", 0, 0.2, *parts, {}, leak=0.0, duplicates=0)
        with run.writing(folder, config, videos):
            build_stfnet(model).save(folder / run.BEST_FILE)
        return folder

    return make


@pytest.fixture(scope="session")
def tiny_run(make_run):
    """Folder of a run of both streams: T = 3, L = 4, 32 x 32, three classes."""
    return make_run()


@pytest.fixture(scope="session")
def prepare_squares():
    """Function that makes records of real mp4 files by the real road: T = 3, L = 4, 32 x 32 pixels.

    A textured square moves right, moves left or stays, before a wall of its group's: three
    classes, one clip of each in a group.
    """
    from preprocessing import records
    from preprocessing.datasets import class_folders
    from preprocessing.preparation import prepare as preparation
    from preprocessing.preparation.conversion import Settings
    from preprocessing.preparation.local import local_runner

    def prepare(folder, groups):
        for group in groups:
            rng = np.random.default_rng(group)
            wall, square = (
                cv2.GaussianBlur(rng.integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 2)
                for _ in range(2)
            )
            for name, speed in (("Right", 2), ("Left", -2), ("Still", 0)):
                path = folder / "videos" / name / f"v_{name}_g{group:02d}_c01.mp4"
                path.parent.mkdir(parents=True, exist_ok=True)
                writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 20, (64, 48))
                for k in range(8 + group % 3):
                    frame = wall.copy()
                    left = 20 + speed * k
                    frame[12:36, left : left + 24] = square[:24, :24]
                    writer.write(frame)
                writer.release()
        preparation.prepare(
            class_folders.load(folder / "videos"),
            folder / "records",
            Settings(image_size=32),
            {"num_frames": 3, "flow_length": 4},
            local_runner(workers=2, time_limit=60),
        )
        return records.load_record_set(folder / "records")

    return prepare


@pytest.fixture(scope="session")
def tiny_records(prepare_squares, tmp_path_factory):
    """Records of 24 videos, 8 groups of 3 classes (see `prepare_squares`)."""
    return prepare_squares(tmp_path_factory.mktemp("tiny"), range(1, 9))


@pytest.fixture
def damaged_records(tiny_records, tmp_path):
    """A copy of `tiny_records` in which a bit of the third record is wrong."""
    copy = dataclasses.replace(tiny_records, folder=tmp_path / "damaged-records")
    shutil.copytree(tiny_records.folder, copy.folder)
    video = copy.videos[2]
    with copy.shard_paths[video.shard].open("r+b") as shard:
        shard.seek(video.offset + video.length // 2)
        (byte,) = shard.read(1)
        shard.seek(-1, os.SEEK_CUR)
        shard.write(bytes([byte ^ 1]))
    return copy
