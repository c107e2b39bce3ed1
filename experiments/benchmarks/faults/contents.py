"""What lies in a folder after a kill: whether it is whole, and how it differs from another."""

import csv
import hashlib
import json
import zipfile
import zlib

import numpy as np

from preprocessing import files
from preprocessing.errors import UserError

TOLERANCE = 1e-6  # of losses, weights and probabilities
_PNG_END = b"IEND\xaeB`\x82"


def digests(folder) -> dict:
    """File name -> SHA-256 of its bytes, of all files but locks."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != files.LOCK_FILE
    }


def leftovers(folder) -> list:
    """Names of the temporary files and folders under a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".partial-*"))


def untimed(value):
    """A JSON value without what depends on the clock."""
    if isinstance(value, dict):
        timed = ("second", "wait")  # seconds, clips_per_second, input_wait
        return {k: untimed(v) for k, v in value.items() if not any(word in k for word in timed)}
    return [untimed(item) for item in value] if isinstance(value, list) else value


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def csv_rows(path) -> list:
    """The rows of a CSV file, numbers as floats, without what depends on the clock."""
    with path.open(newline="") as file:
        return [untimed({k: _number(v) for k, v in row.items()}) for row in csv.DictReader(file)]


def _json(path):
    return untimed(json.loads(path.read_text()))


def _zip(path):
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")


def _png(path):
    if not path.read_bytes().endswith(_PNG_END):
        raise ValueError("it is cut off")


READERS = {".json": _json, ".csv": csv_rows, ".keras": _zip, ".npz": _zip, ".png": _png}


def whole_files(folder, names="*") -> dict:
    """Reads what lies in a folder under final names: file name -> content, where that compares.

    Raises:
        UserError: a file is not whole.
    """
    contents = {}
    for path in sorted(folder.glob(names)):
        if path.suffix not in READERS or path.name.startswith("."):
            continue
        try:
            contents[path.name] = READERS[path.suffix](path)
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(f"{path.name} is not whole ({error})") from error
    return contents


def difference(ours, theirs, name="") -> str | None:
    """Where two nested values first differ, or None; numbers may by `TOLERANCE`."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        if ours.keys() != theirs.keys():
            return f"{name} has not the same {min(map(str, ours.keys() ^ theirs.keys()))}"
        pairs = [(ours[key], theirs[key], f"{name}/{key}") for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            return f"{name} has {len(ours)} items instead of {len(theirs)}"
        pairs = [(*both, f"{name}/{k}") for k, both in enumerate(zip(ours, theirs, strict=True))]
    elif isinstance(ours, float | np.ndarray) and isinstance(theirs, float | np.ndarray):
        same = np.shape(ours) == np.shape(theirs) and np.allclose(
            ours, theirs, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
        )
        return None if same else f"{name} differs"
    else:
        return None if ours == theirs else f"{name} is {ours!r} instead of {theirs!r}"[:300]
    return next(filter(None, (difference(*pair) for pair in pairs)), None)
