"""Checkpoints: one .npz file each, written under a temporary name and renamed.

A .npz is a zip archive, whose members carry CRCs, so a truncated or damaged file is detected when
it is read, and the one before it is used.

The arrays are the variables of the network and its optimiser. An array is named by its variable's
path, such as `model/rgb_stream/block1_conv1/kernel`. Keras numbers optimisers and random generators
in the order in which a process makes them (`adam_1`), and that number is left out: it is another in
the process that resumes. Where two paths are then the same, the second ends in `#1`, the third in
`#2`, in the order of the variables.
"""

import collections
import io
import json
import logging
import lzma
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from preprocessing import files
from preprocessing.errors import UserError

if TYPE_CHECKING:  # a run's folder is read without Keras
    import keras

KEPT = 2
_COUNTER = re.compile(r"_\d+(?=/)")  # of Keras, in a path
_STATE = "__state__"  # name of the array that holds the state as JSON
_NAME = re.compile(r"checkpoint-(\d{9})\.npz")
# What reading a damaged zip archive raises.
DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,  # another method of compression
    RuntimeError,  # encryption
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def check_members(path: Path) -> None:
    """Compares the members of a zip archive, such as a `.keras` file, with their checksums.

    Keras alone does not: where a checksum is wrong it reads the weights again in another way, which
    from Python 3.12 on ignores checksums. Raises any of `DAMAGED`, or a UserError where the file is
    there and cannot be opened.
    """
    with _opened(path) as file, zipfile.ZipFile(file) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} is wrong")


def _opened(path: Path) -> BinaryIO:
    """Opens a file; an error of the system, such as a missing right, says nothing of content."""
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): allow it, and start the same command again"
        ) from error


def existing(folder: Path) -> list[Path]:
    """The folder's checkpoints, newest first."""
    paths = [path for path in Path(folder).glob("checkpoint-*.npz") if _NAME.fullmatch(path.name)]
    return sorted(paths, reverse=True)


def save(
    folder: Path, step: int, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]
) -> None:
    """Writes `checkpoint-<step>.npz` and removes all but the newest two.

    `state` is a JSON object with all that the run needs to resume beside the arrays.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    members: dict[str, Any] = {_STATE: np.array(json.dumps(state)), **arrays}

    def write(path: Path) -> None:
        with open(path, "wb") as file:
            np.savez(file, **members)

    files.write_with(folder / f"checkpoint-{step:09d}.npz", write)
    keep_newest(folder, KEPT)


def keep_newest(folder: Path, count: int) -> None:
    """Removes all but the newest `count` checkpoints."""
    for path in existing(folder)[count:]:
        path.unlink()


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    # Not by np.load, which reads as many bytes as the header of an array announces: with a damaged
    # header that announces fewer it would never reach the CRC at the member's end.
    with _opened(path) as file, zipfile.ZipFile(file) as archive:
        return {
            name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)))
            for name in archive.namelist()
        }


def latest_state(folder: Path) -> dict[str, Any] | None:
    """The state of the newest checkpoint that is whole, without its arrays; None without one."""
    for path in existing(folder):
        try:
            with _opened(path) as file, zipfile.ZipFile(file) as archive:
                member = io.BytesIO(archive.read(f"{_STATE}.npy"))
            return json.loads(str(np.load(member)))
        except DAMAGED:
            continue
    return None


def load_latest(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """The arrays and state of the newest checkpoint that is whole, or None where there is no
    checkpoint.

    Raises:
        UserError: there are checkpoints, but all are damaged, or one cannot be opened.
    """
    paths = existing(folder)
    for path in paths:
        try:
            arrays = _read_arrays(path)
            state = json.loads(str(arrays.pop(_STATE)))
        except UserError:
            raise
        except Exception as error:  # what zip archives and arrays raise is of a dozen classes
            logging.warning("%s is damaged (%s); using the one before it", path, error)
            continue
        return arrays, state
    if paths:
        raise UserError(
            f"{folder}: all {len(paths)} checkpoints are damaged; remove the folder to start again"
        )
    return None


def named_variables(
    model: "keras.Model", optimizer: "keras.optimizers.Optimizer"
) -> "dict[str, keras.Variable]":
    """Every variable that a run needs to resume, by a name that is the same in each process."""
    named: dict[str, keras.Variable] = {}
    seen: collections.Counter[str] = collections.Counter()
    for owner, variables in (("model", model.variables), ("optimizer", optimizer.variables)):
        for variable in variables:
            path = _COUNTER.sub("", f"{owner}/{variable.path}")
            named[f"{path}#{seen[path]}" if seen[path] else path] = variable
            seen[path] += 1
    return named


def to_arrays(
    model: "keras.Model", optimizer: "keras.optimizers.Optimizer"
) -> dict[str, np.ndarray]:
    """The values of `named_variables`."""
    named = named_variables(model, optimizer)
    return {name: variable.value.numpy() for name, variable in named.items()}


def assign(
    arrays: Mapping[str, np.ndarray], model: "keras.Model", optimizer: "keras.optimizers.Optimizer"
) -> None:
    """Gives the variables the values of a checkpoint.

    Checkpoints of earlier versions name arrays by their position, `0000`, `0001`, ...

    Raises:
        UserError: the checkpoint lacks a variable; nothing was assigned.
    """
    named = named_variables(model, optimizer)
    names = list(named)
    if "0000" in arrays:
        names = [f"{k:04d}" for k in range(len(named))]
    if missing := [name for name in names if name not in arrays]:
        raise UserError(
            f"the checkpoint has no array {missing[0]} ({len(missing)} are missing): it is of "
            "another version of this program or of Keras; resume with that one, or train the run "
            "again in another folder"
        )
    for name, variable in zip(names, named.values(), strict=True):
        variable.assign(arrays[name])
