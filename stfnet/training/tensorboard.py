"""TensorBoard logs written with tf.summary, in step with the training loop."""

import io
import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from preprocessing import records
from preprocessing.captions import draw_text
from stfnet.clips import input_pipeline, plans
from stfnet.drawing import plots
from stfnet.drawing.annotation import MARGIN, draw_clip
from stfnet.run.config import RunConfig

SHOWN_CLIPS = 4
CAPTION = 36
RIGHT, WRONG = (110, 220, 130), (240, 120, 110)  # RGB
PICTURE_SECONDS = 60  # least time between two drawings, which would add up in short epochs


class TensorBoard(keras.callbacks.Callback):
    """Writes the figures of each step and each epoch, and pictures of the validation.

    For each step: loss, accuracy, learning rate, gradient norm. For each epoch: the columns of
    history.csv, with clips a second and the fraction of the time spent waiting for input; and, at
    most once a minute, the confusion matrix of the validation part and some of its clips, frames
    above flow, with their predicted class. Keras' own TensorBoard callback needs `fit`; this one
    needs only the logs of the loop.
    """

    def __init__(self, folder: Path, record_set: records.RecordSet, config: RunConfig):
        super().__init__()
        self.folder, self.record_set, self.config = folder, record_set, config
        self.epoch, self.drawn_at = 0, -math.inf
        self.clips: list[dict] = []  # batches of one
        self.writer: Any = None  # opened when training begins: the run's folder is there then

    def on_train_begin(self, logs=None):
        self.writer = tf.summary.create_file_writer(str(self.folder))
        with plots.never_fatal("TensorBoard's clips"):
            self._read_clips()

    def _read_clips(self):
        positions = self.params["validated"]  # in record_set.videos
        spread = np.linspace(0, len(positions) - 1, min(SHOWN_CLIPS, len(positions))).astype(int)
        clip = self.config.model.clip
        plan = plans.plan_evaluation(self.record_set, positions[spread], clip, 1)
        self.clips = list(input_pipeline.clip_dataset(self.record_set, plan, clip, 1))

    def on_train_batch_end(self, batch, logs=None):
        with self.writer.as_default(step=int(logs["step"])):  # Keras passes a float
            for name in ("loss", "accuracy", "learning_rate", "gradient_norm"):
                tf.summary.scalar(f"step/{name}", logs[name])

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_test_end(self, logs=None):
        """Draws now, while the weights are the validated ones (the average, with `ema`)."""
        if time.monotonic() - self.drawn_at < PICTURE_SECONDS:
            return
        self.drawn_at = time.monotonic()
        with plots.never_fatal("TensorBoard's confusion matrix"):
            picture = io.BytesIO()
            plots.draw_confusion(logs["confusion"], self.config.classes, picture)
            confusion = tf.io.decode_png(picture.getvalue(), channels=3)
            with self.writer.as_default(step=self.epoch):
                tf.summary.image("validation/confusion", confusion[None])
        if not self.clips:
            return
        with plots.never_fatal("TensorBoard's clips"), self.writer.as_default(step=self.epoch):
            tf.summary.image("validation/clips", self._draw_clips(), max_outputs=SHOWN_CLIPS)

    def on_epoch_end(self, epoch, logs=None):
        with self.writer.as_default(step=epoch):
            for name, value in logs.items():
                tf.summary.scalar(f"epoch/{name}", value)
        self.writer.flush()

    def on_train_end(self, logs=None):
        self.writer.close()

    def _draw_clips(self):
        drawn = []
        for batch in self.clips:
            inputs = input_pipeline.network_inputs(batch)
            inputs = {name: inputs[name] for name in self.model.input}
            probabilities = keras.ops.convert_to_numpy(self.model(inputs, training=False))[0]
            rgb, fields, label = (batch[name][0].numpy() for name in ("rgb", "fields", "label"))
            drawn.append(captioned_clip(rgb, fields, label, probabilities, self.config))
        return np.stack(drawn)


def captioned_clip(
    rgb: np.ndarray, fields: np.ndarray, label: int, probabilities: np.ndarray, config: RunConfig
) -> np.ndarray:
    """Draws a clip below a line with its true class and its predicted one.

    Frames and fields are as of `draw_clip`, the probabilities float (C,). Returns uint8 (height,
    width, 3), RGB.
    """
    clip = draw_clip(rgb, fields, config.model.clip)
    image = np.concatenate([np.zeros((CAPTION, *clip.shape[1:]), np.uint8), clip])
    best = int(probabilities.argmax())
    line = f"{config.classes[label]}: seen as {config.classes[best]}, {probabilities[best]:.0%}"
    color = RIGHT if best == label else WRONG
    draw_text(image, line, MARGIN, CAPTION - 12, 18, color, width=image.shape[1] - 2 * MARGIN)
    return image
