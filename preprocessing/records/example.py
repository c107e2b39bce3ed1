"""One record: its schema, written and read here and nowhere else.

A record is a `tf.train.Example` of one video:

| feature    | kind       | content                                                              |
|------------|------------|----------------------------------------------------------------------|
| `video_id` | bytes      | the video's name, UTF-8                                              |
| `label`    | int64      | index into the classes                                               |
| `frames`   | bytes list | N images, each H x W x 3, RGB                                        |
| `flow`     | bytes list | N-1 gray images of 2H x W: the x plane above the y plane, 8 bit      |
| `fps`      | float      | frames a second of the N, 0 where unknown                            |

A record of a grid (`preprocessing.records.grid`) holds some of the N frames and N-1 fields, and
two more int64 lists, `frame_numbers` and `field_numbers`, say which, in rising order.

The images are JPEG or PNG. What the 8 bits of a flow field mean is `preprocessing.flow.encode`'s.
"""

import io
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, TypedDict

import numpy as np

from preprocessing.records import tfrecord

# A video's encoded images stay in memory up to this size, then go to disk: a half-hour video
# has about a gigabyte of them.
_SPOOL_BYTES = 16 << 20
_COPY_BYTES = 1 << 20
# Protocol buffers read no message of 2 GiB or more.
MAX_EXAMPLE_BYTES = (1 << 31) - 1


_FEATURES = {"video_id", "label", "frames", "flow"}  # that every record has


class Example(TypedDict):
    """A parsed record.

    Keys:
        frames: its N encoded frames, views of the record; of a grid, the stored ones.
        flow: its N-1 encoded flow fields, views of the record; of a grid, the stored ones.
        frame_numbers, field_numbers: which frames of the video, and which fields, these are.
    """

    video_id: str
    label: int
    frames: list[memoryview]
    flow: list[memoryview]
    frame_numbers: Sequence[int]
    field_numbers: Sequence[int]


