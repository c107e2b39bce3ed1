"""The record set: its schema written and parsed here, and nowhere else.

A folder holds TFRecord shards `stfnet-videos.tfrecord-00000-of-0000K`, one Example a video:

| feature    | kind       | content                                                              |
|------------|------------|----------------------------------------------------------------------|
| `video_id` | bytes      | the video's name, UTF-8                                              |
| `label`    | int64      | index into the classes                                               |
| `frames`   | bytes list | N images, each H x W x 3, RGB                                        |
| `flow`     | bytes list | N-1 gray images of 2H x W: the x plane above the y plane, 8 bit       |

and a `metadata.json`, written last: its presence means that the set is finished. It has the
SHA-256 of each record, of each source video, and of the whole set (`set_sha256`).
"""

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from preprocessing import files, json_checks
from preprocessing.errors import UserError
from preprocessing.records import tfrecord

FORMAT = 1
METADATA_FILE = "metadata.json"
# TensorFlow Datasets keeps the split name `all` for the union of all splits.
DATASET_NAME, SPLIT_NAME = "stfnet", "videos"

# A video's encoded images are held in memory up to this size, then on disk: a half-hour video
# has about a gigabyte of them.
_HELD_BYTES = 16 << 20
_COPY_BYTES = 1 << 20
# Protocol buffers read no message of 2 GiB or more.
MAX_EXAMPLE_BYTES = (1 << 31) - 1

_RECORD_SET_KEYS = {
    "format": json_checks.whole,
    "name": json_checks.text,
    "clip": json_checks.having(
        num_frames=json_checks.whole,
        flow_length=json_checks.whole,
        image_size=json_checks.whole,
        resize=json_checks.text,
    ),
    "encoding": json_checks.having(
        flow_bound=json_checks.number,
        image_format=json_checks.text,
        jpeg_quality=json_checks.whole,
    ),
    "flow": json_checks.having(
        algorithm=json_checks.text, method=json_checks.text, quality=json_checks.text
    ),
    "classes": json_checks.texts,
    "counts": json_checks.having(
        videos=json_checks.whole,
        classes=json_checks.whole,
        frames=json_checks.whole,
        failed=json_checks.whole,
        shards=json_checks.whole,
    ),
    "videos": json_checks.items,
    "failed": json_checks.texts,
    "versions": json_checks.texts_by_name,
}
_VIDEO_KEYS = {
    "id": json_checks.text,
    "label": json_checks.whole,
    "class": json_checks.text,
    "group": json_checks.text,
    "splits": json_checks.texts_by_name,
    "num_frames": json_checks.whole,
    "mean_motion": json_checks.number,
    "shard": json_checks.whole,
    "offset": json_checks.whole,
    "length": json_checks.whole,
}
_DIGEST_KEYS = {"record_sha256": json_checks.digest, "source_sha256": json_checks.digest}


def shard_file(index: int, count: int) -> str:
    """File name of a shard, in the pattern of TensorFlow Datasets."""
    return f"{DATASET_NAME}-{SPLIT_NAME}.tfrecord-{index:05d}-of-{count:05d}"


