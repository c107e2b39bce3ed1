"""A preparation in progress: what is done stays done, even when the process is killed.

`RECORDS/parts/` holds `plan.json` (what is being made), and for video number 123 of the plan
`000123.tfrecord` (its record) and then `000123.json` (its facts: once this is there, the video is
done). When all are done, each shard is the concatenation of its parts, written under a temporary
name; parts go only when their shard is whole. So killing at any moment loses at most the video
that each worker has in hand, and the final bytes do not depend on it.
"""

import contextlib
import dataclasses
import hashlib
import json
import math
import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

from preprocessing import files, flow, json_checks, records, worker_pool
from preprocessing import video as video_files
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.errors import UserError
from preprocessing.preparation import conversion
from preprocessing.records import tfrecord

FOLDER = "parts"
_PLAN_FILE = "plan.json"
_VIDEOS_PER_SHARD = 128
_COPY_BYTES = 4 << 20
_PART_KEYS = json_checks.having(
    facts=json_checks.having(num_frames=json_checks.whole, mean_motion=json_checks.number),
    length=json_checks.whole,
)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A record set to be made.

    Attributes:
        folder: the record set's folder.
        name, classes: of the catalogue.
        videos: in the order of the shards, which mixes the classes and depends on ids alone.
        settings: what the bytes depend on.
    """

    folder: Path
    name: str
    classes: tuple[str, ...]
    videos: tuple[Video, ...]
    settings: conversion.Settings

    @property
    def num_shards(self) -> int:
        return math.ceil(len(self.videos) / _VIDEOS_PER_SHARD)

    def shard_of(self, number: int) -> int:
        """The shard that video `number` belongs to."""
        return number * self.num_shards // len(self.videos)

    def shard_path(self, shard: int) -> Path:
        return self.folder / records.shard_file(shard, self.num_shards)

    def part_path(self, number: int) -> Path:
        return self.folder / FOLDER / f"{number:06d}.tfrecord"

    def facts_path(self, number: int) -> Path:
        return self.folder / FOLDER / f"{number:06d}.json"

    def failure_path(self, number: int) -> Path:
        return self.folder / FOLDER / f"{number:06d}.failure.json"


@dataclasses.dataclass(frozen=True)
class Part:
    """Facts of a video that is done, the length of its record in bytes, and digests.

    Attributes:
        facts, length: see above.
        record_sha256, source_sha256: as in `records.RecordedVideo`; empty where a version without
            digests made the part, to be filled in by `with_digests`.
    """

    facts: conversion.Facts
    length: int
    record_sha256: str = ""
    source_sha256: str = ""


def plan(catalogue: Catalogue, folder: Path, settings: conversion.Settings) -> Plan:
    """Orders a catalogue's videos for the shards."""
    # Absolute, for workers elsewhere and for whoever reads the list of failures later.
    videos = [
        dataclasses.replace(video, path=Path(video.path).absolute())
        for video in sorted(catalogue.videos, key=lambda video: video.id)
    ]
    random.Random(0).shuffle(videos)
    return Plan(Path(folder), catalogue.name, tuple(catalogue.classes), tuple(videos), settings)


def identity(made: Plan) -> dict:
    """What a preparation must share with the one it goes on with."""
    return {
        "name": made.name,
        "settings": dataclasses.asdict(made.settings),
        "labels": {video.id: video.label for video in made.videos},
    }


def begin(made: Plan):
    """Makes the folder of parts, or checks that the one there is of the same plan.

    Raises:
        UserError: the folder holds a preparation of another source or other settings.
    """
    path = made.folder / FOLDER / _PLAN_FILE
    wanted = identity(made)
    if path.is_file():
        found = _read_plan(path, wanted)
        check_same(made.folder, found, wanted)
    else:
        strangers = sorted(made.folder.glob(f"{records.DATASET_NAME}-*"))
        begun = any(path.parent.glob("*.json"))  # and its plan was deleted, as `_read_plan` says
        if strangers and not begun and not (made.folder / records.METADATA_FILE).is_file():
            raise UserError(
                f"{made.folder} holds {strangers[0].name} of a set without metadata: empty the"
                " folder or choose another --output"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, json.dumps(wanted, indent=1))
    files.remove_partial(path.parent)
    files.remove_partial(made.folder)


def _read_plan(path: Path, wanted: dict) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        settings = dict.fromkeys(wanted["settings"], lambda value: None)  # any value
        plan_keys = json_checks.having(
            name=json_checks.text,
            settings=json_checks.having(**settings),
            labels=json_checks.having(),
        )
        if needed := plan_keys(found):
            raise ValueError(f"needed is {needed}")
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({error}), so it does not tell what {path.parent.parent} was being"
            " prepared from: if by the same command as now, delete this one file and run the"
            " command again, which keeps every video that is done; if not, choose another --output"
        ) from error
    return found


def check_same(folder: Path, found: dict, wanted: dict):
    """Compares what a folder holds with what is asked: `name`, `settings`, `labels`.

    Raises:
        UserError: names the first difference, with both values.
    """
    way_out = "ask for the same, or choose another --output"
    for key, value in wanted["settings"].items():
        if found["settings"][key] != value:
            raise UserError(
                f"{folder} was prepared with {key}={found['settings'][key]}, now {key}={value} is"
                f" asked: {way_out}"
            )
    if found["name"] != wanted["name"]:
        raise UserError(
            f"{folder} was prepared from {found['name']}, now {wanted['name']} is asked: {way_out}"
        )
    if found["labels"] != wanted["labels"]:
        one = min(set(found["labels"].items()) ^ set(wanted["labels"].items()))[0]
        raise UserError(
            f"{folder} was prepared from {len(found['labels'])} videos of {found['name']}, now it"
            f" has {len(wanted['labels'])} (a difference: {one}): {way_out}"
        )


