"""What TensorBoard shows of a run, read back with TensorBoard's own reader."""

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import TrainingConfig
from stfnet.drawing import annotation
from stfnet.run.config import RunConfig
from stfnet.training import loop, tensorboard


@pytest.mark.slow
def test_a_run_writes_its_figures_and_pictures(make_config, tiny_records, tmp_path):
    stage = {"learning_rates": (1e-3,), "max_epochs": (2,), "frozen_blocks": (0,)}
    config = make_config(tiny_records, {"streams": "both"}, **stage)
    callback = tensorboard.TensorBoard(tmp_path / "logs", tiny_records, config)
    progress = loop.train(config, tiny_records, tmp_path, callbacks=[callback])

    events = EventAccumulator(str(tmp_path / "logs"), {"tensors": 0}).Reload()
    figures = {
        tag: [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
        if not tag.startswith("validation/")
    }
    for name in ("loss", "val_loss", "val_accuracy", "clips_per_second", "input_wait"):
        expected = [row[name] for row in progress.history]
        np.testing.assert_allclose(figures[f"epoch/{name}"], expected, rtol=1e-6)
    for name in ("loss", "accuracy", "learning_rate", "gradient_norm"):
        assert len(figures[f"step/{name}"]) == 6
    pictures = {}
    for tag in ("validation/confusion", "validation/clips"):
        (event,) = events.Tensors(tag)  # the epochs are seconds apart
        width, height, *images = tf.make_ndarray(event.tensor_proto)
        pictures[tag] = [tf.io.decode_png(image) for image in images]
        assert all(image.shape == (int(height), int(width), 3) for image in pictures[tag])
    assert len(pictures["validation/confusion"]) == 1
    assert len(pictures["validation/clips"]) == len(run.read_videos(tmp_path).val)


def test_a_drawn_clip_shows_the_frames_and_names_both_classes():
    clip = ClipConfig(num_frames=2, flow_length=4, image_size=32)
    config = RunConfig("tiny", ("Bow", "Jump"), ModelConfig(2, clip), TrainingConfig())
    gray = np.full((2, 32, 32, 3), 77, np.uint8), np.full((2, 4, 2, 32, 32), 128, np.uint8)
    size, caption = annotation.CELL, tensorboard.CAPTION
    right, wrong = (
        tensorboard.captioned_clip(*gray, 1, np.array(p), config) for p in ([0.1, 0.9], [0.9, 0.1])
    )
    assert right.shape == (caption + 2 * size, 2 * size, 3)
    assert (right[caption : caption + size] == 77).all()
    assert (right[:caption] != wrong[:caption]).any()
    np.testing.assert_array_equal(right[caption:], wrong[caption:])


def test_a_picture_that_cannot_be_drawn_ends_no_training(
    make_config, tiny_records, tmp_path, caplog
):
    config = make_config(tiny_records)
    callback = tensorboard.TensorBoard(tmp_path / "logs", tiny_records, config)
    callback.on_train_begin()
    # No matrix, and no network for the clips: neither picture comes about.
    callback.on_test_end({"confusion": None})
    callback.on_epoch_end(0, {"loss": 1.5})
    callback.on_train_end()
    undrawn = [record.getMessage() for record in caplog.records if "not drawn" in record.message]
    assert len(undrawn) == 2 and not any("\n" in line for line in undrawn)
    events = EventAccumulator(str(tmp_path / "logs"), {"tensors": 0}).Reload()
    assert events.Tags()["tensors"] == ["epoch/loss"]


@pytest.mark.parametrize(
    "name", ["cost_$5_vs_$10", "walk\nrun", "", "x" * 30_000, "歩く🙂", "\ud800"]
)
def test_a_caption_is_one_line_whatever_the_class_is_called(name):
    clip = ClipConfig(num_frames=2, flow_length=4, image_size=32)
    config = RunConfig("tiny", (name, "Jump"), ModelConfig(2, clip), TrainingConfig())
    gray = np.full((2, 32, 32, 3), 77, np.uint8), np.full((2, 4, 2, 32, 32), 128, np.uint8)
    image = tensorboard.captioned_clip(*gray, 0, np.array([0.9, 0.1]), config)
    assert image[: tensorboard.CAPTION].any()
    assert (image[tensorboard.CAPTION :][: annotation.CELL] == 77).all()
