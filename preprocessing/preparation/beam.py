"""The Apache Beam runner: the same conversion on a cluster (Dataflow, Flink, Spark) or here.

The record set's folder and the videos lie where every worker sees them under one path: a shared
file system such as NFS, Lustre, Filestore or a mounted bucket. Workers leave a part or a failure
for each video there, exactly as the local runner's do, so either runner resumes what the other
left unfinished, and the final bytes are the same.
"""

import dataclasses
import difflib
import shlex
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from preprocessing import worker_pool
from preprocessing.errors import UserError
from preprocessing.preparation import prepare, tasks
from preprocessing.preparation.parts import Preparation


def beam_runner(
    options: str, time_limit: float, progress: Callable[[int], None] = lambda pairs: None
) -> prepare.Runner:
    """Runs a preparation as a Beam pipeline.

    Args:
        options: Beam's own, as on a command line, such as `--runner=FlinkRunner
            --flink_master=host:8081`; empty for Beam's direct runner.
        time_limit: seconds without a frame after which a video is given up.
        progress: called with the pairs of each video when the pipeline has ended.

    Raises:
        UserError: Beam has no such option; (when run) the pipeline failed, or its workers do not
            share the folder.
    """
    arguments = shlex.split(options)
    _check_options(arguments)

    def run(preparation: Preparation, numbers: list[int]) -> Iterator[prepare.Result]:
        # Workers may have another working directory.
        folder = preparation.folder.absolute()
        waiting = [
            dataclasses.replace(preparation.task(number), folder=folder) for number in numbers
        ]
        for task in waiting:
            task.failure_path.unlink(missing_ok=True)
        if waiting:
            _run_pipeline(arguments, waiting, time_limit)
        for task in waiting:
            result = task.load() or task.load_failure()
            if result is None:
                raise UserError(
                    f"the Beam pipeline ended without {task.video.id}: let its workers share"
                    f" {folder} under this path, and run the same command again"
                )
            if isinstance(result, tasks.Part):
                _, fields = preparation.settings.stored(result.facts.num_frames)
                progress(len(fields))
            yield task.number, result

    return run


def _check_options(arguments: list[str]):
    """Refuses what Beam itself would leave out with a warning, and then run here."""
    known = set(PipelineOptions([]).get_all_options())
    given = PipelineOptions(arguments).get_all_options(retain_unknown_options=True)
    for name in sorted(set(given) - known):
        near = difflib.get_close_matches(name, known, 1)
        raise UserError(
            f"--beam_options has --{name}, which Beam does not know"
            f"{f': did you mean --{near[0]}?' if near else ': leave it out'}"
        )


def _run_pipeline(arguments: list[str], waiting: list[tasks.Task], time_limit: float):
    try:
        with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
            _ = (
                pipeline
                | "Videos" >> beam.Create(waiting)
                | "Spread" >> beam.Reshuffle()
                | "Convert" >> beam.Map(_convert, time_limit)
            )
    except Exception as error:  # each of Beam's runners raises its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1] if lines else type(error).__name__
        raise UserError(
            f"the Beam pipeline failed: {reason}. Run the same command again to continue"
        ) from error


def _convert(task: tasks.Task, time_limit: float):
    """Leaves the part or the failure of a video in the folder.

    A process of its own does it, as locally: what kills a decoder must not kill Beam's worker,
    which Beam would start again with the same video.
    """
    if task.load():
        return  # Beam tried this bundle before
    for _, result in worker_pool.run(tasks.make_part, [task], 1, time_limit):
        if isinstance(result, worker_pool.Failure):
            task.write_failure(result)
