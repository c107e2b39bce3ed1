"""A preparation in progress: what is done stays done, even when the process is killed.

A record set changes in one step, when its `metadata.json` is replaced. Before, all that is new
lies in RECORDS/parts/ (see `tasks`) and under names that the set does not have yet; behind it, what
only the old set had is deleted. So a kill at any moment loses at most the video that each worker
has in hand, and leaves the old set or the new one.
"""

import dataclasses
import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from preprocessing import files, json_checks, records
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.errors import UserError
from preprocessing.flow import constants
from preprocessing.preparation import conversion, layout, stock
from preprocessing.preparation.tasks import PARTS_FOLDER, PATH, Kept
from preprocessing.records import tfds_metadata
from preprocessing.records.outcomes import FAILURES_FILE, NOTES_FILE, Row, write_rows

PLAN_FILE, QUEUE_FILE = "plan.json", "queue.txt"  # the latter is of Beam
# Settings that a run must know too.
_OF_CLIPS = ("image_size", "resize", "fps", "repeats", "frame_grid", "flow_length")
_OF_ENCODING = ("flow_bound", "image_format", "jpeg_quality")


@dataclasses.dataclass
class Shard:
    """The videos of a shard, in their order, the record of each that has one, and failures."""

    videos: list[Video]
    kept: dict[str, Kept]
    failures: list[Row] = dataclasses.field(default_factory=list)

    def lacking(self) -> list[Video]:
        """The videos without a record."""
        return [video for video in self.videos if video.id not in self.kept]

    def rows(self) -> list[tuple[Video, Kept]]:
        """The videos that have a record, with it."""
        return [(video, self.kept[video.id]) for video in self.videos if video.id in self.kept]

    def file(self) -> Path | None:
        """The file that holds its records in their order and nothing else, if there is one."""
        rows, offset = self.rows(), 0
        for video, kept in rows:
            place = kept.id, kept.label, kept.file, kept.offset
            if place != (video.id, video.label, rows[0][1].file, offset):
                return None
            offset += kept.length
        return rows[0][1].file if rows and rows[0][1].file.stat().st_size == offset else None

    def is_done(self) -> bool:
        """Whether nothing is left to do but to give its file a name."""
        digests = all(kept.record_sha256 for kept in self.kept.values())
        return not self.lacking() and bool(self.file()) and digests


