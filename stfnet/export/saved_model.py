"""The network as a SavedModel, for processes that have TensorFlow alone."""

import contextlib
import errno
import hashlib
import os
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.flow import tvl1_keras
from preprocessing.flow.constants import GRAPH_BATCH
from stfnet.config import read_json, to_dict
from stfnet.export import video_graph
from stfnet.run.config import RunConfig

CONFIG_FILE, CLASSES_FILE = "config.json", "classes.txt"
SUMS_FILE = "SHA256SUMS"  # of all other files, as `sha256sum --check` reads it
SAVED_MODEL, ONNX_FILE, LITERT_FILE = "saved_model.pb", "network.onnx", "network.tflite"
QUANTISED_FILE = "network_quantised.tflite"
EXAMPLE_FILE, AGREEMENT_FILE = "example.npz", "agreement.json"  # beside either of the two
HEAD_FILE, CARD_FILE = "head.npz", "README.md"
VERSION = "1"  # folder of the SavedModel in TensorFlow Serving's layout
MODELS_FILE, BATCHING_FILE = "models.config", "batching.config"  # beside that folder
_FULL = 1 << 20  # bytes free on a disk that is called full
_OF_SAVED_MODEL = {SAVED_MODEL, "fingerprint.pb", "variables", "assets", "assets.extra"}
_OF_VERSION = {CONFIG_FILE, CLASSES_FILE, SUMS_FILE, *_OF_SAVED_MODEL}
_OF_EXPORT = {ONNX_FILE, LITERT_FILE, QUANTISED_FILE, EXAMPLE_FILE, AGREEMENT_FILE} | _OF_VERSION
_OF_EXPORT |= {VERSION, MODELS_FILE, BATCHING_FILE, HEAD_FILE, CARD_FILE}


class ExportedModel:
    """An exported network, called as a Keras one.

    Args:
        folder: of the SavedModel.
    """

    def __init__(self, folder):
        self._loaded = tf.saved_model.load(str(folder))  # owns the variables
        self.signatures = self._loaded.signatures

    def predict_on_batch(self, inputs):
        """Class probabilities float32 (B, C) of uint8 `rgb` and `flow`, as the network has them."""
        tensors = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
        return self.signatures["serving_default"](**tensors)["probabilities"].numpy()


def is_export(folder) -> bool:
    """Whether the folder holds a SavedModel."""
    return (Path(folder) / SAVED_MODEL).is_file()


def is_foreign(folder) -> bool:
    """Whether the folder holds an export that other programs than this project's read."""
    markers = (ONNX_FILE, LITERT_FILE, f"{VERSION}/{SAVED_MODEL}")
    return any((Path(folder) / name).is_file() for name in markers)


def is_head(folder) -> bool:
    """Whether the folder holds a head, see `stfnet.export.head`."""
    return (Path(folder) / HEAD_FILE).is_file()


def load_export(folder):
    """Loads what `export_saved_model` wrote.

    Returns:
        (ExportedModel, RunConfig).

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


def _sums(folder) -> dict:
    """File name -> hexadecimal SHA-256, of every file but the list itself and hidden ones."""
    sums = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != SUMS_FILE and not path.name.startswith("."):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            sums[path.relative_to(folder).as_posix()] = digest
    return sums


def check_sums(folder, network):
    """Compares an export with the checksums in it; those of older versions have none.

    Args:
        folder: of the export.
        network: name of its main file.

    Raises:
        UserError: a file is missing or damaged.
    """
    path = folder / SUMS_FILE
    if not path.is_file():
        return
    sums = _sums(folder)
    lines = path.read_text(errors="replace").splitlines()
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in [*wanted, CONFIG_FILE, CLASSES_FILE, network]:
        if name not in wanted or sums.get(name) != wanted[name]:
            state = "is missing" if name not in sums else "is damaged, or its checksum is"
            raise UserError(f"{folder / name} {state}: copy the export again, or export the run")


def check_room(folder, size, advice="give another --output"):
    """Checks before the work that a disk has room for what will be written.

    Args:
        folder: to write to; it need not be there yet.
        size: bytes.
        advice: what to do where the disk cannot have more room.

    Raises:
        UserError: it has not.
    """
    folder = Path(folder).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < size:
        raise UserError(
            f"{there}: {free / 1e6:.1f} MB are free, and the export needs {size / 1e6:.1f} MB: "
            f"make room, or {advice}"
        )


@contextlib.contextmanager
def naming_full_disk(folder):
    """Turns what TensorFlow raises in the block into the system's error where the disk is full."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:  # memory is another resource
        if shutil.disk_usage(folder).free >= _FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def strange_in_version(folder):
    """Names in the folder of a version, as of TensorFlow Serving, that no export has."""
    return sorted(path.name for path in folder.glob("*") if path.name not in _OF_VERSION)


