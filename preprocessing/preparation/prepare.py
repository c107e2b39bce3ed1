"""A catalogue of video files to a finished record set, by whichever runner."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from preprocessing import files, flow, records
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.errors import UserError
from preprocessing.preparation import stock
from preprocessing.preparation.conversion import Settings
from preprocessing.preparation.preparation import Preparation, Shard, row_of
from preprocessing.preparation.tasks import Kept
from preprocessing.records.outcomes import (
    FAILURES_FILE,
    NOTES_FILE,
    Row,
    append_row,
    read_rows,
    write_rows,
)
from preprocessing.worker_pool import Failure

_NAMED = 3  # videos in a message
# Takes (preparation, shards that lack something), yields (video, its record or Failure) as they
# end, and leaves each shard in the folder of parts.
Result = tuple[Video, Kept | Failure]
Runner = Callable[[Preparation, Iterable[Shard]], Iterator[Result]]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What `prepare` did.

    Attributes:
        failures: one mapping with `id`, `path`, `outcome`, `reason` for each video left out.
        converted: videos converted in this run; the others were done before.
        notes: as `failures`, for each video that is in the set though something about it is
            doubtful.
        changed: whether the set differs from the one that was there.
    """

    record_set: records.RecordSet
    failures: tuple[Row, ...]
    converted: int
    notes: tuple[Row, ...] = ()
    changed: bool = True


def prepare(
    catalogue: Catalogue,
    folder: Path,
    settings: Settings,
    run: Runner,
    update: bool = False,
    announce: Callable[[Sequence[Video], str], None] = lambda videos, changes: None,
) -> Prepared:
    """Makes a record set, resumes one that was interrupted, or brings one up to date.

    A video that cannot be used goes to `failures.jsonl` with its reason, and the set is made of
    the others; `notes.jsonl` lists those of them that are doubtful. The same call on a finished
    set converts the videos that are new, changed or failed before, and leaves the records of the
    others as they are. The result equals a new set of the same videos.

    Args:
        update: whether records of videos that are gone or changed may be dropped.
        announce: called with the videos still to do, before they are done, and with one line on
            what has changed since the records that are there were made (empty if there are none).

    Raises:
        UserError: the folder holds another set, another process is writing it, the disk is full,
            no video could be used, or records would be dropped without `update`.
    """
    preparation = Preparation(catalogue, folder, settings)
    folder = preparation.folder
    folder.mkdir(parents=True, exist_ok=True)
    with files.locked(folder, "preparation"):
        finished = preparation.finished()
        preparation.begin()
        there = stock.of_record_set(finished) if finished else {}
        begun, _ = stock.of_parts(preparation.parts)
        changes = stock.compare(preparation.videos, (begun, there), settings)
        _check_dropped(changes, folder, update)
        kept = dict(changes.kept)
        waiting = [video for video in preparation.videos if video.id not in kept]
        if waiting and settings.flow_quality == "fast":
            flow.fast_solver()  # which says what it lacks, once for all workers
        announce(waiting, str(changes) if begun or there else "")

        shards = _as_they_were(finished, there, kept, preparation) if finished else None
        failures: tuple[Row, ...] = ()
        if shards is None:
            shards, failures = _made(preparation, kept, run)
            lost = {video.id for video in finished.videos} - there.keys() if finished else set()
            _check_lost(lost, failures, folder, update)
        else:
            write_rows(folder, FAILURES_FILE, ())
        record_set = preparation.publish(shards, failures, finished)
        preparation.remove_parts()
        converted = len(waiting) - len(failures)
        notes = read_rows(folder, NOTES_FILE)
        return Prepared(record_set, failures, converted, notes, record_set is not finished)


def _check_dropped(changes: stock.Changes, folder: Path, update: bool):
    dropped = sorted(changes.gone + changes.changed)
    if not dropped or update:
        return
    some = ", ".join(dropped[:_NAMED]) + (" and others" if dropped[_NAMED:] else "")
    raise UserError(
        f"{folder}: {changes}; the records of {some} would be dropped: add --update to the"
        " experiments.prepare if this is meant, or put the videos back"
    )


def _check_lost(lost: set[str], failures: Iterable[Row], folder: Path, update: bool):
    """Refuses to give up records of a missing shard, of which a copy may be somewhere."""
    again = [row for row in failures if row["id"] in lost]
    if again and not update:
        raise UserError(
            f"{folder}: a shard is missing, and {len(again)} of its videos cannot be made again,"
            f" the first because {again[0]['reason']}: put a copy of the shard back, or add"
            " --update to the experiments.prepare to go on without them"
        )


def _as_they_were(
    finished: records.RecordSet,
    there: Mapping[str, Kept],
    kept: Mapping[str, Kept],
    preparation: Preparation,
) -> list[Shard] | None:
    """The shards of a finished set in its own order, if no record comes, goes or changes."""
    videos = {video.id: video for video in preparation.videos}
    if not videos.keys() == kept.keys() == there.keys() == {video.id for video in finished.videos}:
        return None
    shards = [Shard([], {}) for _ in finished.shards]
    for one in finished.videos:
        record, video = kept[one.id], videos[one.id]
        if (record.record_sha256, record.label) != (one.record_sha256, video.label):
            return None
        shards[one.shard].videos.append(video)
        if record.file != there[one.id].file:  # one of a killed update, with the same content
            record = dataclasses.replace(there[one.id], stamp=record.stamp)
        shards[one.shard].kept[one.id] = record
    return shards


def _made(
    preparation: Preparation, kept: Mapping[str, Kept], run: Runner
) -> tuple[list[Shard], tuple[Row, ...]]:
    """(the shards, each with a file; a row for each video that failed)."""
    failures: list[Row] = []
    folder = preparation.folder
    write_rows(folder, FAILURES_FILE, ())
    before = stock.times(preparation.parts)
    lacking = (shard for shard in preparation.shards(kept) if not shard.is_done())
    for video, result in run(preparation, lacking):
        if isinstance(result, Failure):
            failures.append(row_of(video.id, video.path, result.outcome, result.reason))
            append_row(folder, FAILURES_FILE, failures[-1])
    failures.sort(key=lambda failure: failure["id"])
    write_rows(folder, FAILURES_FILE, failures)
    made, _ = stock.of_parts(preparation.parts, but=before)
    shards = list(preparation.shards({**kept, **made}))
    if not any(shard.kept for shard in shards):
        why = f", the first because {failures[0]['reason']}" if failures else ""
        raise UserError(
            f"none of the {len(preparation.videos)} videos could be used{why}"
            f" ({folder / FAILURES_FILE} lists them all)"
        )
    return shards, tuple(failures)
