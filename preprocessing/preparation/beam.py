"""The Apache Beam runner: the same conversion on a cluster (Dataflow, Flink, Spark) or here.

The record set's folder and the videos lie where every worker sees them under one path: a shared
file system such as NFS, Lustre, Filestore or a mounted bucket. Each worker makes whole shards in
it, as the local runner does, so either runner resumes what the other left unfinished, and the final
bytes are the same.
"""

import base64
import difflib
import functools
import pickle
import shlex
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from preprocessing import files, worker_pool
from preprocessing.errors import UserError
from preprocessing.preparation import local, prepare, stock, tasks
from preprocessing.preparation.preparation import QUEUE_FILE, Preparation, Shard


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

    def run(preparation: Preparation, shards: Iterable[Shard]) -> Iterator[prepare.Result]:
        folder = preparation.folder.absolute()  # workers may have another working directory
        parts = preparation.parts.absolute()
        before = stock.times(preparation.parts)
        lacking = []
        with files.writing(parts / QUEUE_FILE) as file:
            for shard in shards:
                task = pickle.dumps((shard, preparation.settings, folder))
                file.write(base64.b64encode(task) + b"\n")
                lacking += shard.lacking()
        _run_pipeline(arguments, str(parts / QUEUE_FILE), time_limit)
        made, failed = stock.of_parts(preparation.parts, but=before)
        for video in lacking:
            if kept := made.get(video.id):
                _, fields = preparation.settings.stored(kept.facts.num_frames)
                progress(len(fields))
                yield video, kept
            elif row := failed.get(video.id):
                yield video, worker_pool.Failure(row["outcome"], row["reason"])
            else:
                raise UserError(
                    f"the Beam pipeline ended without {video.id}: let its workers share {folder}"
                    " under this path, and run the same command again"
                )

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


def _run_pipeline(arguments: list[str], shards_file: str, time_limit: float):
    try:
        with beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
            _ = (
                pipeline
                # A file, since the graph of a pipeline has no room for the videos of a large set.
                | "Shards" >> beam.io.ReadFromText(shards_file)
                | "Spread" >> beam.Reshuffle()
                | "Make" >> beam.ParDo(_Make(time_limit))
            )
    except Exception as error:  # each of Beam's runners raises its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[-1] if lines else type(error).__name__
        raise UserError(
            f"the Beam pipeline failed: {reason}. Run the same command again to continue"
        ) from error


class _Make(beam.DoFn):
    """Makes shards in the folder of parts, with a process of its own that lives as long.

    What kills a decoder must not kill Beam's worker, which Beam would start again with the same
    videos.
    """

    def __init__(self, time_limit: float):
        self._time_limit = time_limit

    def setup(self):
        self._pool = worker_pool.Pool(1, self._time_limit)

    def process(self, line: str):
        shard, settings, folder = pickle.loads(base64.b64decode(line))
        run = functools.partial(self._pool.run, tasks.perform)
        for _ in local.make([shard], settings, folder, run, 1):
            pass

    def teardown(self):
        self._pool.__exit__()
