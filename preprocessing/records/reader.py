"""Reading records, and bringing them nearer: to this machine's disk, or into its memory."""

import contextlib
import dataclasses
import fcntl
import hashlib
import math
import mmap
import os
import re
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from preprocessing import files, records
from preprocessing.errors import UserError
from preprocessing.records import tfrecord

_COLOR = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
_GRAY = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
_LOCK_NAME = re.compile(r"\.(.+-(\d+)-[0-9a-f]{16})\.lock")  # of a user's copy, beside it
_ALIGNMENT = 64  # bytes, of TensorFlow's tensors


@contextlib.contextmanager
def copied_to_disk(record_set, folder=None):
    """Copies a record set from slow or shared storage to this machine, for as long as it is used.

    Runs of one user and one record set share a copy; the last of them to end deletes it. Copies
    that killed runs left are deleted when the next one starts.

    Args:
        record_set: of the records.
        folder: where copies lie; None for one of this user's in the system's temporary folder.

    Yields:
        RecordSet of the copy.

    Raises:
        UserError: the disk has too little room.
    """
    source = Path(record_set.folder).resolve()
    user, mode = os.getuid(), 0o777
    if folder is None:  # in a place where others may write as well
        folder, mode = Path(tempfile.gettempdir()) / f"stfnet-records-{user}", 0o700
    folder = Path(folder)
    text = (source / records.METADATA_FILE).read_text()
    copy = folder / f"{source.name}-{user}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    copied = dataclasses.replace(record_set, folder=copy)
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    for lock in folder.iterdir():
        match = _LOCK_NAME.fullmatch(lock.name)
        if match and match[1] != copy.name and match[2] == str(user):
            _delete_unused(folder / match[1])
    try:
        while True:
            with _lock_of(copy, fcntl.LOCK_SH):
                if (copy / records.METADATA_FILE).is_file() and not _missing(record_set, copied):
                    yield copied
                    return
            with _lock_of(copy, fcntl.LOCK_EX):  # waits for whoever is copying
                _copy(record_set, copied, text)
    finally:
        _delete_unused(copy)


def _missing(record_set, copied):
    """(path, path of the original, bytes) of each shard that the copy has not whole."""
    return [
        (ours, theirs, size)
        for ours, theirs, size in zip(
            copied.shard_paths, record_set.shard_paths, records.shard_sizes(record_set), strict=True
        )
        if not ours.is_file() or ours.stat().st_size != size
    ]


def _copy(record_set, copied, text):
    copy, wanted = copied.folder, _missing(record_set, copied)
    needed = sum(size for *_, size in wanted)
    copy.mkdir(parents=True, exist_ok=True)
    files.remove_partial(copy)
    free = shutil.disk_usage(copy).free
    if needed > free:
        raise UserError(
            f"--cache=disk: {copy} needs {needed / 1e9:.1f} GB and its disk has "
            f"{free / 1e9:.1f} GB left: name another folder with --cache_dir"
        )
    for ours, theirs, _ in tqdm(wanted, desc="copying records", unit="shard", leave=False):
        with files.writing(ours) as file, open(theirs, "rb") as original:
            shutil.copyfileobj(original, file, 1 << 22)
    files.write_text(copy / records.METADATA_FILE, text)


@contextlib.contextmanager
def _lock_of(copy, kind):
    """Locks a copy, shared while it is read; raises BlockingIOError if `kind` says not to wait."""
    path = copy.with_name(f".{copy.name}.lock")
    while True:
        with path.open("a+") as file:
            fcntl.flock(file, kind)
            try:
                same = path.stat().st_ino == os.fstat(file.fileno()).st_ino
            except FileNotFoundError:
                same = False
            if same:  # else whoever held it before deleted it with the copy
                yield path
                return


def _delete_unused(copy):
    """Deletes a copy that no process reads."""
    with (
        contextlib.suppress(BlockingIOError),
        _lock_of(copy, fcntl.LOCK_EX | fcntl.LOCK_NB) as lock,
    ):
        shutil.rmtree(copy, ignore_errors=True)
        lock.unlink(missing_ok=True)


@contextlib.contextmanager
def naming_damaged_records():
    """Turns what TensorFlow makes of a damaged record into one line.

    Raises:
        UserError: a record that was read inside the block is damaged.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r"ValueError: (.* is damaged .* make anew)", str(error))
        if not found:
            raise
        raise UserError(found[1]) from error


class RecordReader:
    """Decodes chosen images of videos, and no others, from the shards or from memory.

    Shards are mapped, not read, so of a long video only the wanted pages are touched. The first
    time a video is read its checksum is looked at.

    Args:
        record_set: of the records.
        held: positions in `record_set.videos` of the videos whose records are read into memory now.

    Raises:
        UserError: a held record is damaged.
    """

    def __init__(self, record_set, held=()):
        self.record_set = record_set
        self.maps, self.held, self.checked = {}, {}, set()
        for position in tqdm(held, desc="reading records", leave=False, disable=not len(held)):
            try:
                self.held[position] = bytes(self._record(position))
            except ValueError as error:
                raise UserError(str(error)) from error
        self.maps.clear()

    def _record(self, position):
        """The video's serialized Example, as a view of the shard."""
        video = self.record_set.videos[position]
        if video.shard not in self.maps:
            with open(self.record_set.shard_paths[video.shard], "rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.maps[video.shard] = memoryview(mapped)
        record = self.maps[video.shard][video.offset : video.offset + video.length]
        if position not in self.checked:
            try:
                tfrecord.data_of(record)
            except ValueError as error:
                raise self._damaged(position, error) from error
            self.checked.add(position)
        return tfrecord.unchecked_data_of(record)

    def clips(self, positions, frames, flow):
        """Decodes clips, image by image into their place.

        Args:
            positions: integer array (B,), of the videos in `record_set.videos`.
            frames: integer array (B, T), frame numbers.
            flow: integer array (B, T, L), field numbers.

        Returns:
            (rgb, fields): uint8 (B, T, H, W, 3) and uint8 (B, T, L, 2, H, W), x and y plane of
            each field.

        Raises:
            ValueError: a record is damaged.
        """
        size = self.record_set.clip["image_size"]
        rgb = _aligned((*frames.shape, size, size, 3))
        fields = _aligned((*flow.shape, 2 * size, size))
        for clip, position in enumerate(positions):
            example = records.view_example(self.held.get(position) or self._record(position))
            for t, number in enumerate(frames[clip]):
                rgb[clip, t] = self._decoded(example["frames"][number], _COLOR, position)
            for t, k in np.ndindex(flow.shape[1:]):
                image = example["flow"][flow[clip, t, k]]
                fields[clip, t, k] = self._decoded(image, _GRAY, position)
        return rgb, fields.reshape(*flow.shape, 2, size, size)

    def _decoded(self, image, mode, position):
        """One image, by OpenCV, which lets other threads run meanwhile."""
        decoded = cv2.imdecode(np.frombuffer(image, np.uint8), mode)
        if decoded is None:
            raise self._damaged(position, "an image cannot be decoded")
        return decoded

    def _damaged(self, position, reason):
        video = self.record_set.videos[position]
        return ValueError(
            f"{self.record_set.shard_paths[video.shard]}: the record of {video.id} is damaged "
            f"({reason}): experiments.prepare --verify={self.record_set.folder} tells what to make "
            "anew"
        )


def _aligned(shape):
    """Empty uint8 array at the alignment at which TensorFlow takes it over without a copy."""
    size = math.prod(shape)
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return memory[begin : begin + size].reshape(shape)
