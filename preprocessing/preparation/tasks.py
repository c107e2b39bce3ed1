"""One video of a preparation: the files of its part, and the work of making it.

A task is all that a worker gets, so it is small, and holds for a process on any machine that sees
the record set's folder and the video.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from preprocessing import files, flow, json_checks, records, worker_pool
from preprocessing import video as video_files
from preprocessing.datasets.catalogue import Video
from preprocessing.errors import UserError
from preprocessing.flow import given
from preprocessing.preparation import conversion

PARTS_FOLDER = "parts"
_PART_KEYS = json_checks.having(
    facts=json_checks.having(num_frames=json_checks.whole, mean_motion=json_checks.number),
    length=json_checks.whole,
)


@dataclasses.dataclass(frozen=True)
class Part:
    """A video that is done.

    Attributes:
        facts: what its conversion measured.
        length: of its record in bytes.
        record_sha256, source_sha256: as in `records.RecordedVideo`; empty where a version without
            digests made the part, for `Preparation.with_digests` to fill in.
    """

    facts: conversion.Facts
    length: int
    record_sha256: str = ""
    source_sha256: str = ""


@dataclasses.dataclass(frozen=True)
class Task:
    """One video of a preparation: all that a process on any machine needs to make its part.

    Attributes:
        number: of the video in `Preparation.videos`.
        video: the video.
        settings: what the stored bytes depend on.
        folder: the record set's folder.
        shard: name of the file in it that the record will be joined to.
    """

    number: int
    video: Video
    settings: conversion.Settings
    folder: Path
    shard: str

    @property
    def record_path(self) -> Path:
        return self._path("tfrecord")

    @property
    def facts_path(self) -> Path:
        return self._path("json")

    @property
    def failure_path(self) -> Path:
        return self._path("failure.json")

    def _path(self, ending: str) -> Path:
        return self.folder / PARTS_FOLDER / f"{self.number:06d}.{ending}"

    def load(self) -> Part | None:
        """The part, if the video is done.

        Raises:
            UserError: the facts of a part that is joined to its shard are damaged.
        """
        shard = self.folder / self.shard
        try:
            part = _parsed_part(json.loads(self.facts_path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            if not shard.is_file():
                return None  # this video alone is made again
            raise UserError(
                f"{self.facts_path} is damaged ({error}), and its record lies in {shard} already:"
                " put a copy of it back, or delete both files and run the same command again, which"
                " makes the videos of that shard again and no others"
            ) from error
        path = self.record_path
        if path.is_file() and path.stat().st_size == part.length:
            return part
        return part if shard.is_file() else None

    def write_facts(self, part: Part):
        """Marks the video as done; its record is written before."""
        files.write_text(self.facts_path, json.dumps(dataclasses.asdict(part)))

    def load_failure(self) -> worker_pool.Failure | None:
        """What `write_failure` left, if it did."""
        try:
            return worker_pool.Failure(**json.loads(self.failure_path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return None

    def write_failure(self, failure: worker_pool.Failure):
        """Leaves why there is no part, for a runner whose workers share only the folder."""
        files.write_text(self.failure_path, json.dumps(dataclasses.asdict(failure)))


def make_part(
    task: Task,
    report: Callable[[int], None] = lambda amount: None,
    solver: flow.Solver | None = None,
) -> Part:
    """Converts the video of a task into its part; for `report` and `solver` see `conversion`.

    Raises:
        VideoError: the video cannot be used.
    """
    video, path = task.video, task.record_path
    with records.ExampleWriter(video.id, video.label, path.parent) as writer:
        facts = conversion.convert(
            *(video.path, writer, task.settings, report),
            solver=solver,
            segment=video.segment,
            given_flow=video.flow,
        )
        with files.writing(path) as file:
            digesting = _DigestingFile(file)
            length = writer.write_record(digesting)
    source = source_sha256(video, task.settings, report)
    part = Part(facts, length, digesting.sha256.hexdigest(), source)
    task.write_facts(part)
    return part


def source_sha256(
    video: Video,
    settings: conversion.Settings,
    report: Callable[[int], None] = lambda amount: None,
) -> str:
    """`preprocessing.video.sha256` of what a record is made from."""
    given_flow = video.flow if settings.flow_method == given.METHOD else None
    return video_files.sha256(video.path, report, video.segment, given_flow)


class _DigestingFile:
    """A file to write to that knows the SHA-256 of what was written."""

    def __init__(self, file: BinaryIO):
        self._file, self.sha256 = file, hashlib.sha256()

    def write(self, data: bytes):
        self.sha256.update(data)
        self._file.write(data)


def _parsed_part(values: Any) -> Part:
    """The part that a file of facts describes; keys of a newer version are left out.

    Raises:
        ValueError: it describes none.
    """
    if needed := _PART_KEYS(values):
        raise ValueError(f"needed is {needed}")
    names = {field.name for field in dataclasses.fields(conversion.Facts)}
    facts = {name: value for name, value in values["facts"].items() if name in names}
    digests = {name: values.get(name, "") for name in ("record_sha256", "source_sha256")}
    for digest in digests.values():
        if needed := json_checks.digest(digest):
            raise ValueError(f"needed is a digest of {needed}")
    return Part(conversion.Facts(**facts), values["length"], **digests)
