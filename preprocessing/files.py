"""Files that are whole or absent, JSON, CSV, locks on folders, what a killed process left behind.

Every temporary file or folder of the project is named `.partial-HOST-PID-NAME` beside the NAME that
it will take, so that two processes never share one and the next run can tell which were abandoned.
HOST has its dashes as `%2D`: else host `a` could not tell its process 5 from those of host `a-5`.
"""

import contextlib
import csv
import errno
import io
import json
import os
import platform
import re
import shutil
import sys
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import filelock

from preprocessing.errors import UserError

LOCK_FILE = ".lock"
# Linux has no process of more than 7 digits.
_PARTIAL = re.compile(r"\.partial-([^-]*)-([1-9][0-9]{0,6})-(.+)", re.DOTALL)
# What file systems without locks answer.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


def partial_path(path: Path) -> Path:
    """The temporary name of this process for `path`, with the same ending."""
    path = Path(path)
    return path.with_name(f".partial-{_host()}-{os.getpid()}-{path.name}")


def _host() -> str:
    return urllib.parse.quote(os.fsencode(platform.node()), safe="").replace("-", "%2D")


def printable(path: Path) -> str:
    """A name for a message, with what is not UTF-8 in it as `\\xe9`."""
    return os.fsencode(path).decode(errors="backslashreplace")


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Yields the temporary name of a file that takes its own when the block ends well.

    An error of the system in the block, such as a full disk, is given the name where it has none.
    """
    partial = partial_path(path)
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Opens a binary file that takes the name `path` only when the block ends well.

    The bytes reach the disk before the name does.
    """
    with _replacing(path) as partial, partial.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def write_with(path: Path, write: Callable[[Path], object]):
    """As `writing`, for a library that wants a file name: calls `write(temporary path)`."""
    with _replacing(path) as partial:
        write(partial)
        with partial.open("rb") as file:
            os.fsync(file.fileno())


@contextlib.contextmanager
def writing_folder(folder: Path) -> Iterator[Path]:
    """Yields a new temporary folder that takes the name `folder` only when the block ends well.

    What has that name is replaced, and what killed processes of this machine left of it goes. Where
    one was killed between taking the old folder away and giving the new one its name, the old one
    comes back first. Of a link, the folder that it leads to is replaced.
    """
    folder = Path(os.path.realpath(folder))
    replaced = folder.with_name(f"{folder.name}.old")
    partial, old = partial_path(folder), partial_path(replaced)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        for left in _abandoned(folder.parent, replaced.name)[:1]:
            left.rename(folder)
    remove_partial(folder.parent, folder.name)
    remove_partial(folder.parent, replaced.name)
    try:
        partial.mkdir()
        yield partial
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        _remove(partial)
        _remove(old)


def write_text(path: Path, text: str):
    """Replaces the file at `path` by `text`, UTF-8, in one step."""
    with writing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value):
    """Replaces the file at `path` by `value` as indented JSON, in one step."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_csv(path: Path, rows: Iterable[Iterable[object]], end: str = "\n"):
    """Replaces the file at `path` by rows as CSV, UTF-8, in one step.

    Args:
        rows: of cells, taken one after the other: those of a large set would fill the memory.
    """
    with writing(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        csv.writer(text, lineterminator=end).writerows(rows)
        text.detach()  # or it would close the file


def remove_partial(folder: Path, name: str | None = None):
    """Deletes the temporary files and folders that killed processes of this machine left.

    Those of another host stay, since nobody here knows whether its process lives; one line names
    them. Names of any other form are not the project's.

    Args:
        name: that they were to take; None for any.
    """
    for path in _abandoned(folder, name):
        _remove(path)
    if others := [path for path, match in _partials(folder, name) if match[1] != _host()]:
        print(
            f"{printable(others[0])} is a temporary file of another host"
            f"{f', as are {len(others) - 1} more there' if others[1:] else ''}: left alone; delete"
            " it if no process writes it any more",
            file=sys.stderr,
        )


def _partials(folder: Path, name: str | None) -> list[tuple[Path, re.Match[str]]]:
    """(path, host, process and name) of the temporary files of any host, as `remove_partial`."""
    matched = [(p, _PARTIAL.fullmatch(p.name)) for p in sorted(Path(folder).glob(".partial-*"))]
    return [(path, match) for path, match in matched if match and name in (None, match[3])]


def _abandoned(folder: Path, name: str | None) -> list[Path]:
    """Temporary files of dead processes of this host."""
    return [
        path
        for path, match in _partials(folder, name)
        if match[1] == _host() and not _lives_beside(int(match[2]))
    ]


def check_unclaimed(folder: Path, names: Iterable[str], of: str):
    """Checks that work that is begun in a folder would replace no file of somebody else.

    Args:
        folder: in which nothing says that the work was begun.
        names: of the files that it writes after that.
        of: what they are of, such as `a run`, for the message.

    Raises:
        UserError: one of them is there.
    """
    for name in names:
        if os.path.lexists(path := Path(folder) / name):
            raise UserError(
                f"{path} is there and of something else than {of}, which would replace it: move it"
                " away, or name another folder"
            )


def _remove(path: Path):
    """Deletes a file, a link or a folder, if it is there; where that fails, one line says so."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        pass  # another process deletes it too
    except OSError as error:
        print(
            f"{printable(path)} is needed no more and cannot be deleted"
            f" ({error.strerror or error}): delete it",
            file=sys.stderr,
        )


def _lives_beside(pid: int) -> bool:
    """Whether a process other than this one has the number."""
    if pid == os.getpid():
        return False
    if os.name == "nt":  # where signal 0 is Ctrl-C
        return True
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
        UserError: another process holds the lock, or the file is of something else.
    """
    path = Path(folder) / LOCK_FILE
    lock = filelock.FileLock(path, timeout=0, fallback_to_soft=False)
    if not re.fullmatch(r"(process \d+ on .*)?", _holder(path), re.DOTALL):
        raise UserError(f"{path} is of another program: move it away, or name another folder")
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise UserError(
            f"another {work} is writing {folder} ({_holder(path) or 'another process'}): wait for"
            " it, stop it, or choose another folder"
        ) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    with lock if lock.is_locked else contextlib.nullcontext():
        with contextlib.suppress(PermissionError):  # of Windows, where a lock is for readers too
            path.write_text(f"process {os.getpid()} on {platform.node()}")
        try:
            yield
        finally:
            with contextlib.suppress(PermissionError):
                path.write_text("")


def _holder(path: Path) -> str:
    """Who holds a lock, as its file says; empty for nobody, or where it cannot be read."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        return path.read_text(errors="replace").strip()
    return ""
