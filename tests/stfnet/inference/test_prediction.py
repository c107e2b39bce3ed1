import dataclasses
import shutil

import cv2
import numpy as np
import pytest
import tensorflow as tf

from preprocessing import records
from preprocessing.errors import UserError
from preprocessing.preparation import conversion
from stfnet import input_pipeline, sampling
from stfnet.config import ClipConfig
from stfnet.inference import prediction

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


@pytest.mark.parametrize("resize", ["stretch", "crop"])
def test_a_file_gives_the_same_bytes_as_its_lossless_record(moving_square, resize):
    clip = dataclasses.replace(CLIP, resize=resize)
    settings = conversion.Settings(image_size=32, resize=resize, image_format="png")
    example = records.view_example(conversion.example(moving_square, "a", 0, settings))
    frames = sampling.test_indices(11, 3)
    fields = sampling.flow_indices(frames, 11, 4)
    rgb = tf.stack([tf.io.decode_png(bytes(example["frames"][k])) for k in frames])
    fields = tf.stack([tf.io.decode_png(bytes(example["flow"][k])) for k in fields.ravel()])
    fields = tf.reshape(fields, (3, 4, 2, 32, 32))
    found = prediction.read_clip(moving_square, clip)
    np.testing.assert_array_equal(found["rgb"], rgb)
    inputs = input_pipeline.network_inputs({"rgb": rgb[None], "fields": fields[None]})
    np.testing.assert_array_equal(found["flow"], inputs["flow"][0])
    assert found["flow"].shape == (3, 32, 32, 8)
    assert found["flow"].std() > 0
    assert found["frame_numbers"].tolist() == [0, 3, 6]
    assert (found["num_frames"], found["fps"]) == (11, 20)


def test_only_the_streams_asked_for_are_read(moving_square):
    whole = prediction.read_clip(moving_square, CLIP)
    assert "flow" not in prediction.read_clip(moving_square, CLIP, "rgb")
    alone = prediction.read_clip(moving_square, CLIP, "flow")
    assert "rgb" not in alone
    np.testing.assert_array_equal(alone["flow"], whole["flow"])


def test_a_run_comes_back_and_classifies(tiny_run, moving_square):
    model, config = prediction.load_run(tiny_run)
    assert config.model.clip == CLIP
    probabilities, clip = prediction.predict_video(model, config, moving_square)
    expected = np.asarray(model({"rgb": clip["rgb"][None], "flow": clip["flow"][None]}))[0]
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    ranking = prediction.rank(probabilities, config.classes, 2)
    assert ranking[0] == (config.classes[expected.argmax()], pytest.approx(expected.max()))
    assert len(ranking) == 2


def test_a_single_frame_is_refused_by_name(tmp_path):
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(UserError, match=f"{tmp_path}: a video of 1 frame.* at least 2"):
        prediction.read_clip(tmp_path, CLIP)


def test_folders_that_are_no_run_are_refused(tmp_path, tiny_run):
    with pytest.raises(UserError, match="nowhere does not exist"):
        prediction.load_run(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"config\.json is missing"):
        prediction.load_run(tmp_path)
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    whole = (folder / "best.keras").read_bytes()
    (folder / "best.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"best\.keras does not load"):
        prediction.load_run(folder)
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    (folder / "best.keras").write_bytes(damaged)
    with pytest.raises(UserError, match=r"checksum of model\.weights\.h5 is wrong"):
        prediction.load_run(folder)
    (folder / "best.keras").unlink()
    with pytest.raises(UserError, match=r"best\.keras is missing"):
        prediction.load_run(folder)
