"""The local runner: the conversion on this machine's cores."""

import contextlib
import functools
from collections.abc import Callable, Iterator

from preprocessing import flow, worker_pool
from preprocessing.flow.service import server
from preprocessing.preparation import prepare, tasks
from preprocessing.preparation.parts import Preparation


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

    def run(preparation: Preparation, numbers: list[int]) -> Iterator[prepare.Result]:
        settings = preparation.settings
        with contextlib.ExitStack() as stack:
            work: Callable = tasks.make_part
            if numbers and settings.flow_method == "keras":
                serving = server.serving(settings.image_size, flow_batch, time_limit, measured)
                solver = flow.Solver("keras", address=stack.enter_context(serving))
                work = functools.partial(work, solver=solver)
            waiting = [preparation.task(number) for number in numbers]
            for task, result in worker_pool.run(work, waiting, workers, time_limit, progress):
                yield task.number, result

    return run
