"""Records nearer to the processor: a copy on this machine's disk, or in its memory."""

import dataclasses
import hashlib
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from preprocessing import atomic, records, tfrecord
from preprocessing.errors import UserError


def copy_to_disk(metadata, folder=None):
    """Copies a record set from slow or shared storage to this machine, once.

    A copy that is there is used again while its metadata.json equals the original's and its shards
    have their full size.

    Args:
        metadata: of the records.
        folder: where copies lie; None for `stfnet-records` in the system's temporary folder.

    Returns:
        Metadata of the copy.

    Raises:
        UserError: the disk has too little room.
    """
    source = Path(metadata.folder).resolve()
    folder = Path(folder or Path(tempfile.gettempdir()) / "stfnet-records")
    text = (source / records.METADATA_FILE).read_text()
    copy = folder / f"{source.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    copied = dataclasses.replace(metadata, folder=copy)
    wanted = [
        (ours, theirs, size)
        for ours, theirs, size in zip(
            copied.shard_paths, metadata.shard_paths, records.shard_sizes(metadata), strict=True
        )
        if not ours.is_file() or ours.stat().st_size != size
    ]
    needed = sum(size for *_, size in wanted)
    copy.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(copy).free
    if needed > free:
        raise UserError(
            f"--cache=disk: {copy} needs {needed / 1e9:.1f} GB and its disk has "
            f"{free / 1e9:.1f} GB left: name another folder with --cache_dir"
        )
    for ours, theirs, _ in tqdm(wanted, desc="copying records", unit="shard", leave=False):
        with atomic.writing(ours) as file, open(theirs, "rb") as original:
            shutil.copyfileobj(original, file, 1 << 22)
    atomic.write_text(copy / records.METADATA_FILE, text)
    return copied


def hold_in_memory(metadata, positions):
    """Reads the records of some videos, images still encoded, into memory.

    Args:
        metadata: of the records.
        positions: positions in `metadata.videos`.

    Returns:
        string tensor (len(metadata.videos),), the serialized Examples; empty for other videos.

    Raises:
        UserError: a record is damaged.
    """
    held = [b""] * len(metadata.videos)
    for position in tqdm(positions, desc="reading records", unit="video", leave=False):
        video = metadata.videos[position]
        with open(metadata.shard_paths[video.shard], "rb") as file:
            file.seek(video.offset)
            try:
                held[position] = bytes(tfrecord.data_of(file.read(video.length)))
            except ValueError as error:
                raise UserError(
                    f"{file.name}: the record of {video.id} is damaged ({error}): "
                    f"experiments.prepare --verify={metadata.folder} tells what to make anew"
                ) from error
    return tf.constant(held)
