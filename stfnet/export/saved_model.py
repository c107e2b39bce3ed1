"""The network as a SavedModel, for processes that have TensorFlow alone."""

import contextlib
import errno
import os
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from preprocessing.errors import UserError
from preprocessing.flow import tvl1_keras
from preprocessing.flow.constants import GRAPH_BATCH
from stfnet.config import read_json
from stfnet.export import video_graph
from stfnet.export.layout import CONFIG_FILE, SAVED_MODEL, check_sums, write_facts, writing
from stfnet.run.config import RunConfig

_FULL = 1 << 20  # bytes free on a disk that is called full


class ExportedModel:
    """The network in a folder of a SavedModel, called as a Keras one."""

    def __init__(self, folder):
        self._loaded = tf.saved_model.load(str(folder))  # owns the variables
        self.signatures = self._loaded.signatures

    def predict_on_batch(self, inputs):
        """Class probabilities float32 (B, C) of uint8 `rgb` and `flow`, as the network has them."""
        tensors = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
        return self.signatures["serving_default"](**tensors)["probabilities"].numpy()


def load_export(folder):
    """Loads what `export_saved_model` wrote, and its configuration.

    Raises:
        UserError: the folder is damaged or was not written by this program.
    """
    check_sums(Path(folder), SAVED_MODEL)
    config = read_json(
        RunConfig, Path(folder) / CONFIG_FILE, beside=("split_fingerprint", "certificate")
    )
    try:
        return ExportedModel(folder), config
    except (OSError, ValueError, IndexError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{folder} does not load ({reason}); export the run again") from error


@contextlib.contextmanager
def naming_full_disk(folder):
    """Turns what TensorFlow raises in the block into the system's error where the disk is full."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:  # memory is another resource
        if shutil.disk_usage(folder).free >= _FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def export_saved_model(model, config: RunConfig, folder, jit_compile=False, fingerprint=None):
    """Writes a SavedModel with the configuration and the class names beside it.

    SHA256SUMS has the checksums of all files, which `load_export` compares. The folder appears when
    everything in it is written; an export that is there is replaced, and a UserError raised where
    it holds something else.
    """
    with writing(folder) as temporary:
        write_saved_model(model, config, temporary, jit_compile)
        write_facts(temporary, config, fingerprint)


def clip_function(model):
    """The network as a function of a dictionary, which refuses clips of another shape, and the
    specs of its argument.

    The function takes uint8 `rgb` (B, T, H, W, 3) and `flow` (B, T, H, W, 2L), or the one of them
    that the network reads, and returns a dictionary of `probabilities`, float32 (B, C).
    """
    specs = {
        name: tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
        for name, tensor in model.input.items()
    }

    def classify(clips):
        # A signature's shapes are not enforced: the network would mix the clips of a batch.
        checked = {name: tf.ensure_shape(clips[name], spec.shape) for name, spec in specs.items()}
        return {"probabilities": model(checked, training=False)}

    return classify, specs


def _trace_solver(clip, jit_compile):
    """TV-L1 as a graph of its own: it is large, and would be traced again with all around it."""
    pair = tf.TensorSpec((GRAPH_BATCH, clip.image_size, clip.image_size), tf.float32)
    solver = tf.function(tvl1_keras.solve, jit_compile=jit_compile or None, autograph=False)
    return solver.get_concrete_function(pair, pair)


def write_saved_model(model, config: RunConfig, folder, jit_compile=False, by_video=False):
    """Writes the SavedModel alone.

    The signature `serving_default` is that of `clip_function`. The signature `classify_frames`
    takes whole videos as uint8 RGB `frames` (B, N, H, W, 3) of any N >= 2, H and W, and returns the
    same with `class_names`, string (C,), and `frame_numbers`, the 0-based numbers of the sampled
    frames, int32 (T,). It reads every frame that it is given: those that `clip.fps` and
    `clip.repeats` leave out must be left out before.

    With `jit_compile` XLA compiles the flow solver of `classify_frames` when it is first called,
    which every TensorFlow from pip can, but not every server. With `by_video` `class_names` and
    `frame_numbers` are repeated for each video, as a server needs that joins requests to batches:
    (B, C) and (B, T).
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    clip, streams = config.model.clip, config.model.streams
    videos = tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")
    solver = _trace_solver(clip, jit_compile) if streams != "rgb" else None

    def classify_frames(frames):
        frames = tf.ensure_shape(frames, videos.shape)
        batch, numbers = video_graph.make_clip(frames, clip, config.records, streams, solver)
        names = tf.constant(config.classes)
        if by_video:
            names, numbers = (tf.repeat(x[None], tf.shape(frames)[0], 0) for x in (names, numbers))
        return {
            "probabilities": model(batch, training=False),
            "class_names": names,
            "frame_numbers": numbers,
        }

    classify, specs = clip_function(model)
    archive.add_endpoint("serving_default", classify, input_signature=[specs])
    archive.add_endpoint("classify_frames", classify_frames, input_signature=[videos])
    with naming_full_disk(folder):
        archive.write_out(str(folder), verbose=False)