def load_parts(made: Plan) -> dict[int, Part]:
    """Video number -> part, of the videos that are done."""
    loaded = {number: load_part(made, number) for number in range(len(made.videos))}
    return {number: part for number, part in loaded.items() if part}


def load_part(made: Plan, number: int) -> Part | None:
    """The part of a video, if it is done."""
    path, facts_path = made.part_path(number), made.facts_path(number)
    shard = made.shard_path(made.shard_of(number))
    try:
        part = _parsed_part(json.loads(facts_path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        if not shard.is_file():
            return None  # one video is made anew
        raise UserError(
            f"{facts_path} is damaged ({error}), and its record lies in {shard} already: put a copy"
            f" of it back, or delete both files and run the same command again, which makes the"
            " videos of that shard anew and no others"
        ) from error
    if path.is_file() and path.stat().st_size == part.length:
        return part
    return part if shard.is_file() else None


def _parsed_part(values) -> Part:
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


def load_failure(made: Plan, number: int) -> worker_pool.Failure | None:
    """What `write_failure` left of a video, if it did."""
    try:
        return worker_pool.Failure(
            **json.loads(made.failure_path(number).read_text(encoding="utf-8"))
        )
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None


def write_failure(made: Plan, number: int, failure: worker_pool.Failure):
    """Leaves why a video has no part, for a runner whose workers share only the folder."""
    files.write_text(made.failure_path(number), json.dumps(dataclasses.asdict(failure)))


def _write_facts(made: Plan, number: int, part: Part):
    files.write_text(made.facts_path(number), json.dumps(dataclasses.asdict(part)))


def make_part(
    task: tuple[Plan, int], report=lambda amount: None, solver: flow.Solver | None = None
) -> Part:
    """Converts video `number` of the plan into its part; for `solver` see `conversion.convert`.

    Raises:
        VideoError: the video cannot be used.
    """
    made, number = task
    video = made.videos[number]
    path = made.part_path(number)
    with records.ExampleWriter(video.id, video.label, path.parent) as writer:
        facts = conversion.convert(video.path, writer, made.settings, report, solver=solver)
        with files.writing(path) as file:
            digesting = _DigestingFile(file)
            length = writer.write_record(digesting)
    source = video_files.sha256(video.path, report)
    part = Part(facts, length, digesting.sha256.hexdigest(), source)
    _write_facts(made, number, part)
    return part


class _DigestingFile:
    """A file to write to that knows the SHA-256 of what was written."""

    def __init__(self, file: BinaryIO):
        self._file, self.sha256 = file, hashlib.sha256()

    def write(self, data: bytes):
        self.sha256.update(data)
        self._file.write(data)


def join_shard(made: Plan, shard: int, done: dict[int, Part]):
    """Concatenates the parts of a shard, unless it is whole, and then removes them."""
    numbers = [number for number in sorted(done) if made.shard_of(number) == shard]
    path = made.shard_path(shard)
    length = sum(done[number].length for number in numbers)
    if not path.is_file() or path.stat().st_size != length:
        with files.writing(path) as file:
            for number in numbers:
                with made.part_path(number).open("rb") as part:
                    shutil.copyfileobj(part, file, _COPY_BYTES)
    for number in numbers:
        made.part_path(number).unlink(missing_ok=True)


def reopen(
    made: Plan, finished: records.RecordSet, repaired: Sequence[int], notes: Mapping[str, str]
):
    """Takes shards of a finished set apart again, so that repaired videos can join them.

    The metadata go last: killed before, the set is still the finished one it was.

    Args:
        made, finished: the plan, and the set as it is.
        repaired: numbers of the videos that join.
        notes: video id -> `Facts.note` of the finished set.
    """
    changed = {made.shard_of(number) for number in repaired}
    number_of = {video.id: number for number, video in enumerate(made.videos)}
    for video in finished.videos:
        number = number_of[video.id]
        facts = conversion.Facts(video.num_frames, video.mean_motion, note=notes.get(video.id, ""))
        if video.shard in changed:
            with (
                finished.shard_paths[video.shard].open("rb") as shard,
                files.writing(made.part_path(number)) as file,
            ):
                shard.seek(video.offset)
                file.write(shard.read(video.length))
        part = Part(facts, video.length, video.record_sha256, video.source_sha256)
        _write_facts(made, number, part)
    (made.folder / records.METADATA_FILE).unlink()
    for shard in changed:
        made.shard_path(shard).unlink(missing_ok=True)


def recorded_videos(made: Plan, done: dict[int, Part]) -> tuple[records.RecordedVideo, ...]:
    """Where each video that is done lies in the shards."""
    recorded, offsets = [], [0] * made.num_shards
    for number in sorted(done):
        video, part, shard = made.videos[number], done[number], made.shard_of(number)
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
            )
        )
        offsets[shard] += part.length
    return tuple(recorded)


def with_digests(
    made: Plan, videos: Sequence[records.RecordedVideo], shard_paths: Sequence[Path]
) -> tuple[records.RecordedVideo, ...]:
    """Fills in the digests that a version without them left out, by reading the finished shards.

    A damaged record gets none, which `verification.verify` will say, and neither does a source
    that is gone.
    """
    sources = {video.id: video.path for video in made.videos}
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
                source = video_files.sha256(sources[video.id])
        filled[video.id] = dataclasses.replace(video, record_sha256=record, source_sha256=source)
    return tuple(filled.values())
