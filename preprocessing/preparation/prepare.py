"""A catalogue of video files to a finished record set, by whichever runner."""

import dataclasses
import platform
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np

from preprocessing import files, flow, records
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.errors import UserError
from preprocessing.flow import given
from preprocessing.preparation.conversion import Settings
from preprocessing.preparation.parts import Preparation
from preprocessing.preparation.tasks import Part
from preprocessing.records import tfds_metadata
from preprocessing.records.outcomes import (
    FAILURES_FILE,
    NOTES_FILE,
    Row,
    append_row,
    read_rows,
    write_rows,
)
from preprocessing.worker_pool import Failure

# Settings that a run must know too.
_OF_CLIPS = ("image_size", "resize", "fps", "repeats", "frame_grid", "flow_length")
COPY = "copy"  # outcome in the notes: the same file as another video
Result = tuple[int, Part | Failure]
# Takes (preparation, numbers of the videos to do) and yields (number, Part or Failure) as they end.
Runner = Callable[[Preparation, list[int]], Iterable[Result]]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        record_set: the finished set.
        failures: one mapping with `id`, `path`, `outcome`, `reason` for each video left out.
        converted: videos converted in this run; the others were done before.
        notes: as `failures`, for each video that is in the set though something about it is
            doubtful.
    """

    record_set: records.RecordSet
    failures: tuple[Row, ...]
    converted: int
    notes: tuple[Row, ...] = ()


def prepare(
    catalogue: Catalogue,
    folder: Path,
    settings: Settings,
    run: Runner,
    announce: Callable[[list[Video]], None] = lambda videos: None,
) -> Prepared:
    """Makes a record set, or resumes one that was interrupted.

    A video that cannot be used goes to `failures.jsonl` with its reason, and the set is made of
    the others; `notes.jsonl` lists those of them that are doubtful. The same call on a finished
    set tries the failed ones again, and does nothing if there are none.

    Args:
        catalogue: the videos.
        folder: where the records go.
        settings: what the stored bytes depend on.
        run: the runner, such as `local_runner(...)`.
        announce: called with the videos still to do, before they are done.

    Raises:
        UserError: the folder holds another set, another process is writing it, the disk is full,
            or no video could be used.
    """
    preparation = Preparation(catalogue, folder, settings)
    folder = preparation.folder
    folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder, "preparation"):
        finished = _finished(preparation)
        if finished and not finished.failed:
            record_set = _updated(preparation, finished)
            return Prepared(record_set, (), 0, read_rows(folder, NOTES_FILE))

        preparation.begin()
        done = preparation.load()
        recorded = {video.id for video in finished.videos} if finished else set()
        waiting = [
            number
            for number, video in enumerate(preparation.videos)
            if number not in done and video.id not in recorded
        ]
        if waiting:
            if settings.flow_quality == "fast":
                flow.fast_solver()  # what it lacks is said here once, and not by every worker
            announce([preparation.videos[number] for number in waiting])
        converted, failures = _convert(preparation, waiting, run)
        done |= converted
        if not done and not recorded:
            raise UserError(
                f"none of the {len(preparation.videos)} videos could be used, the first because"
                f" {failures[0]['reason']} ({folder / FAILURES_FILE} lists them all)"
            )

        added = [number for number in done if preparation.videos[number].id not in recorded]
        if finished and not added:
            record_set = _updated(preparation, finished)
        else:
            if finished:
                notes = {row["id"]: row for row in _notes_of_conversion(folder)}
                preparation.reopen(finished, added, notes)
                done = preparation.load()
            preparation.join(done)
            record_set = _write_record_set(preparation, done, failures)
            preparation.remove_parts()
        return Prepared(record_set, failures, len(converted), read_rows(folder, NOTES_FILE))


def _convert(
    preparation: Preparation, waiting: list[int], run: Runner
) -> tuple[dict[int, Part], tuple[Row, ...]]:
    """(number -> part of the videos that are converted now, a row for each that failed)."""
    converted: dict[int, Part] = {}
    failures: list[Row] = []
    folder = preparation.folder
    write_rows(folder, FAILURES_FILE, ())
    for number, result in run(preparation, waiting):
        if isinstance(result, Failure):
            failures.append(_row(preparation.videos[number], result.outcome, result.reason))
            append_row(folder, FAILURES_FILE, failures[-1])
        else:
            converted[number] = result
    failures.sort(key=lambda failure: failure["id"])
    write_rows(folder, FAILURES_FILE, failures)
    return converted, tuple(failures)


def _notes(preparation: Preparation, done: Mapping[int, Part]) -> list[Row]:
    return [
        _row(
            preparation.videos[number],
            # Parts of earlier versions have notes of one kind.
            part.facts.doubt or "fewer_frames",
            part.facts.note,
        )
        for number, part in done.items()
        if part.facts.note
    ]


def _notes_of_conversion(folder: Path) -> list[Row]:
    return [row for row in read_rows(folder, NOTES_FILE) if row["outcome"] != COPY]


def _write_notes(
    preparation: Preparation,
    videos: Iterable[records.RecordedVideo],
    notes: Iterable[Row],
):
    """Writes the notes, and those of copies of other videos.

    Copies within one class, group and side of every split are no fault.
    """
    first: dict[str, records.RecordedVideo] = {}
    sources = {video.id: video for video in preparation.videos}
    rows = list(notes)
    for video in sorted(videos, key=lambda video: video.id):
        source = sources[video.id]
        other = first.setdefault(video.source_sha256, video)
        place, others = ((one.class_name, one.group, dict(one.splits)) for one in (video, other))
        if video.source_sha256 and place != others:
            reason = (
                f"of class {video.class_name} is the same file as {other.id} of class"
                f" {other.class_name}"
            )
            rows.append(_row(source, COPY, reason))
    rows.sort(key=lambda row: (row["id"], row["outcome"]))
    write_rows(preparation.folder, NOTES_FILE, rows)


def _write_record_set(
    preparation: Preparation,
    done: Mapping[int, Part],
    failures: tuple[Row, ...],
) -> records.RecordSet:
    """Writes the metadata of the shards; with them the set is finished."""
    videos = preparation.with_digests(preparation.recorded(done), preparation.shard_paths)
    settings = preparation.settings
    _write_notes(preparation, videos, _notes(preparation, done))
    record_set = records.RecordSet(
        folder=preparation.folder,
        name=preparation.name,
        clip={name: getattr(settings, name) for name in _OF_CLIPS},
        encoding={
            "flow_bound": settings.flow_bound,
            "image_format": settings.image_format,
            "jpeg_quality": settings.jpeg_quality,
        },
        flow={
            "algorithm": given.METHOD if settings.flow_method == given.METHOD else "tvl1",
            "method": settings.flow_method,
            "quality": settings.flow_quality,
        },
        classes=preparation.classes,
        counts={
            "videos": len(videos),
            "classes": len(preparation.classes),
            "frames": sum(video.num_frames for video in videos),
            "failed": len(failures),
            "shards": preparation.num_shards,
        },
        videos=videos,
        failed=tuple(failure["id"] for failure in failures),
        versions={
            "python": platform.python_version(),
            "opencv": cv2.__version__,
            "numpy": np.__version__,
        },
        sha256=records.set_sha256(videos),
    )
    tfds_metadata.write(record_set)
    records.write_record_set(record_set)
    return record_set


def _finished(preparation: Preparation) -> records.RecordSet | None:
    """The finished set in the folder, if there is one, and it is of the same preparation."""
    if not (preparation.folder / records.METADATA_FILE).is_file():
        return None
    record_set = _without_lost_shards(records.read_record_set(preparation.folder))
    asked = preparation.identity()["labels"]
    labels = {video.id: video.label for video in record_set.videos}
    labels |= {name: asked.get(name, -1) for name in record_set.failed}
    settings = {
        **{name: record_set.clip[name] for name in _OF_CLIPS},
        **record_set.encoding,
        "flow_method": record_set.flow["method"],
        "flow_quality": record_set.flow["quality"],
    }
    preparation.check_same({"name": record_set.name, "settings": settings, "labels": labels})
    return record_set


def _without_lost_shards(record_set: records.RecordSet) -> records.RecordSet:
    """Counts the videos of shards that are missing or cut off as failed: they are made again."""
    sizes = records.shard_sizes(record_set)
    whole = [
        path.is_file() and path.stat().st_size == size
        for path, size in zip(record_set.shard_paths, sizes, strict=True)
    ]
    lost = tuple(video.id for video in record_set.videos if not whole[video.shard])
    return dataclasses.replace(
        record_set,
        videos=tuple(video for video in record_set.videos if whole[video.shard]),
        failed=record_set.failed + lost,
    )


def _updated(preparation: Preparation, finished: records.RecordSet) -> records.RecordSet:
    """The finished set for other groups, split lists or class names."""
    sources = {video.id: video for video in preparation.videos}
    videos = tuple(
        dataclasses.replace(
            video,
            class_name=sources[video.id].class_name,
            group=sources[video.id].group,
            splits=dict(sources[video.id].splits),
            ungrouped=sources[video.id].ungrouped,
        )
        for video in preparation.with_digests(finished.videos, finished.shard_paths)
    )
    updated = dataclasses.replace(
        finished,
        classes=preparation.classes,
        counts={**finished.counts, "classes": len(preparation.classes)},
        videos=videos,
        sha256=finished.sha256 or records.set_sha256(videos),
    )
    # Where shards are lost whose sources are gone too, the metadata stay for a copy of those.
    if updated != finished and len(videos) == finished.counts["videos"]:
        if updated.classes != finished.classes:
            tfds_metadata.write(updated)
        records.write_record_set(updated)
    kept = _notes_of_conversion(preparation.folder)
    _write_notes(preparation, videos, kept)
    preparation.remove_parts()
    return updated


def _row(video: Video, outcome: str, reason: str) -> Row:
    return {"id": video.id, "path": str(video.path), "outcome": outcome, "reason": reason}