class ExampleWriter:
    """One video's `tf.train.Example`, built image by image without holding the images.

    The wire format of protocol buffers puts each message behind its length, so the image lists
    are spooled first and the message is put together when their sizes are known.

    Args:
        video_id: the video's name.
        label: index of its class.
        spool_folder: where images go that memory should not hold (None: the system's folder).
    """

    def __init__(self, video_id: str, label: int, spool_folder: Path | None = None):
        self._video_id, self._label = video_id, label
        self._frames, self._flow = (
            tempfile.SpooledTemporaryFile(_HELD_BYTES, dir=spool_folder)  # noqa: SIM115
            for _ in range(2)
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._frames.close()
        self._flow.close()

    def add_frame(self, image: bytes):
        """Appends one encoded frame."""
        self._frames.write(tfrecord.length_delimited(1, len(image)) + image)

    def add_flow(self, image: bytes):
        """Appends one encoded flow field."""
        self._flow.write(tfrecord.length_delimited(1, len(image)) + image)

    @property
    def size(self) -> int:
        """Bytes of the images so far, a little less than those of the whole message."""
        return self._frames.tell() + self._flow.tell()

    def serialized(self) -> bytes:
        """The `tf.train.Example` as one string of bytes."""
        return b"".join(self._pieces(self._entries()))

    def write_record(self, file: BinaryIO) -> int:
        """Writes the Example as one TFRecord and returns the record's length in bytes."""
        entries = self._entries()
        features = sum(len(head) + size for head, size, _ in entries)
        length = len(tfrecord.length_delimited(1, features)) + features
        return tfrecord.write(file, length, self._pieces(entries))

    def _entries(self) -> list[tuple[bytes, int, object]]:
        # Feature{1: bytes list | 3: int64 list}; a list's items are its field 1.
        video_id = self._video_id.encode()
        label = tfrecord.varint(self._label)
        return [  # in the order of their names, as a deterministic serialiser writes a map
            _list_entry("flow", 1, self._flow),
            _list_entry("frames", 1, self._frames),
            _list_entry("label", 3, tfrecord.length_delimited(1, len(label)) + label),
            _list_entry("video_id", 1, tfrecord.length_delimited(1, len(video_id)) + video_id),
        ]

    def _pieces(self, entries) -> Iterator[bytes]:
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


def _list_entry(name: str, kind: int, body) -> tuple[bytes, int, object]:
    """(bytes before the list's body, size of the body, the body) of one entry of the map."""
    size = len(body) if isinstance(body, bytes) else body.seek(0, 2)
    feature = tfrecord.length_delimited(kind, size)
    key = tfrecord.length_delimited(1, len(name)) + name.encode()
    value = tfrecord.length_delimited(2, len(feature) + size) + feature
    return tfrecord.length_delimited(1, len(key) + len(value) + size) + key + value, size, body


def parse_example(serialized) -> dict:
    """Parses one record inside a `tf.data` pipeline.

    Args:
        serialized: scalar string tensor, a `tf.train.Example`.

    Returns:
        `video_id` (scalar string), `label` (scalar int64), `frames` and `flow` (1-D strings of
        N and N-1 encoded images, see the module's table).
    """
    import tensorflow as tf

    return tf.io.parse_single_example(
        serialized,
        {
            "video_id": tf.io.FixedLenFeature([], tf.string),
            "label": tf.io.FixedLenFeature([], tf.int64),
            "frames": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
            "flow": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
        },
    )


def view_example(data) -> dict:
    """As `parse_example` for bytes in memory, without TensorFlow and without copying an image.

    Args:
        data: a serialized `tf.train.Example`; bytes or memoryview.

    Returns:
        `video_id` (str), `label` (int), `frames` and `flow` (lists of memoryviews into `data`).

    Raises:
        ValueError: it is no such message.
    """
    ((_, features),) = tfrecord.fields(data)
    example = {}
    for _, entry in tfrecord.fields(features):
        (_, name), (_, feature) = tfrecord.fields(entry)
        ((kind, values),) = tfrecord.fields(feature)
        values = [value for _, value in tfrecord.fields(values)]
        example[bytes(name).decode()] = values if kind == 1 else tfrecord.varints(values[0])
    return {
        "video_id": bytes(example["video_id"][0]).decode(),
        "label": example["label"][0],
        "frames": example["frames"],
        "flow": example["flow"],
    }


def read_example(data: bytes) -> dict:
    """As `view_example`, with the images as bytes of their own."""
    example = view_example(data)
    return example | {name: [bytes(i) for i in example[name]] for name in ("frames", "flow")}


def read_record(path: Path, offset: int, length: int) -> dict:
    """As `read_example`, of the TFRecord at a byte of a shard.

    Raises:
        ValueError: the record is damaged.
    """
    return read_example(tfrecord.data_of(read_bytes(path, offset, length)))


def read_bytes(path: Path, offset: int, length: int) -> bytes:
    """A TFRecord as it lies in a shard, unchecked."""
    with Path(path).open("rb") as file:
        file.seek(offset)
        return file.read(length)


def example_at(path, offset):
    """The one record that begins at a byte of a shard, as a dataset of one element.

    To read videos at random inside a pipeline:
    `tf.data.Dataset.from_tensor_slices((paths, offsets)).flat_map(example_at)`. It works inside
    `flat_map` and `interleave` alone: TensorFlow 2.21 loses the offset of an outermost dataset.

    Args:
        path: scalar string, a shard.
        offset: scalar int64, `RecordedVideo.offset`.
    """
    import tensorflow as tf

    # The operation takes offsets; tf.data.TFRecordDataset does not pass them on.
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=_COPY_BYTES, byte_offsets=[offset]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(1)


@dataclasses.dataclass(frozen=True)
class RecordedVideo:
    """One video of a record set.

    Attributes:
        id, label, class_name, group, splits: as in `preprocessing.datasets.catalogue.Video`.
        num_frames: frames counted by decoding; there is one flow field less.
        mean_motion: mean length of its flow vectors, in pixels of the stored size.
        shard: index of its shard.
        offset, length: where its TFRecord lies in the shard, in bytes.
        record_sha256: of the TFRecord's bytes, hexadecimal; empty in sets that were made before
            digests were.
        source_sha256: of the video it was made from (`preprocessing.video.sha256`); empty as well
            where that video is gone.
    """

    id: str
    label: int
    class_name: str
    group: str
    splits: Mapping[str, str]
    num_frames: int
    mean_motion: float
    shard: int
    offset: int
    length: int
    record_sha256: str = ""
    source_sha256: str = ""


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """What `metadata.json` says of a record set.

    Attributes:
        folder: the record set's folder.
        name: name of the catalogue it was made from.
        clip: `num_frames`, `flow_length`, `image_size`, `resize`.
        encoding: `flow_bound`, `image_format`, `jpeg_quality`.
        flow: `algorithm`, `method`, `quality`.
        classes: class names in label order.
        counts: `videos`, `classes`, `frames`, `failed`, `shards`.
        videos: the videos, in the order of the shards.
        failed: ids of the videos that could not be used (`failures.jsonl` has the reasons).
        versions: the programs that made the set.
        sha256: of the set, see `set_sha256`; empty where a record's is not known.
    """

    folder: Path
    name: str
    clip: Mapping
    encoding: Mapping
    flow: Mapping
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    videos: tuple[RecordedVideo, ...]
    failed: tuple[str, ...]
    versions: Mapping[str, str]
    sha256: str = ""

    @property
    def shard_paths(self) -> tuple[Path, ...]:
        """The shards' paths; `RecordedVideo.shard` indexes them."""
        count = self.counts["shards"]
        return tuple(self.folder / shard_file(index, count) for index in range(count))


def set_sha256(videos: Iterable[RecordedVideo]) -> str:
    """One digest for all records of a set, whoever made them and however often that was stopped.

    The SHA-256, hexadecimal, of the lines `<record_sha256>\\n` of its videos in the order of the
    shards (that of `metadata.json`); empty where a record's digest is not known.
    """
    digests = [video.record_sha256 for video in videos]
    if not all(digests):
        return ""
    return hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()


def write_record_set(record_set: RecordSet):
    """Writes `metadata.json` in one step, which declares the record set finished."""
    values = {"format": FORMAT} | dataclasses.asdict(record_set)
    del values["folder"]
    for video in values["videos"]:
        video["class"] = video.pop("class_name")
    files.write_text(record_set.folder / METADATA_FILE, json.dumps(values, indent=1) + "\n")


def load_record_set(folder: Path) -> RecordSet:
    """Reads the metadata of a finished record set.

    Raises:
        UserError: the folder is missing, unfinished, of another format, or a shard is missing or
            of another size than the metadata say.
    """
    record_set = read_record_set(folder)
    for shard, size in enumerate(shard_sizes(record_set)):
        path = record_set.shard_paths[shard]
        found = path.stat().st_size if path.is_file() else None
        if found != size:
            state = "is missing" if found is None else f"has {found} bytes"
            raise UserError(
                f"shard {path} {state}, {METADATA_FILE} says {size} bytes: copy the whole folder"
                " again, or run the same experiments.prepare to make its videos anew"
            )
    return record_set


def read_record_set(folder: Path) -> RecordSet:
    """As `load_record_set`, without a look at the shards."""
    folder = Path(folder)
    path = folder / METADATA_FILE
    if not folder.is_dir():
        raise UserError(f"records folder {folder} does not exist: make it with experiments.prepare")
    if not path.is_file():
        unfinished = (folder / "parts").is_dir()
        raise UserError(
            f"{folder} holds an unfinished preparation: run the same experiments.prepare again"
            if unfinished
            else f"{folder} has no {METADATA_FILE}, so it is no record set: make one with"
            " experiments.prepare"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        if values.get("format", FORMAT) != FORMAT:
            found = json_checks.shown(values["format"])
            raise ValueError(f"it is of format {found}, this program reads format {FORMAT}")
        return _record_set(folder, values)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be used: {error}. The shards beside it are not touched: copy"
            f" {METADATA_FILE} again from where the set was made or from a backup. Without one,"
            " the set must be prepared again into an empty folder, the flow of every video with it"
        ) from error


def _record_set(folder: Path, values: dict) -> RecordSet:
    """Checks what was read from `metadata.json`.

    Raises:
        ValueError: names the key and what is wrong with it.
    """
    values = json_checks.checked("it", values, _RECORD_SET_KEYS, {"sha256": json_checks.digest})
    del values["format"]
    classes = values["classes"] = tuple(values["classes"])
    failed = values["failed"] = tuple(values["failed"])
    shards, ids = values["counts"]["shards"], set()
    if shards > len(values["videos"]) + len(failed):
        raise ValueError(f"its key 'counts' says {shards} shards, more than there are videos")
    videos = []
    for number, video in enumerate(values["videos"]):
        where = f"entry {number} of its key 'videos'"
        video = json_checks.checked(where, video, _VIDEO_KEYS, _DIGEST_KEYS)
        if not (video["label"] < len(classes) and classes[video["label"]] == video["class"]):
            raise ValueError(
                f"{where} is of label {video['label']} and class {video['class']!r}, which do not"
                " belong together"
            )
        if video["shard"] >= shards:
            raise ValueError(f"{where} lies in shard {video['shard']}, there are {shards}")
        if video["id"] in ids:
            raise ValueError(f"{where} has the id {video['id']!r} of an entry before")
        ids.add(video["id"])
        video["class_name"] = video.pop("class")
        videos.append(RecordedVideo(**video))
    return RecordSet(folder=folder, **values | {"videos": tuple(videos)})


def shard_sizes(record_set: RecordSet) -> list[int]:
    """Bytes that each shard must have."""
    sizes = [0] * record_set.counts["shards"]
    for video in record_set.videos:
        sizes[video.shard] += video.length
    return sizes
