"""Files that are either whole or absent, also after a kill, a power cut or a full disk."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

PARTIAL_SUFFIX = ".partial"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """Opens a binary file that takes the name `path` only when the block ends well.

    The bytes reach the disk before the name does. Host and process id in the temporary name keep
    two processes apart; what a killed one leaves behind ends in `PARTIAL_SUFFIX`.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.{platform.node()}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str):
    """Replaces the file at `path` by `text` in one step."""
    with writing(path) as file:
        file.write(text.encode())


def remove_partial(folder: Path):
    """Deletes what killed processes left half written in `folder`."""
    for partial in Path(folder).glob(f"*{PARTIAL_SUFFIX}"):
        partial.unlink(missing_ok=True)
