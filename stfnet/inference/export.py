"""The network as a SavedModel, for processes that have TensorFlow alone."""

import hashlib
from pathlib import Path

import keras
import tensorflow as tf

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.flow import tvl1_keras
from preprocessing.flow.constants import GRAPH_BATCH
from stfnet.config import RunConfig, read_json, to_dict
from stfnet.inference import video_graph

CONFIG_FILE, CLASSES_FILE = "config.json", "classes.txt"
SUMS_FILE = "SHA256SUMS"  # of all other files, as `sha256sum --check` reads it


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
    return (Path(folder) / "saved_model.pb").is_file()


def load_export(folder):
    """Loads what `export_saved_model` wrote.

    Returns:
        (ExportedModel, RunConfig).

    Raises:
        UserError: the folder is damaged or was not written by this program.
    """
    _check_sums(Path(folder))
    config = read_json(RunConfig, Path(folder) / CONFIG_FILE, beside=("certificate",))
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


def _check_sums(folder):
    """Compares an export with the checksums in it; those of older versions have none."""
    path = folder / SUMS_FILE
    if not path.is_file():
        return
    sums = _sums(folder)
    lines = path.read_text(errors="replace").splitlines()
    wanted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in [*wanted, CONFIG_FILE, CLASSES_FILE, "saved_model.pb"]:
        if name not in wanted or sums.get(name) != wanted[name]:
            state = "is missing" if name not in sums else "is damaged, or its checksum is"
            raise UserError(f"{folder / name} {state}: copy the export again, or export the run")


def export_saved_model(model, config: RunConfig, folder, jit_compile=False, certificate=None):
    """Writes a SavedModel with the configuration and the class names beside it.

    The signature `serving_default` takes uint8 `rgb` (B, T, H, W, 3) and `flow` (B, T, H, W, 2L),
    or the one of them that the network reads, and returns `probabilities`, float32 (B, C).
    The signature `classify_frames` takes whole videos as uint8 RGB `frames` (B, N, H, W, 3) of any
    N >= 2, H and W, and returns the same with `class_names`, string (C,), and `frame_numbers`, the
    0-based numbers of the sampled frames, int32 (T,).
    SHA256SUMS has the checksums of all files, which `load_export` compares.
    The folder appears when everything in it is written; an export that is there is replaced.

    Args:
        model: network that `stfnet.build_stfnet` made.
        config: RunConfig.
        folder: to write.
        jit_compile: whether XLA compiles the flow solver of `classify_frames` when it is first
            called, which every TensorFlow from pip can, but not every server.
        certificate: of the run's videos (`stfnet.run.RunVideos.certificate`), kept in config.json.

    Raises:
        UserError: the folder holds something else than an export.
    """
    folder = Path(folder)
    if folder.exists() and not is_export(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds something else than an export; give another --output")
    with files.writing_folder(folder) as temporary:
        _write(model, config, temporary, jit_compile)
        values = {**to_dict(config), "certificate": certificate}
        files.write_json(temporary / CONFIG_FILE, values)
        sums = "".join(f"{digest}  {name}\n" for name, digest in _sums(temporary).items())
        (temporary / SUMS_FILE).write_text(sums)


def _trace_solver(clip, jit_compile):
    """TV-L1 as a graph of its own: it is large, and would be traced again with all around it."""
    pair = tf.TensorSpec((GRAPH_BATCH, clip.image_size, clip.image_size), tf.float32)
    solver = tf.function(tvl1_keras.solve, jit_compile=jit_compile or None)
    return solver.get_concrete_function(pair, pair)


def _write(model, config, folder, jit_compile):
    archive = keras.export.ExportArchive()
    archive.track(model)
    inputs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=name) for name, tensor in model.input.items()
    ]
    names = list(model.input)
    clip, streams = config.model.clip, config.model.streams
    solver = _trace_solver(clip, jit_compile) if streams != "rgb" else None

    def classify(*tensors):
        batch = dict(zip(names, tensors, strict=True))
        return {"probabilities": model(batch, training=False)}

    def classify_frames(frames):
        batch, numbers = video_graph.make_clip(frames, clip, streams, solver)
        return {
            "probabilities": model(batch, training=False),
            "class_names": tf.constant(config.classes),
            "frame_numbers": numbers,
        }

    archive.add_endpoint("serving_default", classify, input_signature=inputs)
    frames = tf.TensorSpec((None, None, None, None, 3), tf.uint8, name="frames")
    archive.add_endpoint("classify_frames", classify_frames, input_signature=[frames])
    archive.write_out(str(folder), verbose=False)
    (folder / CLASSES_FILE).write_text("".join(f"{name}\n" for name in config.classes))
