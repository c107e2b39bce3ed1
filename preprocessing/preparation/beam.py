"""The Apache Beam runner: the same conversion on a cluster (Dataflow, Flink, Spark) or here.

The record set's folder and the videos lie where every worker sees them under one path: a shared
file system such as NFS, Lustre, Filestore or a mounted bucket. Workers leave a part or a failure
for each video there, exactly as the local runner's do, so either runner goes on where the other
was stopped, and the final bytes are the same.
"""

import dataclasses
import shlex
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from preprocessing import worker_pool
from preprocessing.errors import UserError
from preprocessing.preparation import parts, prepare


def beam_runner(options: str, time_limit: float, progress=lambda pairs: None) -> prepare.Runner:
    """Runs a preparation as a Beam pipeline.

    Args:
        options: Beam's own, as on a command line, such as `--runner=FlinkRunner
            --flink_master=host:8081`; empty for Beam's direct runner.
        time_limit: seconds without a frame after which a video is given up.
        progress: called with the pairs of each video when the pipeline has ended.

    Raises:
        UserError: (when run) the pipeline failed, or its workers do not share the folder.
    """
    arguments = shlex.split(options)

    def run(made: parts.Plan, numbers: list[int]) -> Iterator[tuple[int, Any]]:
        # Workers may have another working directory.
        made = dataclasses.replace(made, folder=made.folder.absolute())
        for number in numbers:
            made.failure_path(number).unlink(missing_ok=True)
        if numbers:
            _run_pipeline(arguments, made, numbers, time_limit)
        for number in numbers:
            result = parts.load_part(made, number) or parts.load_failure(made, number)
            if result is None:
                raise UserError(
                    f"the Beam pipeline ended without {made.videos[number].id}: let its workers"
                    f" share {made.folder} under this path, and run the same command again"
                )
            if isinstance(result, parts.Part):
                progress(result.facts.num_frames - 1)
            yield number, result

    return run


def _run_pipeline(arguments, made, numbers, time_limit):
    try:
        with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
            _ = (
                pipeline
                | "Numbers" >> beam.Create(numbers)
                | "Spread" >> beam.Reshuffle()
                | "Convert" >> beam.Map(_convert, made, time_limit)
            )
    except Exception as error:  # each of Beam's runners raises its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1] if lines else type(error).__name__
        raise UserError(
            f"the Beam pipeline failed: {reason}. Run the same command again to go on"
        ) from error


def _convert(number: int, made: parts.Plan, time_limit: float):
    """Leaves the part or the failure of a video in the folder.

    A process of its own does it, as locally: what kills a decoder must not kill Beam's worker,
    which Beam would start again with the same video.
    """
    if parts.load_part(made, number):
        return  # Beam tried this bundle before
    for _, result in worker_pool.run(parts.make_part, [(made, number)], 1, time_limit):
        if isinstance(result, worker_pool.Failure):
            parts.write_failure(made, number, result)
