"""A record set copied from slow or shared storage to this machine's disk."""

import contextlib
import dataclasses
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records.record_set import METADATA_FILE, RecordSet, shard_sizes

try:
    import fcntl
except ImportError:  # not on POSIX
    fcntl = None  # type: ignore[assignment]

_LOCK_NAME = re.compile(r"\.(.+-(\d+)-[0-9a-f]{16})\.lock")  # of a user's copy, beside it
_COPY_BYTES = 4 << 20


@contextlib.contextmanager
def copied_to_disk(record_set: RecordSet, folder: Path | None = None) -> Iterator[RecordSet]:
    """Copies a record set from slow or shared storage to this machine, for as long as it is used.

    Runs of one user and one record set use the same copy; the last of them to end deletes it.
    Copies that killed runs left are deleted when the next one starts.

    Args:
        folder: where copies lie; None for one of this user's in the system's temporary folder.

    Raises:
        UserError: the system has no shared locks, the disk has too little room, or the folder in
            the system's temporary folder is another's.
    """
    if fcntl is None:
        raise UserError(
            "--cache=disk needs locks that processes share (flock), which this system lacks: leave"
            " it out, or give --cache=memory"
        )
    source = Path(record_set.folder).resolve()
    user, mode = os.getuid(), 0o777
    if folder is None:  # in a place where others may write as well
        folder, mode = Path(tempfile.gettempdir()) / f"stfnet-records-{user}", 0o700
    folder = Path(folder)
    metadata = (source / METADATA_FILE).read_text()
    digest = hashlib.sha256(metadata.encode()).hexdigest()
    copy = dataclasses.replace(record_set, folder=folder / f"{source.name}-{user}-{digest[:16]}")
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    if mode == 0o700:
        _check_owned(folder)
    for lock in folder.iterdir():
        match = _LOCK_NAME.fullmatch(lock.name)
        if match and match[1] != copy.folder.name and match[2] == str(user):
            _delete_unused(folder / match[1])
    try:
        while True:
            with _locked(copy.folder, fcntl.LOCK_SH):
                if (copy.folder / METADATA_FILE).is_file() and not _missing(record_set, copy):
                    yield copy
                    return
            with _locked(copy.folder, fcntl.LOCK_EX):  # waits for the process that is copying
                _copy_missing(record_set, copy, metadata)
    finally:
        _delete_unused(copy.folder)


def _check_owned(folder: Path):
    """Refuses a folder in a place of everyone that another user made, or may write to."""
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o022:
        raise UserError(
            f"--cache=disk: {folder} is not this user's alone, so that another could exchange the"
            " records: delete it, or name another folder with --cache_dir"
        )


def _missing(record_set: RecordSet, copy: RecordSet) -> list[tuple[Path, Path, int]]:
    """(path, path of the original, bytes) of each shard that the copy does not have whole."""
    shards = zip(copy.shard_paths, record_set.shard_paths, shard_sizes(record_set), strict=True)
    return [
        (path, original, size)
        for path, original, size in shards
        if not path.is_file() or path.stat().st_size != size
    ]


def _copy_missing(record_set: RecordSet, copy: RecordSet, metadata: str):
    shards = _missing(record_set, copy)
    needed = sum(size for *_, size in shards)
    copy.folder.mkdir(parents=True, exist_ok=True)
    files.remove_partial(copy.folder)
    free = shutil.disk_usage(copy.folder).free
    if needed > free:
        raise UserError(
            f"--cache=disk: {copy.folder} needs {needed / 1e9:.1f} GB and its disk has "
            f"{free / 1e9:.1f} GB left: name another folder with --cache_dir"
        )
    for path, original, _ in tqdm(shards, desc="copying records", unit="shard", leave=False):
        with files.writing(path) as file, original.open("rb") as source:
            shutil.copyfileobj(source, file, _COPY_BYTES)
    files.write_text(copy.folder / METADATA_FILE, metadata)


@contextlib.contextmanager
def _locked(folder: Path, kind: int) -> Iterator[Path]:
    """Locks a copy, shared while it is read; raises BlockingIOError if `kind` is not to wait."""
    path = folder.with_name(f".{folder.name}.lock")
    while True:
        with path.open("a+") as file:
            fcntl.flock(file, kind)
            try:
                same = path.stat().st_ino == os.fstat(file.fileno()).st_ino
            except FileNotFoundError:
                same = False
            if same:  # else the holder before deleted it with the copy
                yield path
                return


def _delete_unused(folder: Path):
    """Deletes a copy that no process reads."""
    with (
        contextlib.suppress(BlockingIOError),
        _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB) as lock,
    ):
        shutil.rmtree(folder, ignore_errors=True)
        lock.unlink(missing_ok=True)
