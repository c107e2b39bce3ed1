import keras
import numpy as np
import pytest

import stfnet
from preprocessing import video
from preprocessing.errors import UserError
from stfnet import run
from stfnet.inference import prediction


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


def test_the_file_of_a_run_has_its_classes_and_any_other_numbers(model, tiny_run, tmp_path):
    assert stfnet.load(tiny_run / run.BEST_FILE).classes == ("Bow", "Jump", "Wave")
    model.save(tmp_path / "mine.keras")  # the network's own method
    alone = stfnet.load(tmp_path / "mine.keras")
    assert alone.classes == ("class 0", "class 1", "class 2") and alone.config == model.config


def test_a_file_that_is_missing_or_of_another_network_is_refused(tmp_path):
    with pytest.raises(UserError, match="missing"):
        stfnet.load(tmp_path / "none.keras")
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(UserError, match="Sequential"):
        stfnet.load(tmp_path / "other.keras")


def test_a_damaged_file_is_told_in_one_line(model, tmp_path):
    path = tmp_path / "mine.keras"
    model.save(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    for damaged in (content, content[: len(content) // 2], b"no network"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"mine\.keras does not load") as refused:
            stfnet.load(path)
        assert "\n" not in str(refused.value)


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