class Preparation:
    """A record set that is being made of a catalogue's videos.

    Attributes:
        name, classes, videos: of the catalogue, with absolute paths.
    """

    def __init__(self, catalogue: Catalogue, folder: Path, settings: conversion.Settings):
        self.folder, self.settings = Path(folder), settings
        self.parts = self.folder / PARTS_FOLDER
        self.name, self.classes = catalogue.name, tuple(catalogue.classes)
        self.videos = [_absolute(video) for video in catalogue.videos]

    def shards(self, kept: Mapping[str, Kept]) -> Iterator[Shard]:
        """The shards that the set is to have, with what there is of them."""
        for videos in layout.shards(self.videos):
            yield Shard(videos, {v.id: kept[v.id] for v in videos if v.id in kept})

    def _check_same(self, name: str, stored: Mapping[str, Any]):
        """Compares the source and the settings of what the folder holds with these."""
        way_out = "ask for the same, or choose another --output"
        for key, value in dataclasses.asdict(self.settings).items():
            if key in stored and stored[key] != value:
                raise UserError(
                    f"{self.folder} was prepared with {key}={stored[key]}, now {key}={value} is"
                    f" asked: {way_out}"
                )
        if name != self.name:
            raise UserError(
                f"{self.folder} was prepared from {name}, now {self.name} is asked: {way_out}"
            )

    def finished(self) -> records.RecordSet | None:
        """The finished set in the folder, if there is one.

        Raises:
            UserError: it is of another source or of other settings.
        """
        if not (self.folder / records.METADATA_FILE).is_file():
            return None
        record_set = records.read_record_set(self.folder)
        stored = {**{name: record_set.clip[name] for name in _OF_CLIPS}, **record_set.encoding}
        flow = {f"flow_{name}": record_set.flow[name] for name in ("method", "quality")}
        self._check_same(record_set.name, stored | flow)
        return record_set

    def begin(self):
        """Makes the folder of parts, or checks that the one there is of the same preparation.

        Raises:
            UserError: the folder holds a preparation of another source or other settings, or a file
                of a set's names that is of none.
        """
        path = self.parts / PLAN_FILE
        if path.is_file():
            self._check_same(*self._read_plan(path))
        else:
            # With parts, the file was deleted on the advice of `_read_plan`.
            begun = self.parts.is_dir() and stock.our_parts(self.parts)
            if not begun and not (self.folder / records.METADATA_FILE).is_file():
                if shards := self._shard_files():
                    raise UserError(
                        f"{self.folder} holds {shards[0].name} of a set without metadata: empty the"
                        " folder or choose another --output"
                    )
                names = (FAILURES_FILE, NOTES_FILE, stock.STAMPS_FILE, *tfds_metadata.FILES)
                files.check_unclaimed(self.folder, names, "a preparation")
            self.parts.mkdir(parents=True, exist_ok=True)
            plan = {"name": self.name, "settings": dataclasses.asdict(self.settings)}
            files.write_text(path, json.dumps(plan, indent=1))
        files.remove_partial(self.parts)
        files.remove_partial(self.folder)
        stock.remove_orphans(self.parts)

    def _read_plan(self, path: Path) -> tuple[str, dict[str, Any]]:
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            keys = json_checks.having(name=json_checks.text, settings=json_checks.having())
            if needed := keys(stored):
                raise ValueError(f"needed is {needed}")
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path} is damaged ({error}), so it does not say what {self.folder} was being"
                " prepared from: if by the same command as now, delete this one file and run the"
                " command again, which keeps every video that is done; if not, choose another"
                " --output"
            ) from error
        if "labels" in stored:
            raise UserError(
                f"{self.folder} holds the beginning of a preparation by an earlier version: finish"
                f" it with that version, or delete {self.parts} to begin again"
            )
        # A version that did not have a setting did what is its default now.
        return stored["name"], dataclasses.asdict(conversion.Settings()) | stored["settings"]

    def publish(
        self, shards: Iterable[Shard], failures: Sequence[Row], finished: records.RecordSet | None
    ) -> records.RecordSet:
        """Makes the shards the set, and deletes what only the set before had.

        Args:
            shards: each with a file.
            failures: rows of the videos that have no record.
            finished: the set before.
        """
        present = [shard for shard in shards if shard.kept]
        videos = _recorded(present)
        sha256 = records.set_sha256(videos, self.classes)
        paths = [shard.file() for shard in present]
        names = tuple(records.shard_file(sha256, k, len(paths)) for k in range(len(paths)))
        in_place = finished and [path and path.name for path in paths] == list(finished.shards)
        if finished and finished.of_early_version and in_place:
            names, sha256 = finished.shards, finished.sha256
        settings = self.settings
        record_set = records.RecordSet(
            folder=self.folder,
            name=self.name,
            clip={name: getattr(settings, name) for name in _OF_CLIPS},
            encoding={name: getattr(settings, name) for name in _OF_ENCODING},
            flow={
                "algorithm": constants.GIVEN if settings.flow_method == constants.GIVEN else "tvl1",
                "method": settings.flow_method,
                "quality": settings.flow_quality,
            },
            classes=self.classes,
            counts={
                "videos": len(videos),
                "classes": len(self.classes),
                "frames": sum(video.num_frames for video in videos),
                "failed": len(failures),
                "shards": len(names),
            },
            videos=videos,
            failed=tuple(row["id"] for row in failures),
            versions={
                "python": platform.python_version(),
                "opencv": cv2.__version__,
                "numpy": np.__version__,
            },
            sha256=sha256,
            shards=names,
        )
        for path, name in zip(paths, names, strict=True):
            assert path is not None  # joined before
            _link(path, self.folder / name)
        if finished and dataclasses.replace(finished, versions=record_set.versions) == record_set:
            record_set = finished
        else:
            records.write_record_set(record_set)
        write_rows(self.folder, NOTES_FILE, self._notes(videos))
        if not tfds_metadata.is_written(record_set):
            tfds_metadata.write(record_set)
        stamps = {name: one.stamp for shard in present for name, one in shard.kept.items()}
        files.write_text(self.folder / stock.STAMPS_FILE, json.dumps(stamps) + "\n")
        for path in self._shard_files():
            if path.name not in record_set.shards:
                path.unlink()
        return record_set

    def _shard_files(self) -> list[Path]:
        """Files of shards, also of other sets than the present one."""
        return [p for p in sorted(self.folder.glob("*")) if records.SHARD_NAME.fullmatch(p.name)]

    def _notes(self, videos: Iterable[records.RecordedVideo]) -> list[Row]:
        """Rows of what is doubtful about the videos, and of copies of other ones.

        Copies within one class, group and side of every split are no fault.
        """
        first: dict[str, records.RecordedVideo] = {}
        path_of = {video.id: video.path for video in self.videos}
        rows = []
        for video in sorted(videos, key=lambda video: video.id):
            path = path_of[video.id]
            if video.note:
                rows.append(
                    row_of(video.id, path, video.doubt, video.note.replace(PATH, str(path)))
                )
            other = first.setdefault(video.source_sha256, video)
            place, others = (
                (one.class_name, one.group, dict(one.splits)) for one in (video, other)
            )
            if video.source_sha256 and place != others:
                reason = (
                    f"of class {video.class_name} is the same file as {other.id} of class"
                    f" {other.class_name}"
                )
                rows.append(row_of(video.id, path, stock.COPY, reason))
        return sorted(rows, key=lambda row: (row["id"], row["outcome"]))

    def remove_parts(self):
        """Deletes what only an unfinished preparation needs; what else lies with it stays."""
        for path in stock.our_parts(self.parts):
            path.unlink()
        for name in (PLAN_FILE, QUEUE_FILE):
            (self.parts / name).unlink(missing_ok=True)
        files.remove_partial(self.parts)
        try:
            self.parts.rmdir()
        except OSError:
            print(
                f"{self.parts} holds files that are not of the preparation: left there", flush=True
            )


