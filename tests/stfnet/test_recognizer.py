import dataclasses
import shutil

import keras
import numpy as np
import pytest

import stfnet
from preprocessing import video
from preprocessing.errors import UserError
from stfnet import run
from stfnet.inference import live, prediction
from stfnet.inference.clip import read_clip


@pytest.fixture(scope="module")
def model(tiny_run):
    return stfnet.load(tiny_run)


def test_a_video_gets_the_answer_of_the_program(model, tiny_run, moving_square):
    answer = model.predict_video(moving_square, top=2)
    network, config = prediction.load_model(tiny_run)
    probabilities, _ = prediction.predict_video(network, config, moving_square)
    assert answer == prediction.rank(probabilities, config.classes, 2)
    assert len(answer) == 2 and answer[0][1] >= answer[1][1]
    assert {name for name, _ in answer} < {"Bow", "Jump", "Wave"}


def test_frames_get_the_answer_of_their_video(model, moving_square):
    frames = np.stack([frame for _, frame in video.read_timed_frames(moving_square)])
    assert model.predict_frames(frames) == model.predict_video(moving_square)


@pytest.mark.parametrize(
    "frames",
    [np.zeros((4, 8, 8, 3), np.float32), np.zeros((4, 8, 8), np.uint8), np.zeros((8, 8, 3), "u1")],
)
def test_other_arrays_are_refused_with_what_is_needed(model, frames):
    with pytest.raises(UserError, match=r"uint8 \(N, H, W, 3\)"):
        model.predict_frames(frames)


def test_a_single_frame_is_too_few(model):
    with pytest.raises(UserError, match="frames: "):
        model.predict_frames(np.zeros((1, 32, 32, 3), np.uint8))


def test_a_file_alone_answers_as_its_run(model, tiny_run, moving_square, tmp_path):
    shutil.copy(tiny_run / run.BEST_FILE, tmp_path / "mine.keras")
    alone = stfnet.load(tmp_path / "mine.keras")
    assert alone.classes == ("Bow", "Jump", "Wave")
    assert alone.config == model.config and alone.stored == model.stored
    assert alone.predict_video(moving_square) == model.predict_video(moving_square)
    _, config = prediction.load_model(tmp_path / "mine.keras")
    assert live.usual_interval(config) == live.usual_interval(run.read_config(tiny_run))


def test_flow_is_that_of_the_records(moving_square, tiny_run):
    _, config = prediction.load_run(tiny_run)
    stored = dataclasses.replace(config.records, image_format="png", flow_quality="reference")
    clips = [
        read_clip(moving_square, config.model.clip, quality=quality, stored=stored)["flow"]
        for quality in (None, "reference", "fast")
    ]
    assert (clips[0] == clips[1]).all() and (clips[0] != clips[2]).any()


def test_a_network_that_was_told_nothing_numbers_its_classes(model, tmp_path, caplog):
    network = stfnet.build_stfnet(model.config)
    network.save(tmp_path / "mine.keras")
    assert stfnet.load(tmp_path / "mine.keras").classes == ("class 0", "class 1", "class 2")
    (line,) = caplog.messages
    assert "mine.keras does not say what it learned from" in line and "class 0" in line


def test_a_file_that_is_missing_or_of_another_network_is_refused(tmp_path):
    with pytest.raises(UserError, match="missing"):
        stfnet.load(tmp_path / "none.keras")
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(UserError, match="Sequential"):
        stfnet.load(tmp_path / "other.keras")


def test_a_clip_is_what_the_network_takes(model, moving_square):
    inputs = stfnet.clip(moving_square, model.config.clip)
    assert {name: x.shape for name, x in inputs.items()} == {
        "rgb": (1, 3, 32, 32, 3),
        "flow": (1, 3, 32, 32, 8),
    }
    (probabilities,) = model.predict_on_batch(inputs)
    name, highest = model.predict_video(moving_square, top=1)[0]
    assert highest == pytest.approx(probabilities.max(), abs=1e-6)
    assert name == model.classes[probabilities.argmax()]
