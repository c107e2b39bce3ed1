"""TensorBoard logs written with tf.summary, in step with the training loop."""

import keras
import tensorflow as tf


class TensorBoard(keras.callbacks.Callback):
    """Writes loss, accuracy, learning rate and gradient norm a step, and the epoch's figures.

    Keras' own TensorBoard callback needs `fit`; this one needs the loop's logs alone.

    Args:
        folder: of the event files.
        every: steps between two entries.
    """

    def __init__(self, folder, every=1):
        super().__init__()
        self.folder, self.every = folder, every
        self.writer = None

    def on_train_begin(self, logs=None):
        self.writer = tf.summary.create_file_writer(str(self.folder))

    def on_train_batch_end(self, batch, logs=None):
        step = int(logs["step"])  # Keras hands every log over as a float
        if step % self.every:
            return
        with self.writer.as_default(step=step):
            for name in ("loss", "accuracy", "learning_rate", "gradient_norm"):
                tf.summary.scalar(f"step/{name}", logs[name])

    def on_epoch_end(self, epoch, logs=None):
        with self.writer.as_default(step=epoch):
            for name, value in logs.items():
                tf.summary.scalar(f"epoch/{name}", value)
        self.writer.flush()

    def on_train_end(self, logs=None):
        self.writer.close()
