"""The choice of a runner by its name."""

from collections.abc import Callable

from preprocessing.errors import UserError
from preprocessing.flow.device import Statistics
from preprocessing.preparation import prepare
from preprocessing.preparation.local import local_runner

RUNNERS = ("local", "beam")


def runner(
    name: str,
    workers: int,
    time_limit: float,
    progress: Callable[[int], None],
    measured: Callable[[Statistics], None],
    flow_batch: int | None = None,
    beam_options: str = "",
) -> prepare.Runner:
    """The runner of a name in `RUNNERS`, with those of the arguments that it takes.

    Args:
        name: of the runner.
        workers, time_limit, progress, measured, flow_batch: see `local_runner`.
        beam_options: see `beam_runner`, as `time_limit` and `progress`.

    Raises:
        UserError: Apache Beam is needed and not installed.
    """
    if name == "local":
        return local_runner(workers, time_limit, progress, flow_batch, measured)
    try:
        from preprocessing.preparation.beam import beam_runner
    except ImportError as error:
        raise UserError(
            f"--runner=beam needs Apache Beam ({error}): pip install 'stfnet[beam]'"
        ) from error
    return beam_runner(beam_options, time_limit, progress)
