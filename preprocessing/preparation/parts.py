"""A preparation in progress: what is done stays done, even when the process is killed.

`RECORDS/parts/` holds `plan.json` (what is being prepared), and for video number 123
`000123.tfrecord` (its record) and then `000123.json` (its facts: once this is there, the video is
done). When all are done, each shard is the concatenation of its parts, written under a temporary
name; parts are deleted only when their shard is whole. So a kill at any moment loses at most the
video that each worker has in hand, and the final bytes do not depend on it.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from preprocessing import files, json_checks, records
from preprocessing.datasets.catalogue import Catalogue
from preprocessing.errors import UserError
from preprocessing.preparation import conversion
from preprocessing.preparation.tasks import PARTS_FOLDER, Part, Task, source_sha256
from preprocessing.records import tfds_metadata, tfrecord
from preprocessing.records.outcomes import FAILURES_FILE, NOTES_FILE, Row

_IDENTITY_FILE = "plan.json"
_VIDEOS_PER_SHARD = 128
_COPY_BYTES = 4 << 20


class Preparation:
    """A record set that is being made of a catalogue's videos.

    Args:
        catalogue: the videos.
        folder: the record set's folder.
        settings: what the stored bytes depend on.

    Attributes:
        folder, settings: as given.
        name, classes: of the catalogue.
        videos: in the order of the shards, which mixes the classes and depends on ids alone. The
            index of a video here is its number.
        num_shards: the number of shards.
    """

    def __init__(self, catalogue: Catalogue, folder: Path, settings: conversion.Settings):
        self.folder, self.settings = Path(folder), settings
        self.name, self.classes = catalogue.name, tuple(catalogue.classes)
        # Absolute, for workers elsewhere and for whoever reads the list of failures later.
        videos = [
            dataclasses.replace(
                video,
                path=Path(video.path).absolute(),
                flow=video.flow and (video.flow[0].absolute(), video.flow[1].absolute()),
            )
            for video in sorted(catalogue.videos, key=lambda video: video.id)
        ]
        random.Random(0).shuffle(videos)
        self.videos = tuple(videos)
        self.num_shards = math.ceil(len(videos) / _VIDEOS_PER_SHARD)

    @property
    def shard_paths(self) -> tuple[Path, ...]:
        return tuple(self.folder / self._shard_file(shard) for shard in range(self.num_shards))

    def task(self, number: int) -> Task:
        """The work on one video."""
        shard = self._shard_file(self._shard_of(number))
        return Task(number, self.videos[number], self.settings, self.folder, shard)

    def _shard_of(self, number: int) -> int:
        return number * self.num_shards // len(self.videos)

    def _shard_file(self, shard: int) -> str:
        return records.shard_file(shard, self.num_shards)

    def identity(self) -> dict[str, Any]:
        """What a preparation must have in common with the one that it resumes."""
        return {
            "name": self.name,
            "settings": dataclasses.asdict(self.settings),
            "labels": {video.id: video.label for video in self.videos},
        }

    def check_same(self, stored: Mapping[str, Any]):
        """Compares the `identity` of what the folder holds with this one.

        Raises:
            UserError: names the first difference, with both values.
        """
        asked = self.identity()
        way_out = "ask for the same, or choose another --output"
        for key, value in asked["settings"].items():
            if stored["settings"][key] != value:
                raise UserError(
                    f"{self.folder} was prepared with {key}={stored['settings'][key]}, now"
                    f" {key}={value} is asked: {way_out}"
                )
        if stored["name"] != asked["name"]:
            raise UserError(
                f"{self.folder} was prepared from {stored['name']}, now {asked['name']} is asked:"
                f" {way_out}"
            )
        if stored["labels"].keys() == asked["labels"].keys() and stored != asked:
            raise UserError(
                f"{self.folder} was prepared with its classes numbered otherwise, as by a version"
                " that kept classes without clips: use it as it is, or choose another --output"
            )
        if stored["labels"] != asked["labels"]:
            one = min(set(stored["labels"].items()) ^ set(asked["labels"].items()))[0]
            raise UserError(
                f"{self.folder} was prepared from {len(stored['labels'])} videos of"
                f" {stored['name']}, now it has {len(asked['labels'])} (a difference: {one}):"
                f" {way_out}"
            )

    def begin(self):
        """Makes the folder of parts, or checks that the one there is of the same preparation.

        Raises:
            UserError: the folder holds a preparation of another source or other settings, or a file
                of a set's names that is of none.
        """
        path = self.folder / PARTS_FOLDER / _IDENTITY_FILE
        if path.is_file():
            self.check_same(self._read_identity(path))
        else:
            shards = sorted(self.folder.glob(f"{records.DATASET_NAME}-*"))
            # With parts, the file was deleted on the advice of `_read_identity`.
            begun = any(path.parent.glob("*.json"))
            if not begun and not (self.folder / records.METADATA_FILE).is_file():
                if shards:
                    raise UserError(
                        f"{self.folder} holds {shards[0].name} of a set without metadata: empty the"
                        " folder or choose another --output"
                    )
                names = (FAILURES_FILE, NOTES_FILE, *tfds_metadata.FILES)
                files.check_unclaimed(self.folder, names, "a preparation")
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_text(path, json.dumps(self.identity(), indent=1))
        files.remove_partial(path.parent)
        files.remove_partial(self.folder)

    def _read_identity(self, path: Path) -> dict[str, Any]:
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            keys = json_checks.having(
                name=json_checks.text, settings=json_checks.having(), labels=json_checks.having()
            )
            if needed := keys(stored):
                raise ValueError(f"needed is {needed}")
            # A version that did not have a setting did what is its default now.
            usual = dataclasses.asdict(conversion.Settings(flow_quality="reference"))
            stored["settings"] = usual | stored["settings"]
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path} is damaged ({error}), so it does not say what {self.folder} was being"
                " prepared from: if by the same command as now, delete this one file and run the"
                " command again, which keeps every video that is done; if not, choose another"
                " --output"
            ) from error
        return stored

    def load(self) -> dict[int, Part]:
        """Video number -> part, of the videos that are done."""
        loaded = {number: self.task(number).load() for number in range(len(self.videos))}
        return {number: part for number, part in loaded.items() if part}

    def join(self, done: Mapping[int, Part]):
        """Concatenates the parts into shards, except those that are whole, and deletes them."""
        for shard, path in enumerate(self.shard_paths):
            numbers = [number for number in sorted(done) if self._shard_of(number) == shard]
            length = sum(done[number].length for number in numbers)
            if not path.is_file() or path.stat().st_size != length:
                with files.writing(path) as file:
                    for number in numbers:
                        with self.task(number).record_path.open("rb") as part:
                            shutil.copyfileobj(part, file, _COPY_BYTES)
            for number in numbers:
                self.task(number).record_path.unlink(missing_ok=True)

    def reopen(self, finished: records.RecordSet, added: Iterable[int], notes: Mapping[str, Row]):
        """Splits shards of a finished set into parts again, so that other videos can join them.

        The metadata are deleted last: after a kill before that, the set is still the finished one.

        Args:
            finished: the set as it is.
            added: numbers of the videos that join.
            notes: video id -> its row in the notes of the finished set.
        """
        changed = {self._shard_of(number) for number in added}
        number_of = {video.id: number for number, video in enumerate(self.videos)}
        for video in finished.videos:
            task = self.task(number_of[video.id])
            noted = notes.get(video.id)
            if video.shard in changed:
                record = records.read_bytes(
                    finished.shard_paths[video.shard], video.offset, video.length
                )
                with files.writing(task.record_path) as file:
                    file.write(record)
            facts = conversion.Facts(video.num_frames, video.mean_motion, fps=video.fps)
            if noted:
                facts = dataclasses.replace(facts, note=noted["reason"], doubt=noted["outcome"])
            task.write_facts(Part(facts, video.length, video.record_sha256, video.source_sha256))
        (self.folder / records.METADATA_FILE).unlink()
        for shard in changed:
            self.shard_paths[shard].unlink(missing_ok=True)

    def recorded(self, done: Mapping[int, Part]) -> tuple[records.RecordedVideo, ...]:
        """Where each video that is done lies in the shards."""
        recorded, offsets = [], [0] * self.num_shards
        for number in sorted(done):
            video, part, shard = self.videos[number], done[number], self._shard_of(number)
            recorded.append(
                records.RecordedVideo(
                    id=video.id,
                    label=video.label,
                    class_name=video.class_name,
                    group=video.group,
                    splits=dict(video.splits),
                    num_frames=part.facts.num_frames,
                    mean_motion=part.facts.mean_motion,
                    shard=shard,
                    offset=offsets[shard],
                    length=part.length,
                    record_sha256=part.record_sha256,
                    source_sha256=part.source_sha256,
                    fps=part.facts.fps,
                    ungrouped=video.ungrouped,
                )
            )
            offsets[shard] += part.length
        return tuple(recorded)

    def with_digests(
        self, videos: Sequence[records.RecordedVideo], shard_paths: Sequence[Path]
    ) -> tuple[records.RecordedVideo, ...]:
        """Fills in the digests that a version without them left out, from the finished shards.

        A damaged record gets none, which `verification.verify` will report, and neither does a
        source that is gone.
        """
        sources = {video.id: video for video in self.videos}
        filled = {video.id: video for video in videos}
        lacking = [video for video in videos if not (video.record_sha256 and video.source_sha256)]
        for video in tqdm(lacking, "digests", unit="video", leave=False, disable=not lacking):
            record, source = video.record_sha256, video.source_sha256
            if not record:
                data = records.read_bytes(shard_paths[video.shard], video.offset, video.length)
                with contextlib.suppress(ValueError):
                    tfrecord.data_of(memoryview(data))
                    record = hashlib.sha256(data).hexdigest()
            if not source:
                with contextlib.suppress(OSError, UserError):
                    source = source_sha256(sources[video.id], self.settings)
            filled[video.id] = dataclasses.replace(
                video, record_sha256=record, source_sha256=source
            )
        return tuple(filled.values())

    def remove_parts(self):
        """Deletes what only an unfinished preparation needs; what else lies with it stays."""
        folder = self.folder / PARTS_FOLDER
        for task in map(self.task, range(len(self.videos))):
            for path in (task.record_path, task.facts_path, task.failure_path):
                path.unlink(missing_ok=True)
        (folder / _IDENTITY_FILE).unlink(missing_ok=True)
        files.remove_partial(folder)
        try:
            folder.rmdir()
        except OSError:
            print(f"{folder} holds files that are not of the preparation: left there", flush=True)