class ExampleWriter:
    """One video's `tf.train.Example`, built image by image without holding the images.

    The wire format of protocol buffers puts each message behind its length, so the image lists
    are spooled first and the message is put together when their sizes are known.

    Args:
        spool_folder: where images go that memory should not hold (None: the system's folder).
    """

    def __init__(self, video_id: str, label: int, spool_folder: Path | None = None):
        self._video_id, self._label, self._fps = video_id, label, 0.0
        self._numbers: dict[str, list[int]] = {}
        folder = None if spool_folder is None else str(spool_folder)
        self._frames, self._flow = (
            tempfile.SpooledTemporaryFile(_SPOOL_BYTES, dir=folder)  # noqa: SIM115
            for _ in range(2)
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._frames.close()
        self._flow.close()

    def add_frame(self, image: bytes):
        """Appends one encoded frame."""
        self._frames.write(_field(image))

    def add_flow(self, image: bytes):
        """Appends one encoded flow field."""
        self._flow.write(_field(image))

    def set_fps(self, fps: float):
        """Sets the frame rate of the video, 0 where it is unknown (the default)."""
        self._fps = fps

    def set_numbers(self, frames: Sequence[int], fields: Sequence[int]):
        """Says which frames and flow fields of the video the images are, where not all are."""
        self._numbers = {"field_numbers": list(fields), "frame_numbers": list(frames)}

    def clear(self):
        """Drops the images."""
        for images in (self._frames, self._flow):
            images.seek(0)
            images.truncate()

    @property
    def size(self) -> int:
        """Bytes of the images so far, a little less than those of the whole message."""
        return self._frames.tell() + self._flow.tell()

    def serialized(self) -> bytes:
        """The `tf.train.Example` as one string of bytes."""
        return b"".join(self._pieces(self._entries()))

    def write_record(self, file: tfrecord.Writable) -> int:
        """Writes the Example as one TFRecord and returns the record's length in bytes."""
        entries = self._entries()
        features = sum(len(head) + size for head, size, _ in entries)
        length = len(tfrecord.length_delimited(1, features)) + features
        return tfrecord.write(file, length, self._pieces(entries))

    def _entries(self) -> list[tuple[bytes, int, Any]]:
        # Feature{1: bytes list | 2: float list | 3: int64 list}; a list's items are its field 1.
        bodies: dict[str, tuple[int, Any]] = {
            "flow": (1, self._flow),
            "fps": (2, _field(struct.pack("<f", self._fps))),
            "frames": (1, self._frames),
            **_identity(self._video_id, self._label),
        }
        for name, numbers in self._numbers.items():
            bodies[name] = 3, _field(b"".join(map(tfrecord.varint, numbers)))
        # In the order of their names, as a deterministic serialiser writes a map.
        return [_list_entry(name, *bodies[name]) for name in sorted(bodies)]

    def _pieces(self, entries: list[tuple[bytes, int, Any]]) -> Iterator[bytes]:
        # Example{1: Features{1: map entry{1: name, 2: Feature}}}
        yield tfrecord.length_delimited(1, sum(len(head) + size for head, size, _ in entries))
        for head, _, body in entries:
            yield head
            if isinstance(body, bytes):
                yield body
                continue
            body.seek(0)
            while chunk := body.read(_COPY_BYTES):
                yield chunk


def _field(content: bytes) -> bytes:
    """Field 1 of a message."""
    return tfrecord.length_delimited(1, len(content)) + content


def _identity(video_id: str, label: int) -> dict[str, tuple[int, bytes]]:
    """Name of a feature -> kind and body of its list, of those that say which video it is."""
    return {
        "label": (3, _field(tfrecord.varint(label))),
        "video_id": (1, _field(video_id.encode())),
    }


def _list_entry(name: str, kind: int, body: bytes | IO[bytes]) -> tuple[bytes, int, Any]:
    """(bytes before the list's body, size of the body, the body) of one entry of the map."""
    size = len(body) if isinstance(body, bytes) else body.seek(0, 2)
    feature = tfrecord.length_delimited(kind, size)
    key = _field(name.encode())
    value = tfrecord.length_delimited(2, len(feature) + size) + feature
    return tfrecord.length_delimited(1, len(key) + len(value) + size) + key + value, size, body


def view_example(data: tfrecord.Buffer) -> Example:
    """Parses a record's message without TensorFlow and without copying an image.

    Args:
        data: a serialized `tf.train.Example`; the images are views of it.

    Raises:
        ValueError: it is not such a message.
    """
    ((_, features),) = tfrecord.fields(data)
    lists: dict[str, list[memoryview]] = {}
    for _, entry in tfrecord.fields(features):
        (_, name), (_, feature) = tfrecord.fields(entry)
        ((_, values),) = tfrecord.fields(feature)
        lists[bytes(name).decode()] = [value for _, value in tfrecord.fields(values)]
    if missing := _FEATURES - lists.keys():
        raise ValueError(f"has no feature {min(missing)!r}")
    (video_id,), (label,) = lists["video_id"], lists["label"]
    (label_index,) = tfrecord.varints(label)
    return Example(
        video_id=bytes(video_id).decode(),
        label=label_index,
        frames=lists["frames"],
        flow=lists["flow"],
        frame_numbers=_numbers("frame", lists, lists["frames"]),
        field_numbers=_numbers("field", lists, lists["flow"]),
    )


def _numbers(
    kind: str, lists: dict[str, list[memoryview]], images: list[memoryview]
) -> Sequence[int]:
    """Which frames or fields of the video the images are."""
    if f"{kind}_numbers" not in lists:
        return range(len(images))
    numbers = [number for part in lists[f"{kind}_numbers"] for number in tfrecord.varints(part)]
    if len(numbers) != len(images) or sorted(set(numbers)) != numbers:
        raise ValueError(f"has {len(numbers)} numbers of {len(images)} {kind}s, or not in order")
    return numbers


def places(numbers: Sequence[int], wanted: np.ndarray) -> np.ndarray:
    """Where frames or fields of a video lie among the stored ones.

    Args:
        numbers: of the stored ones, as in `Example`.
        wanted: integer array of any shape.

    Returns:
        int64 array of the same shape.

    Raises:
        ValueError: one is not stored.
    """
    if isinstance(numbers, range):
        return wanted
    found = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    missing = np.asarray(wanted)[np.asarray(numbers)[found] != wanted]
    if missing.size:
        raise ValueError(f"does not hold number {missing.flat[0]}")
    return found


def relabelled(record: tfrecord.Buffer, video_id: str, label: int) -> bytes:
    """A record with another name and label of its video, as `ExampleWriter` would write it.

    Raises:
        ValueError: it is damaged.
    """
    changed, pieces = _identity(video_id, label), []
    ((_, features),) = tfrecord.fields(tfrecord.data_of(record))
    for _, entry in tfrecord.fields(features):
        (_, key), _ = tfrecord.fields(entry)
        if (name := bytes(key).decode()) in changed:
            head, _, body = _list_entry(name, *changed[name])
            pieces += [head, body]
        else:
            pieces += [tfrecord.length_delimited(1, len(entry)), entry]
    size = sum(map(len, pieces))
    head = tfrecord.length_delimited(1, size)
    file = io.BytesIO()
    tfrecord.write(file, len(head) + size, map(bytes, [head, *pieces]))
    return file.getvalue()
