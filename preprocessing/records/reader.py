"""Reading the clips of a batch: only the images that are wanted, from the shards or from memory."""

import contextlib
import math
import mmap
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from preprocessing.records import tfrecord
from preprocessing.records.example import Example, places, view_example
from preprocessing.records.image_layout import put_field, put_frame
from preprocessing.records.record_set import DamagedRecordError, RecordedVideo, RecordSet

_OPEN_SHARDS = 100  # a large set has more than a process may have files open
_ALIGNMENT = 64  # bytes, of TensorFlow's tensors


class RecordReader:
    """Decodes chosen images of videos, and no others, from the shards or from memory.

    Shards are mapped, not read, so of a long video only the wanted pages are touched. The
    checksum of a record is compared when its video is read for the first time.

    Args:
        cache_in_memory: positions in `record_set.videos` of the videos whose records are read into
            memory now.

    Attributes:
        damage: the error that the last damaged record raised, or None. TensorFlow replaces an
            exception of Python code that it calls by one of its own; the original is kept here.

    Raises:
        DamagedRecordError: a record to be cached is damaged.
    """

    def __init__(self, record_set: RecordSet, cache_in_memory: Iterable[int] = ()):
        self.record_set = record_set
        self.damage: DamagedRecordError | None = None
        self._shards: dict[int, memoryview] = {}
        self._cache: dict[int, bytes] = {}
        self._checked: set[int] = set()
        positions = list(cache_in_memory)
        for position in tqdm(positions, "reading records", leave=False, disable=not positions):
            with self._naming_damage(position):
                self._cache[position] = bytes(self._message(position))
        self._shards.clear()

    def clips(
        self,
        positions: Iterable[int],
        frames: np.ndarray,
        flow: np.ndarray,
        flip: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decodes clips, image by image into their place.

        Args:
            positions: integer array (B,), of the videos in `record_set.videos`.
            frames: integer array (B, T), frame numbers.
            flow: integer array (B, T, L), field numbers.
            flip: bool (B,), whether a clip is mirrored left to right; None mirrors none.

        Returns:
            (rgb, fields): uint8 (B, T, H, W, 3) and uint8 (B, T, L, 2, H, W), x and y plane of
            each field.

        Raises:
            DamagedRecordError: a record is damaged; `damage` has the same error.
        """
        size = self.record_set.clip["image_size"]
        rgb = _aligned((*frames.shape, size, size, 3))
        fields = _aligned((*flow.shape, 2, size, size))
        for clip, position in enumerate(positions):
            mirrored = flip is not None and bool(flip[clip])
            with self._naming_damage(position):
                example = view_example(self._cache.get(position) or self._message(position))
                at = places(example["frame_numbers"], frames[clip])
                field_at = places(example["field_numbers"], flow[clip])
                for t, place in enumerate(at):
                    put_frame(example["frames"][place], rgb[clip, t], mirrored)
                for t, k in np.ndindex(flow.shape[1:]):
                    put_field(example["flow"][field_at[t, k]], fields[clip, t, k], mirrored)
        return rgb, fields

    def _message(self, position: int) -> memoryview:
        """The video's serialized Example, as a view of the shard."""
        video = self.record_set.videos[position]
        shard = self._shards.get(video.shard)
        if shard is None:
            shard = self._shards[video.shard] = map_shard(self.record_set.path_of(video))
            if len(self._shards) > _OPEN_SHARDS:
                del self._shards[next(iter(self._shards))]
        record = shard[video.offset : video.offset + video.length]
        if position not in self._checked:
            tfrecord.data_of(record)
            self._checked.add(position)
        return tfrecord.unchecked_data_of(record)

    @contextlib.contextmanager
    def _naming_damage(self, position: int) -> Iterator[None]:
        """Turns the errors of reading one record into the one that names it."""
        try:
            yield
        except ValueError as error:
            video = self.record_set.videos[position]
            self.damage = DamagedRecordError.of(self.record_set, video, error)
            raise self.damage from error
        except FileNotFoundError as error:
            self.damage = DamagedRecordError(
                f"{error.filename} is gone, as where experiments.prepare changed the records while"
                " they were read: start the same command again"
            )
            raise self.damage from error


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Empty uint8 array at the alignment at which TensorFlow takes it over without a copy."""
    size = math.prod(shape)
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % _ALIGNMENT
    return memory[begin : begin + size].reshape(shape)


def map_shard(path: Path) -> memoryview:
    """The bytes of a shard, mapped: only the pages that are touched are read.

    Raises:
        ValueError: the file is empty.
    """
    with Path(path).open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def read_video(record_set: RecordSet, video: RecordedVideo) -> Example:
    """The record of a video, checked; its images are views of the mapped shard.

    Raises:
        DamagedRecordError: a checksum is wrong or the record cannot be parsed.
    """
    try:
        shard = map_shard(record_set.path_of(video))
        record = shard[video.offset : video.offset + video.length]
        return view_example(tfrecord.data_of(record))
    except ValueError as error:
        raise DamagedRecordError.of(record_set, video, error) from error
