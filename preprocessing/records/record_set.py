"""A record set: a folder of records, and the `metadata.json` that describes it.

A folder holds TFRecord shards `stfnet_DIGEST-videos.tfrecord-00000-of-0000K`, one record a video
(see `preprocessing.records.example`), and a `metadata.json`, written last: its presence means that
the set is finished. It has the SHA-256 of each record, of each source video, and of the whole set
(`set_sha256`), with which DIGEST begins: the shards of two states of a set never have one name.
"""

import dataclasses
import hashlib
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from preprocessing import files
from preprocessing.datasets import titles
from preprocessing.errors import UserError
from preprocessing.json_checks import (
    checked,
    digest,
    having,
    items,
    number,
    shown,
    text,
    texts,
    texts_by_name,
    true_or_false,
    whole,
)
from preprocessing.settings import FLOW_LENGTH, REPEATS

FORMAT = 1
METADATA_FILE = "metadata.json"
SPLIT_NAME = "videos"  # TensorFlow Datasets keeps the name `all` for the union of all splits
SHARD_NAME = re.compile(rf"stfnet(_[0-9a-f]{{12}})?-{SPLIT_NAME}\.tfrecord-\d{{5,}}-of-\d{{5,}}")

_RECORD_SET_KEYS = {
    "format": whole,
    "name": text,
    "clip": having(image_size=whole, resize=text),
    "encoding": having(flow_bound=number, image_format=text, jpeg_quality=whole),
    "flow": having(algorithm=text, method=text, quality=text),
    "classes": texts,
    "counts": having(videos=whole, classes=whole, frames=whole, failed=whole, shards=whole),
    "videos": items,
    "failed": texts,
    "versions": texts_by_name,
}
_VIDEO_KEYS = {
    "id": text,
    "label": whole,
    "class": text,
    "group": text,
    "splits": texts_by_name,
    "num_frames": whole,
    "mean_motion": number,
    "shard": whole,
    "offset": whole,
    "length": whole,
}
# Of later versions.
_OPTIONAL_VIDEO_KEYS = {
    "record_sha256": digest,
    "source_sha256": digest,
    "fps": number,
    "ungrouped": true_or_false,
    "note": text,
    "doubt": text,
}
_OPTIONAL_KEYS = {"sha256": digest, "shards": texts}


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedVideo:
    """One video of a record set.

    Attributes:
        id, label, class_name, group, splits, ungrouped: as in
            `preprocessing.datasets.catalogue.Video`.
        num_frames: frames counted by decoding; there is one flow field less.
        mean_motion: mean length of its flow vectors, in pixels of the stored size.
        shard: index of its shard.
        offset, length: where its TFRecord lies in the shard, in bytes.
        record_sha256: of the TFRecord's bytes, hexadecimal; empty in sets of a version that wrote
            no digests.
        source_sha256: of the video it was made from (`preprocessing.video.sha256`); empty as well
            where that video is gone.
        fps: frames a second of the frames; 0 for images, and in sets of a version that kept none.
        note, doubt: what is doubtful about it or was repaired, and the kind of that; else empty.
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
    fps: float = 0.0
    ungrouped: bool = False
    note: str = ""
    doubt: str = ""


@dataclasses.dataclass(frozen=True)
class RecordSet:
    """A record set, as its `metadata.json` describes it.

    Attributes:
        name: name of the catalogue it was made from.
        clip: `image_size`, `resize`, `fps`, `repeats`; `frame_grid`, the frames of a video that are
            stored (0: all), and `flow_length`, the largest L of which the fields are.
        encoding: `flow_bound`, `image_format`, `jpeg_quality`.
        flow: `algorithm`, `method`, `quality`.
        classes: class names in label order.
        counts: `videos`, `classes`, `frames`, `failed`, `shards`.
        videos: the videos, in the order of the shards.
        failed: ids of the videos that could not be used (`failures.jsonl` has the reasons).
        versions: the programs that made the set.
        sha256: of the set, see `set_sha256`; empty where a record's is not known.
        shards: file names; `RecordedVideo.shard` indexes them.
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
    shards: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its name, with the part of a published collection that its videos are."""
        return titles.title(self.name, (video.class_name for video in self.videos))

    def title_of(self, name: str) -> str:
        """The title of a run on this set.

        Args:
            name: that the run keeps; a run from before there were titles has the bare name.
        """
        return self.title if name == self.name else name

    @property
    def shard_paths(self) -> tuple[Path, ...]:
        """The paths of all shards."""
        return tuple(self.folder / name for name in self.shards)

    def path_of(self, video: RecordedVideo) -> Path:
        """The path of the shard that a video lies in."""
        return self.folder / self.shards[video.shard]

    @property
    def of_early_version(self) -> bool:
        """Whether its shards have the names of a version whose digest left out the classes."""
        return any(name.startswith("stfnet-") for name in self.shards)

    def empty_classes(self) -> list[str]:
        """Classes without a video, in label order."""
        present = {video.label for video in self.videos}
        return [name for label, name in enumerate(self.classes) if label not in present]


class DamagedRecordError(UserError):
    """The bytes of a record are not those that were written."""

    @classmethod
    def of(cls, record_set: RecordSet, video: RecordedVideo, reason: object):
        """The error that names the shard, the video and the way out."""
        return cls(
            f"{record_set.path_of(video)}: the record of {video.id} is damaged "
            f"({reason}): experiments.prepare --verify={record_set.folder} lists what to prepare "
            "again"
        )


def dataset_name(sha256: str) -> str:
    """Name of a set of this digest for TensorFlow Datasets."""
    return f"stfnet_{sha256[:12]}" if sha256 else "stfnet"


def shard_file(sha256: str, index: int, count: int) -> str:
    """File name of a shard of a set of this digest, in the pattern of TensorFlow Datasets."""
    return f"{dataset_name(sha256)}-{SPLIT_NAME}.tfrecord-{index:05d}-of-{count:05d}"


def shard_sizes(record_set: RecordSet) -> list[int]:
    """Bytes that each shard must have."""
    sizes = [0] * record_set.counts["shards"]
    for video in record_set.videos:
        sizes[video.shard] += video.length
    return sizes


def set_sha256(videos: Iterable[RecordedVideo], classes: Iterable[str]) -> str:
    """One digest for all records of a set, however often their preparation was interrupted.

    The SHA-256, hexadecimal, of the lines `<class name as JSON>\\n` in label order and then
    `<record_sha256>\\n` of its videos in the order of the shards (that of `metadata.json`); empty
    where a record's digest is not known. A class renamed is another set.
    """
    digests = [video.record_sha256 for video in videos]
    if not all(digests):
        return ""
    lines = [*map(json.dumps, classes), *digests]
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def write_record_set(record_set: RecordSet):
    """Writes `metadata.json` in one step, which declares the record set finished.

    Each video is a line.
    """
    values = {
        field.name: getattr(record_set, field.name) for field in dataclasses.fields(RecordSet)
    }
    del values["folder"], values["videos"]
    head = json.dumps({"format": FORMAT, **values}, indent=1).removesuffix("\n}")
    with files.writing(record_set.folder / METADATA_FILE) as file:
        file.write(f'{head},\n "videos": ['.encode())
        for index, video in enumerate(record_set.videos):
            file.write(f"{',' if index else ''}\n  {json.dumps(_values(video))}".encode())
        file.write(b"\n ]\n}\n")


def _values(video: RecordedVideo) -> dict[str, object]:
    names = {"class": "class_name"}
    values = {key: getattr(video, names.get(key, key)) for key in _VIDEO_KEYS}
    usual = {"note": "", "doubt": "", "ungrouped": False}
    for key in _OPTIONAL_VIDEO_KEYS:
        if (value := getattr(video, key)) != usual.get(key):
            values[key] = value
    return values


def load_record_set(
    folder: Path, every_class: bool = False, classes: Collection[str] = ()
) -> RecordSet:
    """Reads the metadata of a finished record set.

    Example:
        >>> record_set = load_record_set("records")
        >>> record_set.classes, record_set.counts["videos"]
        (('Left', 'Right', 'Still'), 24)

    Args:
        folder: of the set.
        every_class: keeps classes whose videos all failed, and the labels as the records have
            them. Without it such a class is left out and labels count the others, since a network
            must not have an output that it never learns.
        classes: kept as well, though they have no videos: those of a run that has such outputs.

    Raises:
        UserError: the folder is missing, unfinished, of another format, or a shard is missing or
            of another size than the metadata say.
    """
    record_set = read_record_set(folder)
    for path, size in zip(record_set.shard_paths, shard_sizes(record_set), strict=True):
        actual = path.stat().st_size if path.is_file() else None
        if actual != size:
            state = "is missing" if actual is None else f"has {actual} bytes"
            raise UserError(
                f"shard {path} {state}, {METADATA_FILE} says {size} bytes: copy the whole folder"
                " again, or run the same experiments.prepare to prepare its videos again"
            )
    return record_set if every_class else _without_empty_classes(record_set, classes)


def _without_empty_classes(record_set: RecordSet, but: Collection[str]) -> RecordSet:
    left_out = set(record_set.empty_classes()) - set(but)
    kept = [label for label, name in enumerate(record_set.classes) if name not in left_out]
    label_of = {label: number for number, label in enumerate(kept)}
    return dataclasses.replace(
        record_set,
        classes=tuple(record_set.classes[label] for label in kept),
        videos=tuple(
            dataclasses.replace(video, label=label_of[video.label]) for video in record_set.videos
        ),
    )


def read_record_set(folder: Path) -> RecordSet:
    """As `load_record_set` of every class, without comparing the shards."""
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
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
        if values.get("format", FORMAT) != FORMAT:
            raise ValueError(
                f"it is of format {shown(values['format'])}, this program reads format {FORMAT}"
            )
        return _record_set(folder, values)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be used: {error}. The shards beside it are not touched: copy"
            f" {METADATA_FILE} again from where the set was made or from a backup. Without one,"
            " the set must be prepared again into an empty folder, the flow of every video with it"
        ) from error


def _record_set(folder: Path, values: dict) -> RecordSet:
    """Checks what was read from `metadata.json`."""
    values = checked("it", values, _RECORD_SET_KEYS, _OPTIONAL_KEYS)
    del values["format"]
    values["clip"].pop("num_frames", None)  # sets of earlier versions have it
    if not values["clip"].get("frame_grid"):  # then no other value means anything
        values["clip"]["flow_length"] = FLOW_LENGTH
    # Sets of earlier versions lack these.
    for key, usual in (("fps", 0.0), ("repeats", REPEATS[0]), ("frame_grid", 0)):
        values["clip"].setdefault(key, usual)
    if needed := having(frame_grid=whole, flow_length=whole)(values["clip"]):
        raise ValueError(f"it has a key 'clip' where needed is {needed}")
    classes = values["classes"] = tuple(values["classes"])
    failed = values["failed"] = tuple(values["failed"])
    shards, ids = values["counts"]["shards"], set()
    rows = values.pop("videos")
    if shards > len(rows) + len(failed):
        raise ValueError(f"its key 'counts' says {shards} shards, more than there are videos")
    usual_names = [shard_file("", index, shards) for index in range(shards)]  # of early versions
    names = values["shards"] = tuple(values.get("shards", usual_names))
    if len(names) != shards or not all(map(SHARD_NAME.fullmatch, names)):
        raise ValueError("its key 'shards' does not name the shards that its key 'counts' counts")
    videos = []
    for index, video in enumerate(rows):
        rows[index] = None  # of 300,000 videos there is no room for both
        where = f"entry {index} of its key 'videos'"
        video = checked(where, video, _VIDEO_KEYS, _OPTIONAL_VIDEO_KEYS)
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
        video["class_name"] = classes[video["label"]]
        del video["class"]
        video["group"] = sys.intern(video["group"])
        videos.append(RecordedVideo(**video))
    return RecordSet(folder=folder, videos=tuple(videos), **values)


def read_bytes(path: Path, offset: int, length: int) -> bytes:
    """A TFRecord as it lies in a shard, unchecked."""
    with Path(path).open("rb") as file:
        file.seek(offset)
        return file.read(length)
