"""The local runner: the conversion on this machine's cores."""

import collections
import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator

from preprocessing import flow, worker_pool
from preprocessing.errors import UserError
from preprocessing.flow.service import server
from preprocessing.preparation import prepare, tasks
from preprocessing.preparation.preparation import Preparation, Shard, row_of

_AHEAD = 2  # tasks that wait for each worker


def local_runner(
    workers: int,
    time_limit: float,
    progress: Callable[[int], None] = lambda pairs: None,
    flow_batch: int | None = None,
    measured: Callable[[server.Statistics], None] = lambda statistics: None,
) -> prepare.Runner:
    """Runs a preparation on this machine's cores; see `preprocessing.worker_pool.run`.

    Flow with Keras is computed by one further process, which owns the device.

    Args:
        workers: processes that decode and encode.
        time_limit: seconds without a frame after which a video is given up.
        progress: called with numbers of pairs as they are done.
        flow_batch: pairs that the device solves at once (None: by the kind of device).
        measured: called at the end with what the device process did, if there was one.
    """

    def run(preparation: Preparation, shards: Iterable[Shard]) -> Iterator[prepare.Result]:
        settings = preparation.settings
        with contextlib.ExitStack() as stack:
            work: Callable = tasks.perform
            if settings.flow_method == "keras":
                serving = server.serving(settings.image_size, flow_batch, time_limit, measured)
                solver = flow.Solver("keras", address=stack.enter_context(serving))
                work = functools.partial(work, solver=solver)

            def done(queue):
                return worker_pool.run(work, queue, workers, time_limit, progress)

            yield from make(shards, preparation.settings, preparation.folder, done, workers)

    return run


def make(shards, settings, folder, run, workers: int) -> Iterator[prepare.Result]:
    """Converts the videos that shards lack, and joins each shard once it is whole.

    Args:
        shards: what is to be made; taken as there is room for them.
        settings, folder: of the preparation.
        run: function of a queue of tasks, to which this one adds, that yields (task, result).
        workers: how many do the tasks.

    Yields:
        (video, its record or Failure) as they end.

    Raises:
        UserError: a shard cannot be joined.
    """
    queue: collections.deque[tasks.Convert | tasks.Join] = collections.deque()
    waiting = iter(shards)
    shard_of: dict[str, Shard] = {}

    def join(shard):
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
