"""The local runner: the conversion on this machine's cores."""

import collections
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from preprocessing import flow, worker_pool
from preprocessing.errors import UserError
from preprocessing.flow import device
from preprocessing.preparation import prepare, tasks
from preprocessing.preparation.conversion import Settings
from preprocessing.preparation.preparation import Preparation, Shard, row_of

_AHEAD = 2  # tasks that wait for each worker
Queue = collections.deque[tasks.Convert | tasks.Join]


def local_runner(
    workers: int,
    time_limit: float,
    progress: Callable[[int], None] = lambda pairs: None,
    flow_batch: int | None = None,
    measured: Callable[[device.Statistics], None] = lambda statistics: None,
) -> prepare.Runner:
    """Runs a preparation on this machine's cores; see `preprocessing.worker_pool.Pool`.

    Flow with Keras is computed by this process, see `preprocessing.flow.device`.

    Args:
        workers: processes that decode and encode.
        time_limit: seconds without a frame after which a video is given up.
        progress: called with numbers of pairs as they are done.
        flow_batch: pairs that the device solves at once (None: by the kind of device).
        measured: called at the end with what the device did, if there was one.
    """

    def run(preparation: Preparation, shards: Iterable[Shard]) -> Iterator[prepare.Result]:
        settings, folder = preparation.settings, preparation.folder
        with (
            device.Device(settings.image_size, flow_batch, time_limit) as solving,
            worker_pool.Pool(workers, time_limit) as pool,
        ):

            def done(queue: Queue) -> Iterator[tuple[Any, Any]]:
                return pool.run(_perform, queue, progress, solving)

            yield from make(shards, settings, folder, done, workers)
        if solving.statistics:
            measured(solving.statistics)

    return run


def _perform(task: tasks.Convert | tasks.Join, report: worker_pool.Reporter) -> Any:
    """`tasks.perform`; flow with Keras comes from the device of the pool's process."""
    with_device = isinstance(task, tasks.Convert) and task.settings.flow_method == "keras"
    return tasks.perform(task, report, flow.Solver("keras", report=report) if with_device else None)


def make(
    shards: Iterable[Shard],
    settings: Settings,
    folder: Path,
    run: Callable[[Queue], Iterator[tuple[Any, Any]]],
    workers: int,
) -> Iterator[prepare.Result]:
    """Converts the videos that shards lack, and joins each shard once it is whole.

    Args:
        shards: what is to be made; taken as there is room for them.
        run: function of a queue of tasks, to which this one adds, that yields (task, result).

    Yields:
        (video, its record or Failure) as they end.

    Raises:
        UserError: a shard cannot be joined.
    """
    queue: Queue = collections.deque()
    waiting = iter(shards)
    shard_of: dict[str, Shard] = {}

    def join(shard: Shard):
        rows = tuple((video.id, video.label, kept) for video, kept in shard.rows())
        queue.appendleft(tasks.Join(folder, rows, tuple(shard.failures)))

    def refill():
        while len(queue) < _AHEAD * workers and (shard := next(waiting, None)):
            lacking = shard.lacking()
            shard_of.update({video.id: shard for video in lacking})
            queue.extend(tasks.Convert(video, settings, folder) for video in lacking)
            if not lacking:
                join(shard)

    refill()
    for task, result in run(queue):
        if isinstance(task, tasks.Convert):
            video, shard = task.video, shard_of.pop(task.video.id)
            if isinstance(result, worker_pool.Failure):
                row = row_of(video.id, video.path, result.outcome, result.reason)
                shard.failures.append(row)
            else:
                shard.kept[video.id] = result
            if len(shard.kept) + len(shard.failures) == len(shard.videos):
                join(shard)
            yield video, result
        elif isinstance(result, worker_pool.Failure):
            raise UserError(result.reason)
        refill()