def _absolute(video: Video) -> Video:
    """The video for workers elsewhere, and for whoever reads the list of failures later."""
    if video.path.is_absolute() and not video.flow:
        return video
    flow = video.flow and (video.flow[0].absolute(), video.flow[1].absolute())
    return dataclasses.replace(video, path=video.path.absolute(), flow=flow)


def row_of(video_id: str, path: Path, outcome: str, reason: str) -> Row:
    """A row of the failures or the notes."""
    return {"id": video_id, "path": str(path), "outcome": outcome, "reason": reason}


def _recorded(shards: Iterable[Shard]) -> tuple[records.RecordedVideo, ...]:
    return tuple(
        records.RecordedVideo(
            id=video.id,
            label=video.label,
            class_name=video.class_name,
            group=video.group,
            splits=video.splits,
            shard=index,
            offset=kept.offset,
            length=kept.length,
            record_sha256=kept.record_sha256,
            source_sha256=kept.source_sha256,
            ungrouped=video.ungrouped,
            **dataclasses.asdict(kept.facts),
        )
        for index, shard in enumerate(shards)
        for video, kept in shard.rows()
    )


def _link(path: Path, target: Path):
    """Gives a file a second name, or copies it where the file system has one name a file."""
    if path == target or (target.is_file() and target.stat().st_size == path.stat().st_size):
        return
    target.unlink(missing_ok=True)
    try:
        os.link(path, target)
    except OSError:
        with files.writing(target) as file, path.open("rb") as source:
            shutil.copyfileobj(source, file, 4 << 20)
