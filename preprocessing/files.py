"""Files that are whole or absent, JSON, locks on folders, and what a killed process left behind.

Every temporary file or folder of the project is named `.partial-HOST-PID-NAME` beside the NAME that
it will take, so that two processes never share one and the next run can tell which were abandoned.
"""

import contextlib
import errno
import fcntl
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from preprocessing.errors import UserError

LOCK_FILE = ".lock"
_PARTIAL = re.compile(r"\.partial-(?P<host>.*)-(?P<pid>\d+)-.+", re.DOTALL)
# What file systems without locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


def partial_path(path: Path) -> Path:
    """The temporary name of this process for `path`, with the same ending."""
    path = Path(path)
    return path.with_name(f".partial-{platform.node()}-{os.getpid()}-{path.name}")


def is_utf8(path: Path) -> bool:
    """Whether a name can be written to JSON, records and the terminal as it is."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(path: Path) -> str:
    """A name for a message, with what is not UTF-8 in it as `\\xe9`."""
    return os.fsencode(path).decode(errors="backslashreplace")


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Gives an error of the system in the block, such as a full disk, a name where it has none."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Opens a binary file that takes the name `path` only when the block ends well.

    The bytes reach the disk before the name does.
    """
    partial = partial_path(path)
    try:
        with _named(path), partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_with(path: Path, write: Callable[[Path], object]):
    """As `writing`, for a library that wants a file name: calls `write(temporary path)`."""
    partial = partial_path(path)
    try:
        with _named(path):
            write(partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(folder: Path) -> Iterator[Path]:
    """Yields a new temporary folder that takes the name `folder` only when the block ends well.

    What has that name is replaced, and what killed processes of this machine left of it goes.
    """
    folder = Path(folder)
    replaced = folder.with_name(f"{folder.name}.old")
    partial, old = partial_path(folder), partial_path(replaced)
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_partial_of(folder)
    remove_partial_of(replaced)
    try:
        partial.mkdir()
        yield partial
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str):
    """Replaces the file at `path` by `text`, UTF-8, in one step."""
    with writing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value):
    """Replaces the file at `path` by `value` as indented JSON, in one step."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def remove_partial(folder: Path):
    """Deletes the temporary files and folders that killed processes left in `folder`.

    Those of other processes that still live on this machine stay.
    """
    for path in Path(folder).glob(".partial-*"):
        match = _PARTIAL.fullmatch(path.name)
        if match and match["host"] == platform.node() and _lives_beside(int(match["pid"])):
            continue
        _remove(path)


def remove_partial_of(path: Path):
    """As `remove_partial`, of one name and this machine alone: others may write beside it."""
    prefix, suffix = f".partial-{platform.node()}-", f"-{path.name}"
    for other in path.parent.glob(".partial-*"):
        if not (other.name.startswith(prefix) and other.name.endswith(suffix)):
            continue
        pid = other.name[len(prefix) : -len(suffix)]
        if pid.isdecimal() and not _lives_beside(int(pid)):
            _remove(other)


def _remove(path: Path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _lives_beside(pid: int) -> bool:
    """Whether a process other than this one has the number."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


@contextlib.contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Keeps two processes from the same work in one folder; the system frees it when one ends.

    A file and not the folder is locked, since network file systems lock what is open for writing
    only. Where the file system knows no locks, nothing is locked.

    Args:
        folder: must exist; the lock is its file `.lock`.
        work: what the process does there, such as `preparation`, for the message.

    Raises:
        UserError: another process holds the lock.
    """
    path = Path(folder) / LOCK_FILE
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise UserError(
                f"another {work} is writing {folder} ({holder}): wait for it, stop it, or choose"
                " another folder"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        file.truncate(0)
        file.write(f"process {os.getpid()} on {platform.node()}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
