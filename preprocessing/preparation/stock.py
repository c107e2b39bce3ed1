"""The records that are there already, and what has become of the videos that they are of."""

import contextlib
import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from preprocessing import records
from preprocessing.datasets.catalogue import Video
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, tasks
from preprocessing.preparation.tasks import Kept
from preprocessing.records.outcomes import NOTES_FILE, Row, read_rows

STAMPS_FILE = "sources.json"  # id -> stamp of the video's file when its record was made
COPY = "copy"  # outcome in the notes: the same file as another video
_OF_SETS = (COPY, "short")  # outcomes that say nothing of a video alone, the latter of old versions
_OURS = re.compile(rf"[0-9a-f]{{16}}\.({tasks.PART[1:]}|{tasks.SHARD[1:]}|{tasks.FACTS[1:]})")


@dataclasses.dataclass(frozen=True)
class Changes:
    """How a catalogue differs from the records that are there.

    Attributes:
        kept: id of a video -> its record, which may have another id or label.
        new, renamed: ids without a record; ids whose record has another id.
        changed, gone: ids whose record is of another file by now; ids of records whose video is in
            the catalogue no more. These records are dropped.
    """

    kept: Mapping[str, Kept]
    new: tuple[str, ...] = ()
    renamed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __str__(self):
        counts = {name: len(getattr(self, name)) for name in ("new", "renamed", "changed", "gone")}
        found = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"{found or 'no changes'}, {len(self.kept) - len(self.renamed)} as they were"


def compare(
    videos: Sequence[Video], there: Sequence[Mapping[str, Kept]], settings: conversion.Settings
) -> Changes:
    """Finds the record of each video.

    A file of the same size and time is taken for the same; of others the SHA-256 decides. A video
    whose file is away keeps its record.

    Args:
        there: mappings of ids to records; the first that fits is taken.
    """
    known = {video.id for video in videos}
    left = {name: kept for of in reversed(there) for name, kept in of.items() if name not in known}
    sizes = {kept.stamp[:1] for kept in left.values()}
    left_of = {kept.source_sha256: kept for kept in left.values() if kept.source_sha256}
    kept_of: dict[str, Kept] = {}
    new, renamed, changed = [], [], []
    for video in videos:
        found = [of[video.id] for of in there if video.id in of]
        kept = _same(video, found, settings)
        if kept:
            kept_of[video.id] = kept
        elif found:
            changed.append(video.id)
        elif left_of and (former := _moved(video, left_of, sizes, settings)):
            kept_of[video.id] = former
            left_of.pop(former.source_sha256)
            left.pop(former.id)
            renamed.append(video.id)
        else:
            new.append(video.id)
    return Changes(kept_of, tuple(new), tuple(renamed), tuple(changed), tuple(left))


def _same(video: Video, found: Sequence[Kept], settings: conversion.Settings) -> Kept | None:
    """The first of a video's records that is of its file as it is now."""
    if not found:
        return None
    try:
        stamp = tasks.stamp_of(video, settings)
        for kept in found:
            if kept.stamp == stamp or not kept.source_sha256:
                return kept
        digest = tasks.source_sha256(video, settings)
    except (OSError, UserError):
        return found[0]
    for kept in found:
        if kept.source_sha256 == digest:
            return dataclasses.replace(kept, stamp=stamp)
    return None


def _moved(
    video: Video,
    left_of: Mapping[str, Kept],
    sizes: set[tuple[int, ...]],
    settings: conversion.Settings,
) -> Kept | None:
    """The record of another name that is of a new video's file."""
    with contextlib.suppress(OSError, UserError):
        stamp = tasks.stamp_of(video, settings)
        if () in sizes or stamp[:1] in sizes:
            former = left_of.get(tasks.source_sha256(video, settings))
            return former and dataclasses.replace(former, stamp=stamp)
    return None


def of_record_set(record_set: records.RecordSet) -> dict[str, Kept]:
    """The records of a finished set by id, but those of shards that are missing or cut off."""
    folder = record_set.folder
    stamps = {}
    with contextlib.suppress(FileNotFoundError, ValueError, RecursionError):
        stamps = json.loads((folder / STAMPS_FILE).read_text())
    noted: dict[str, Row] = {}  # in sets of earlier versions the notes have them alone
    if not any(video.note for video in record_set.videos):
        with contextlib.suppress(UserError):
            rows = read_rows(folder, NOTES_FILE)
            noted = {row["id"]: row for row in rows if row["outcome"] not in _OF_SETS}
    paths = record_set.shard_paths
    whole = [
        path.is_file() and path.stat().st_size == size
        for path, size in zip(paths, records.shard_sizes(record_set), strict=True)
    ]
    there = {}
    for video in record_set.videos:
        if whole[video.shard]:
            note, doubt = video.note, video.doubt
            if row := noted.get(video.id):
                note = row["reason"].replace(row["path"], tasks.PATH)
                doubt = row["outcome"]
            there[video.id] = Kept(
                id=video.id,
                label=video.label,
                file=paths[video.shard],
                offset=video.offset,
                length=video.length,
                record_sha256=video.record_sha256,
                source_sha256=video.source_sha256,
                stamp=tuple(stamps.get(video.id, ())) if isinstance(stamps, dict) else (),
                facts=conversion.Facts(video.num_frames, video.mean_motion, note, doubt, video.fps),
            )
    return there


def of_parts(
    folder: Path, but: Mapping[Path, int] | None = None
) -> tuple[dict[str, Kept], dict[str, Row]]:
    """Records in the folder of parts, and rows of videos that failed, by id; the newest of each.

    What is damaged there is deleted: it is made again.

    Args:
        but: the `times` of files that are left out.
    """
    there: dict[str, Kept] = {}
    failed: dict[str, Row] = {}
    written = times(folder)
    for path in sorted(written, key=lambda path: written[path]):
        if but and but.get(path) == written[path]:
            continue
        kept: list[Kept] = []
        try:
            if path.suffix == tasks.PART:
                kept = [tasks.read_part(path)]
            elif path.suffix == tasks.FACTS:
                kept, rows = tasks.read_shard(path)
                failed |= {row["id"]: row for row in rows}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            path.unlink()
        there |= {one.id: one for one in kept}
    return there, failed


def times(folder: Path) -> dict[Path, int]:
    """When each file of `our_parts` was written, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in our_parts(folder)}


def remove_orphans(folder: Path):
    """Deletes the records of shards that a killed process wrote without their facts."""
    for path in our_parts(folder):
        if path.suffix == tasks.SHARD and not path.with_suffix(tasks.FACTS).is_file():
            path.unlink()


def our_parts(folder: Path) -> list[Path]:
    """The files of a preparation in its folder of parts, and nothing else that lies there."""
    return [path for path in folder.glob("*") if _OURS.fullmatch(path.name)]
