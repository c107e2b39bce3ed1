"""TensorBoard logs written with tf.summary, in step with the training loop."""

import io
import math
import time

import keras
import numpy as np
import tensorflow as tf

from stfnet import input_pipeline, plans
from stfnet.config import RunConfig
from stfnet.evaluation import plots
from stfnet.inference.annotation import MARGIN, draw_clip, draw_text

SHOWN_CLIPS = 4
CAPTION = 36
RIGHT, WRONG = (110, 220, 130), (240, 120, 110)  # RGB
PICTURE_SECONDS = 60  # least time between two drawings: in a run of short epochs they add up


class TensorBoard(keras.callbacks.Callback):
    """Writes a step's and an epoch's figures, and what became of validation.

    A step: loss, accuracy, learning rate, gradient norm. An epoch: those of history.csv, with
    clips a second and the share of time spent waiting for input; and, a minute apart at least,
    the confusion matrix of the validation part and some of its clips, frames above flow, with
    what the network says of them.
    Keras' own TensorBoard callback needs `fit`; this one needs the loop's logs alone.

    Args:
        folder: of the event files.
        record_set: of the records.
        config: RunConfig.
        every: steps between two entries.
    """

    def __init__(self, folder, record_set, config: RunConfig, every=1):
        super().__init__()
        self.folder, self.record_set, self.config, self.every = folder, record_set, config, every
        self.writer, self.epoch, self.drawn_at = None, 0, -math.inf

    def on_train_begin(self, logs=None):
        self.writer = tf.summary.create_file_writer(str(self.folder))
        self.clips = []
        with plots.never_fatal("TensorBoard's clips"):
            self._read_clips()

    def _read_clips(self):
        positions = self.params["validated"]  # in record_set.videos
        spread = np.linspace(0, len(positions) - 1, min(SHOWN_CLIPS, len(positions))).astype(int)
        clip = self.config.model.clip
        plan = plans.plan_evaluation(self.record_set, positions[spread], clip, 1)
        self.clips = list(input_pipeline.clip_dataset(self.record_set, plan, clip, 1))

    def on_train_batch_end(self, batch, logs=None):
        step = int(logs["step"])  # Keras hands every log over as a float
        if step % self.every:
            return
        with self.writer.as_default(step=step):
            for name in ("loss", "accuracy", "learning_rate", "gradient_norm"):
                tf.summary.scalar(f"step/{name}", logs[name])

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_test_end(self, logs=None):
        """Draws while the weights are those that were validated (the average, with `ema`)."""
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


def captioned_clip(rgb, fields, label, probabilities, config: RunConfig):
    """Draws a clip under a line with its class and what the network says of it.

    Args:
        rgb, fields: see `stfnet.inference.annotation.draw_clip`.
        label: true class.
        probabilities: float (C,).
        config: RunConfig.

    Returns:
        uint8 (height, width, 3), RGB.
    """
    clip = draw_clip(rgb, fields, config.model.clip)
    image = np.concatenate([np.zeros((CAPTION, *clip.shape[1:]), np.uint8), clip])
    best = int(probabilities.argmax())
    line = f"{config.classes[label]}: seen as {config.classes[best]}, {probabilities[best]:.0%}"
    color = RIGHT if best == label else WRONG
    draw_text(image, line, MARGIN, CAPTION - 12, 18, color, width=image.shape[1] - 2 * MARGIN)
    return image
