"""A catalogue of video files to a finished record set, by whichever runner."""

import contextlib
import dataclasses
import functools
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from preprocessing import files, flow, records, worker_pool
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.errors import UserError
from preprocessing.flow.service import server
from preprocessing.preparation import parts
from preprocessing.preparation.conversion import Settings
from preprocessing.records import outcomes, tfds_metadata
from preprocessing.records.outcomes import FAILURES_FILE, NOTES_FILE

# Takes (plan, numbers of the videos to do) and yields (number, Part or Failure) as they end.
Runner = Callable[[parts.Plan, list[int]], Iterable[tuple[int, Any]]]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        record_set: of the finished set.
        failures: one mapping with `id`, `path`, `outcome`, `reason` for each video left out.
        converted: videos converted in this run; the others were done before.
        notes: as `failures`, for each video that is in the set though something about it is
            doubtful.
    """

    record_set: records.RecordSet
    failures: tuple[outcomes.Row, ...]
    converted: int
    notes: tuple[outcomes.Row, ...] = ()


def local_runner(
    workers: int,
    time_limit: float,
    progress: Callable[[int], None] = lambda pairs: None,
    flow_batch: int | None = None,
    measured: Callable[[server.Statistics], None] = lambda statistics: None,
) -> Runner:
    """Runs on this machine's cores; see `preprocessing.worker_pool.run`.

    Flow with Keras is computed by one further process, which owns the device.

    Args:
        workers: processes that decode and encode.
        time_limit: seconds without a frame after which a video is given up.
        progress: called with numbers of pairs as they are done.
        flow_batch: pairs that the device solves at once (None: by the kind of device).
        measured: called at the end with what the device process did, if there was one.
    """

    def run(made: parts.Plan, numbers: list[int]) -> Iterator[tuple[int, Any]]:
        tasks = [(made, number) for number in numbers]
        with contextlib.ExitStack() as stack:
            work = parts.make_part
            if tasks and made.settings.flow_method == "keras":
                serving = server.serving(made.settings.image_size, flow_batch, time_limit, measured)
                solver = flow.Solver("keras", address=stack.enter_context(serving))
                work = functools.partial(work, solver=solver)
            for (_, number), result in worker_pool.run(work, tasks, workers, time_limit, progress):
                yield number, result

    return run


def prepare(
    catalogue: Catalogue,
    folder: Path,
    settings: Settings,
    clip: Mapping[str, int],
    run: Runner,
    announce: Callable[[list[Video]], None] = lambda videos: None,
) -> Prepared:
    """Makes a record set, or goes on with one that was interrupted.

    A video that cannot be used goes to `failures.jsonl` with its reason, and the set is made of
    the others; `notes.jsonl` lists those of them that are doubtful. The same call on a finished
    set tries the failed ones again, and does nothing if there are none; with another `clip` it
    only rewrites the metadata.

    Args:
        catalogue: the videos.
        folder: where the records go.
        settings: what the stored bytes depend on.
        clip: `num_frames` and `flow_length` that the set is meant for.
        run: the runner, such as `local_runner(...)`.
        announce: called with the videos still to do, before they are done.

    Raises:
        UserError: the folder holds another set, another process is writing it, the disk is full,
            or no video could be used.
    """
    folder = Path(folder)
    made = parts.plan(catalogue, folder, settings)
    folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder, "preparation"):
        finished = _finished(made)
        if finished and not finished.failed:
            notes = outcomes.read_rows(folder, NOTES_FILE)
            return Prepared(_renewed(made, finished, clip), (), 0, notes)
        return _prepare(made, finished, clip, run, announce)


def _prepare(
    made: parts.Plan, finished: records.RecordSet | None, clip, run: Runner, announce
) -> Prepared:
    parts.begin(made)
    done = parts.load_parts(made)
    recorded = {video.id for video in finished.videos} if finished else set()
    waiting = [
        number
        for number, video in enumerate(made.videos)
        if number not in done and video.id not in recorded
    ]
    if waiting and made.settings.flow_quality == "fast":
        flow.fast_solver()  # what it lacks is said here once, and not by every worker
    if waiting:
        announce([made.videos[number] for number in waiting])
    failures = []
    (made.folder / FAILURES_FILE).unlink(missing_ok=True)
    for number, result in run(made, waiting):
        if isinstance(result, worker_pool.Failure):
            failures.append(_row(made.videos[number], result.outcome, result.reason))
            outcomes.append_row(made.folder, FAILURES_FILE, failures[-1])
        else:
            done[number] = result
    failures.sort(key=lambda failure: failure["id"])
    outcomes.write_rows(made.folder, FAILURES_FILE, failures)
    if not done and not recorded:
        raise UserError(
            f"none of the {len(made.videos)} videos could be used, the first because"
            f" {failures[0]['reason']} ({made.folder / FAILURES_FILE} lists them all)"
        )
    repaired = [number for number in done if made.videos[number].id not in recorded]
    if finished and repaired:
        notes = {row["id"]: row["reason"] for row in outcomes.read_rows(made.folder, NOTES_FILE)}
        parts.reopen(made, finished, repaired, notes)
        done = parts.load_parts(made)
    if finished and not repaired:
        record_set = _renewed(made, finished, clip)
    else:
        record_set = _join(made, done, clip, tuple(failure["id"] for failure in failures))
    notes = outcomes.read_rows(made.folder, NOTES_FILE)
    return Prepared(record_set, tuple(failures), len(waiting) - len(failures), notes)


def _join(made: parts.Plan, done, clip, failed: tuple[str, ...]) -> records.RecordSet:
    for shard in range(made.num_shards):
        parts.join_shard(made, shard, done)
    shard_paths = [made.shard_path(shard) for shard in range(made.num_shards)]
    videos = parts.with_digests(made, parts.recorded_videos(made, done), shard_paths)
    notes = [
        _row(made.videos[number], "fewer_frames", part.facts.note)
        for number, part in done.items()
        if part.facts.note
    ]
    outcomes.write_rows(made.folder, NOTES_FILE, sorted(notes, key=lambda row: row["id"]))
    settings = made.settings
    record_set = records.RecordSet(
        folder=made.folder,
        name=made.name,
        clip={**clip, "image_size": settings.image_size, "resize": settings.resize},
        encoding={
            "flow_bound": settings.flow_bound,
            "image_format": settings.image_format,
            "jpeg_quality": settings.jpeg_quality,
        },
        flow={
            "algorithm": "tvl1",
            "method": settings.flow_method,
            "quality": settings.flow_quality,
        },
        classes=made.classes,
        counts={
            "videos": len(videos),
            "classes": len(made.classes),
            "frames": sum(video.num_frames for video in videos),
            "failed": len(failed),
            "shards": made.num_shards,
        },
        videos=videos,
        failed=failed,
        versions={
            "python": platform.python_version(),
            "opencv": cv2.__version__,
            "numpy": np.__version__,
        },
        sha256=records.set_sha256(videos),
    )
    tfds_metadata.write(record_set)
    records.write_record_set(record_set)
    shutil.rmtree(made.folder / parts.FOLDER)
    return record_set


def _finished(made: parts.Plan) -> records.RecordSet | None:
    """The metadata of the finished set in the folder, if there is one, and of the same plan."""
    if not (made.folder / records.METADATA_FILE).is_file():
        return None
    record_set = _without_lost_shards(records.read_record_set(made.folder))
    wanted = parts.identity(made)
    labels = {video.id: video.label for video in record_set.videos}
    labels |= {name: wanted["labels"].get(name, -1) for name in record_set.failed}
    settings = {
        "image_size": record_set.clip["image_size"],
        "resize": record_set.clip["resize"],
        **record_set.encoding,
        "flow_method": record_set.flow["method"],
        "flow_quality": record_set.flow["quality"],
    }
    found = {"name": record_set.name, "settings": settings, "labels": labels}
    parts.check_same(made.folder, found, wanted)
    return record_set


def _without_lost_shards(record_set: records.RecordSet) -> records.RecordSet:
    """Counts the videos of shards that are missing or cut off as failed, so they are made again."""
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


def _renewed(made: parts.Plan, finished: records.RecordSet, clip) -> records.RecordSet:
    """The finished set for another clip configuration, other groups or other split lists."""
    sources = {video.id: video for video in made.videos}
    videos = tuple(
        dataclasses.replace(
            video, group=sources[video.id].group, splits=dict(sources[video.id].splits)
        )
        for video in parts.with_digests(made, finished.videos, finished.shard_paths)
    )
    renewed = dataclasses.replace(
        finished,
        clip={**finished.clip, **clip},
        videos=videos,
        sha256=finished.sha256 or records.set_sha256(videos),
    )
    # Where shards are lost whose sources are gone too, the metadata stay for a copy of those.
    if renewed != finished and len(videos) == finished.counts["videos"]:
        records.write_record_set(renewed)
    shutil.rmtree(made.folder / parts.FOLDER, ignore_errors=True)
    return renewed


def _row(video: Video, outcome: str, reason: str) -> outcomes.Row:
    return outcomes.Row(id=video.id, path=str(video.path), outcome=outcome, reason=reason)
