"""The work of a preparation: a video to its record, and the records of a shard to one file.

A task is all that a worker gets, so it is small, and holds for a process on any machine that sees
the record set's folder and the videos. What is done lies in RECORDS/parts/:

`KEY.part`         the record of a video whose shard is not written yet, and then its facts
`DIGEST.tfrecord`  the records of a shard
`DIGEST.json`      the facts of each of them; once this is there, the shard is done
"""

import dataclasses
import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from preprocessing import files, flow, json_checks, records
from preprocessing import video as video_files
from preprocessing.datasets.catalogue import Video
from preprocessing.errors import UserError
from preprocessing.flow import constants
from preprocessing.preparation import conversion, layout
from preprocessing.records.outcomes import Row

PARTS_FOLDER = "parts"
PATH = "{path}"  # in notes that are kept: a record depends on no place
PART, SHARD, FACTS = ".part", ".tfrecord", ".json"
_FOOTER = struct.Struct("<Q")  # bytes of the facts before it
_KEPT_KEYS = {
    "id": json_checks.text,
    "label": json_checks.whole,
    "offset": json_checks.whole,
    "length": json_checks.whole,
    "record_sha256": json_checks.digest,
    "source_sha256": json_checks.digest,
    "stamp": json_checks.items,
    "facts": json_checks.having(
        num_frames=json_checks.whole,
        mean_motion=json_checks.number,
        note=json_checks.text,
        doubt=json_checks.text,
        fps=json_checks.number,
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """The record of a video that is there.

    Attributes:
        id, label: of the video, as the record has them.
        file, offset, length: where the record lies, in bytes.
        record_sha256: of the record; empty where an early version made it.
        source_sha256: `preprocessing.video.sha256` of the video, empty as well.
        stamp: `preprocessing.video.stamp` of the video when it was read; empty if unknown.
        facts: what its conversion measured; its note has PATH for the path of the video.
    """

    id: str
    label: int
    file: Path
    offset: int
    length: int
    record_sha256: str
    source_sha256: str
    stamp: tuple[int, ...]
    facts: conversion.Facts

    def values(self) -> dict[str, Any]:
        """As JSON, without the file."""
        return {
            **{name: getattr(self, name) for name in _KEPT_KEYS},
            "facts": dataclasses.asdict(self.facts),
        }

    @classmethod
    def of(cls, values: object, file: Path) -> "Kept":
        """The inverse of `values`; raises ValueError."""
        checked = json_checks.checked("a record", values, _KEPT_KEYS, {})
        facts, stamp = conversion.Facts(**checked.pop("facts")), tuple(checked.pop("stamp"))
        return cls(file=file, facts=facts, stamp=stamp, **checked)


@dataclasses.dataclass(frozen=True)
class Convert:
    """A video of a preparation that is to become a record."""

    video: Video
    settings: conversion.Settings
    folder: Path

    def __call__(self, report: Callable[[int], None], solver: flow.Solver | None = None) -> Kept:
        """Makes the part; for `report` and `solver` see `conversion.convert`.

        Raises:
            VideoError: the video cannot be used, or changed meanwhile.
        """
        video, path = self.video, part_path(self.folder, self.video.id)
        stamp = stamp_of(video, self.settings)
        with records.ExampleWriter(video.id, video.label, path.parent) as writer:
            facts = conversion.convert(
                video.path,
                writer,
                self.settings,
                report,
                solver=solver,
                segment=video.segment,
                given_flow=video.flow,
            )
            note = facts.note.replace(str(video.path), PATH)
            facts = dataclasses.replace(facts, note=note)
            source = source_sha256(video, self.settings, report)
            if stamp_of(video, self.settings) != stamp:
                raise video_files.VideoError(
                    "changed",
                    f"{video.path} changed while it was read: run the same command again when it"
                    " is whole",
                )
            with files.writing(path) as file:
                digesting = _DigestingFile(file)
                length = writer.write_record(digesting)
                record = digesting.sha256.hexdigest()
                kept = Kept(video.id, video.label, path, 0, length, record, source, stamp, facts)
                written = json.dumps(kept.values()).encode()
                file.write(written + _FOOTER.pack(len(written)))
        return kept


@dataclasses.dataclass(frozen=True)
class Join:
    """Records that are to become one file.

    Attributes:
        records: (id, label, record) of each, in their order. A record of another id or label gets
            this one.
        failures: rows of the videos of the shard that have no record.
    """

    folder: Path
    records: tuple[tuple[str, int, Kept], ...]
    failures: tuple[Row, ...]

    @property
    def path(self) -> Path:
        """The file of the shard, whose name tells what is in it."""
        lines = [f"{name}\t{label}\t{kept.record_sha256}" for name, label, kept in self.records]
        lines += [row["id"] for row in self.failures]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return self.folder / PARTS_FOLDER / f"{digest[:16]}{SHARD}"

    def __call__(self, report: Callable[[int], None], solver: flow.Solver | None = None):
        """Writes the file and its facts, and deletes the parts that it was made of.

        Raises:
            UserError: a record is not the one that was written.
        """
        joined, offset = [], 0
        with files.writing(self.path) as file:
            for name, label, kept in self.records:
                data = self._record(kept)
                if (name, label) != (kept.id, kept.label):
                    data = records.relabelled(data, name, label)
                file.write(data)
                joined.append(
                    dataclasses.replace(
                        kept,
                        id=name,
                        label=label,
                        file=self.path,
                        offset=offset,
                        length=len(data),
                        record_sha256=hashlib.sha256(data).hexdigest(),
                    )
                )
                offset += len(data)
                report(0)
        values = {"records": [kept.values() for kept in joined], "failures": self.failures}
        files.write_text(self.path.with_suffix(FACTS), json.dumps(values))
        for *_, kept in self.records:
            if kept.file.suffix == PART:
                kept.file.unlink(missing_ok=True)

    def _record(self, kept: Kept) -> bytes:
        data = records.read_bytes(kept.file, kept.offset, kept.length)
        if kept.record_sha256 and hashlib.sha256(data).hexdigest() != kept.record_sha256:
            raise UserError(
                f"{kept.file}: the record of {kept.id} is damaged: delete this file, and run the"
                " same command again, which makes its videos again"
            )
        return data


def perform(
    task: Convert | Join, report: Callable[[int], None], solver: flow.Solver | None = None
) -> Any:
    """Does a task; the function of a worker pool."""
    return task(report, solver)


def part_path(folder: Path, video_id: str) -> Path:
    """The file of one video's record."""
    return folder / PARTS_FOLDER / f"{layout.key(video_id)}{PART}"


def read_part(path: Path) -> Kept:
    """What `Convert` wrote.

    Raises:
        ValueError: it is none of its files.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _FOOTER.size))
        footer = file.read()
        (length,) = _FOOTER.unpack(footer) if len(footer) == _FOOTER.size else (size,)
        file.seek(max(0, size - _FOOTER.size - length))
        kept = Kept.of(json.loads(file.read()[:length]), path)
    if size != kept.length + length + _FOOTER.size:
        raise ValueError("is cut off")
    return kept


def read_shard(path: Path) -> tuple[list[Kept], list[Row]]:
    """What `Join` wrote: the records, and the rows of videos that failed.

    Args:
        path: of the facts.

    Raises:
        ValueError: it is none of its files, or the records beside it are cut off.
    """
    values = json.loads(path.read_text(encoding="utf-8"))
    file = path.with_suffix(SHARD)
    kept = [Kept.of(row, file) for row in values["records"]]
    if file.stat().st_size != sum(one.length for one in kept):
        raise ValueError("is cut off")
    return kept, values["failures"]


def stamp_of(video: Video, settings: conversion.Settings) -> tuple[int, ...]:
    """`preprocessing.video.stamp` of what a record is made from."""
    return video_files.stamp(video.path, _given_flow(video, settings))


def source_sha256(
    video: Video,
    settings: conversion.Settings,
    report: Callable[[int], None] = lambda amount: None,
) -> str:
    """`preprocessing.video.sha256` of what a record is made from."""
    return video_files.sha256(video.path, report, video.segment, _given_flow(video, settings))


def _given_flow(video: Video, settings: conversion.Settings) -> tuple[Path, Path] | None:
    return video.flow if settings.flow_method == constants.GIVEN else None


class _DigestingFile:
    """A file to write to that knows the SHA-256 of what was written."""

    def __init__(self, file: Any):
        self._file, self.sha256 = file, hashlib.sha256()

    def write(self, data: bytes):
        self.sha256.update(data)
        self._file.write(data)
