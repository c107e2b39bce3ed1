"""Choosing the streams of a run by cross-validation over its training videos."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet import run
from stfnet.config import STREAMS, RunConfig, from_dict, to_dict
from stfnet.training.schedule import Progress

FOLDS = 3
FOLDER, RESULTS_FILE = "cross_validation", "streams.json"


def check(workers: int) -> None:
    """Checks that streams can be chosen.

    Raises:
        UserError: several workers train together.
    """
    if workers > 1:
        raise UserError(
            f"model.streams=auto works in one process, and there are {workers} workers: choose the "
            "streams in one process first, and give them here"
        )


def choose_streams(
    config: RunConfig,
    record_set: RecordSet,
    workdir: Path,
    train: Callable[..., Progress],
    report: Callable[[str], None] = print,
) -> RunConfig:
    """Trains a run of each choice of streams on each fold, and takes the most accurate choice.

    The folds divide the training videos by whole groups; the test videos have no say. The figures
    are kept in `WORKDIR/cross_validation/streams.json` after each run, so the same call resumes.

    Args:
        config: of the run, with any streams.
        record_set: of the records.
        workdir: folder of the run.
        train: `loop.train` with everything but its `config` and `workdir`.
        report: is given a line for each choice and one for the outcome.

    Returns:
        The configuration with the chosen streams; at equal accuracy `both`, as in the paper.

    Raises:
        UserError: the folds cannot be made, or the figures are of another configuration.
        Preempted: as `train`.
    """
    folder = Path(workdir) / FOLDER
    results = _read(folder / RESULTS_FILE, record_set, config)
    for streams in STREAMS:
        for fold in range(1, FOLDS + 1):
            name = f"{streams}-{fold}"
            if name not in results["runs"]:
                results["runs"][name] = _run(config, streams, fold, folder / name, train)
                files.write_json(folder / RESULTS_FILE, results)
            shutil.rmtree(folder / name, ignore_errors=True)
        correct, count = _sums(results, streams)
        report(
            f"streams={streams}: {correct} of {count} training videos right in {FOLDS}-fold "
            f"cross-validation ({correct / count:.3f})"
        )
    # max takes the first of equals: `both`.
    chosen = max(STREAMS, key=lambda streams: _sums(results, streams)[0])
    report(f"chosen: model.streams={chosen}")
    return _with_streams(config, chosen)


def _run(config, streams, fold, folder, train):
    """Number of right validation videos of one run, and of all."""
    training = dataclasses.replace(
        config.training,
        validation_fold=f"{fold}/{FOLDS}",
        keep="last",
        validation_clips=1,
        train_on_validation=False,
    )
    one = dataclasses.replace(_with_streams(config, streams), training=training)
    keras.backend.clear_session()  # of the run before
    accuracy = train(one, workdir=folder).history[-1]["val_accuracy"]
    count = len(run.read_videos(folder).val)
    return {"correct": round(accuracy * count), "count": count}


def _with_streams(config: RunConfig, streams: str) -> RunConfig:
    model = config.model
    if streams != "both":
        model = dataclasses.replace(model, stream_dropout=0.0)
    return dataclasses.replace(config, model=dataclasses.replace(model, streams=streams))


def _sums(results, streams):
    runs = [results["runs"][f"{streams}-{fold}"] for fold in range(1, FOLDS + 1)]
    return sum(one["correct"] for one in runs), sum(one["count"] for one in runs)


def _read(path: Path, record_set: RecordSet, config: RunConfig):
    """What an earlier call measured, or nothing yet."""
    config = _with_streams(config, "both")
    if not path.is_file():
        of = {"records_sha256": record_set.sha256, "config": to_dict(config)}
        results: dict[str, Any] = {"of": of, "runs": {}}
        path.parent.mkdir(parents=True, exist_ok=True)
        files.remove_partial(path.parent)
        if any(path.parent.iterdir()):
            raise UserError(
                f"{path.parent} holds no {path.name}, so it is not of a choice of streams, which "
                "would delete what it makes there: move it away, or name another --workdir"
            )
        files.write_json(path, results)  # from now on its folders are this choice's
        return results
    try:
        results = json.loads(path.read_text())
        there = from_dict(RunConfig, results["of"]["config"])
        same = results["of"]["records_sha256"] == record_set.sha256
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({type(error).__name__}: {error}): delete {path.parent}, and "
            "the streams are chosen again"
        ) from error
    chosen, epochs = len(results["runs"]) == len(STREAMS) * FOLDS, there.training.max_epochs
    if chosen and len(epochs) == len(config.training.max_epochs):
        # Other epochs are for the run itself, which says whether it can have them.
        training = dataclasses.replace(config.training, max_epochs=epochs)
        config = dataclasses.replace(config, training=training)
    if not same or run.differences(there, config):
        raise UserError(
            f"{path} has the figures of another configuration or of other records: name another "
            f"--workdir, or delete {path.parent}, and the streams are chosen again"
        )
    return results
