"""The folder of an export: names of its files, its checksums, and how it appears whole."""

import contextlib
import hashlib
import shutil
from pathlib import Path

from preprocessing import files
from preprocessing.errors import UserError
from stfnet.config import to_dict
from stfnet.run.config import RunConfig

CONFIG_FILE, CLASSES_FILE = "config.json", "classes.txt"
SUMS_FILE = "SHA256SUMS"  # of all other files, as `sha256sum --check` reads it
SAVED_MODEL, ONNX_FILE, LITERT_FILE = "saved_model.pb", "network.onnx", "network.tflite"
QUANTISED_FILE = "network_quantised.tflite"
EXAMPLE_FILE, AGREEMENT_FILE = "example.npz", "agreement.json"  # beside either of the two
HEAD_FILE, CARD_FILE = "head.npz", "README.md"
VERSION = "1"  # folder of the SavedModel in TensorFlow Serving's layout
MODELS_FILE, BATCHING_FILE = "models.config", "batching.config"  # beside that folder
_OF_SAVED_MODEL = {SAVED_MODEL, "fingerprint.pb", "variables", "assets", "assets.extra"}
_OF_VERSION = {CONFIG_FILE, CLASSES_FILE, SUMS_FILE, *_OF_SAVED_MODEL}
_OF_EXPORT = {ONNX_FILE, LITERT_FILE, QUANTISED_FILE, EXAMPLE_FILE, AGREEMENT_FILE} | _OF_VERSION
_OF_EXPORT |= {VERSION, MODELS_FILE, BATCHING_FILE, HEAD_FILE, CARD_FILE}


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
    """Compares an export, whose main file is named, with the checksums in it; those of older
    versions have none.

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
    """Checks before the work that the disk of a folder, which need not be there yet, has room for
    so many bytes.

    Raises:
        UserError: it has not; the advice is what to do where it cannot have more.
    """
    folder = Path(folder).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < size:
        raise UserError(
            f"{there}: {free / 1e6:.1f} MB are free, and the export needs {size / 1e6:.1f} MB: "
            f"make room, or {advice}"
        )


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

    The settings go to config.json, with the fingerprint of the run's videos and other JSON values
    beside them, and the class names to classes.txt, one a line. Nothing is written into the folder
    afterwards.
    """
    (folder / CLASSES_FILE).write_text("".join(f"{name}\n" for name in config.classes))
    facts = {**to_dict(config), "split_fingerprint": fingerprint, **others}
    files.write_json(folder / CONFIG_FILE, facts)
    sums = "".join(f"{digest}  {name}\n" for name, digest in _sums(folder).items())
    (folder / SUMS_FILE).write_text(sums)
