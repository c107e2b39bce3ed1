"""The local runner: the conversion on this machine's cores."""

from collections.abc import Callable, Iterator

from preprocessing import flow, worker_pool
from preprocessing.flow import device
from preprocessing.preparation import prepare, tasks
from preprocessing.preparation.parts import Preparation


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

    def run(preparation: Preparation, numbers: list[int]) -> Iterator[prepare.Result]:
        waiting = (preparation.task(number) for number in numbers)
        with (
            device.Device(preparation.settings.image_size, flow_batch, time_limit) as solving,
            worker_pool.Pool(workers, time_limit) as pool,
        ):
            for task, result in pool.run(_make_part, waiting, progress, solving):
                yield task.number, result
        if solving.statistics:
            measured(solving.statistics)

    return run


def _make_part(task: tasks.Task, report: worker_pool.Reporter) -> tasks.Part:
    """`tasks.make_part`; flow with Keras comes from the device of the pool's process."""
    with_device = task.settings.flow_method == "keras"
    solver = flow.Solver("keras", report=report) if with_device else None
    return tasks.make_part(task, report, solver)