@contextlib.contextmanager
def writing(folder):
    """Yields a new temporary folder that becomes the export when the block ends well.

    An export of any format that is there is replaced.

    Raises:
        UserError: the folder holds something else than an export, or beside one.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is no folder; give another --output")
    there = sorted(path.name for path in folder.glob("*"))
    strange = [name for name in there if name not in _OF_EXPORT]
    strange += [f"{VERSION}/{name}" for name in strange_in_version(folder / VERSION)]
    if strange:
        raise UserError(
            f"{folder} holds {strange[0]}, which no export has, and would be replaced as a whole:"
            " give another --output, or move that away"
        )
    if there and not (is_export(folder) or is_foreign(folder) or is_head(folder)):
        raise UserError(f"{folder} holds something else than an export; give another --output")
    with files.writing_folder(folder) as temporary:
        yield temporary


def write_facts(folder, config: RunConfig, fingerprint=None, **others):
    """Writes what a user of the exported network needs to know, and the checksums of all files.

    Args:
        folder: of the network, in which nothing is written afterwards.
        config: RunConfig, written to config.json; its class names to classes.txt, one a line.
        fingerprint: of the run's videos (`stfnet.run.RunVideos.fingerprint`), kept in config.json.
        others: JSON values that config.json has beside it.
    """
    (folder / CLASSES_FILE).write_text("".join(f"{name}\n" for name in config.classes))
    facts = {**to_dict(config), "split_fingerprint": fingerprint, **others}
    files.write_json(folder / CONFIG_FILE, facts)
    sums = "".join(f"{digest}  {name}\n" for name, digest in _sums(folder).items())
    (folder / SUMS_FILE).write_text(sums)


def export_saved_model(model, config: RunConfig, folder, jit_compile=False, fingerprint=None):
    """Writes a SavedModel with the configuration and the class names beside it.

    SHA256SUMS has the checksums of all files, which `load_export` compares.
    The folder appears when everything in it is written; an export that is there is replaced.

    Args:
        model: network that `stfnet.build_stfnet` made.
        config: RunConfig.
        folder: to write.
        jit_compile: as in `write_saved_model`.
        fingerprint: of the run's videos (`stfnet.run.RunVideos.fingerprint`), kept in config.json.

    Raises:
        UserError: the folder holds something else than an export.
    """
    with writing(folder) as temporary:
        write_saved_model(model, config, temporary, jit_compile)
        write_facts(temporary, config, fingerprint)


def clip_function(model):
    """The network as a function of a dictionary, which refuses clips of another shape.

    Args:
        model: network that `stfnet.build_stfnet` made.

    Returns:
        (function, dictionary of tf.TensorSpec): the function of a dictionary of uint8 `rgb`
        (B, T, H, W, 3) and `flow` (B, T, H, W, 2L), or the one of them that the network reads,
        returns a dictionary of `probabilities`, float32 (B, C); the specs are of its argument.
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

    The signature `serving_default` is that of `clip_function`.
    The signature `classify_frames` takes whole videos as uint8 RGB `frames` (B, N, H, W, 3) of any
    N >= 2, H and W, and returns the same with `class_names`, string (C,), and `frame_numbers`, the
    0-based numbers of the sampled frames, int32 (T,). It reads every frame that it is given: those
    that `clip.fps` and `clip.repeats` leave out must be left out before.

    Args:
        model: network that `stfnet.build_stfnet` made.
        config: RunConfig.
        folder: to write.
        jit_compile: whether XLA compiles the flow solver of `classify_frames` when it is first
            called, which every TensorFlow from pip can, but not every server.
        by_video: whether `class_names` and `frame_numbers` are repeated for each video, as a
            server needs that joins requests to batches: (B, C) and (B, T).
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
