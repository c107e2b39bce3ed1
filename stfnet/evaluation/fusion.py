"""Late fusion: the weighted mean of the probabilities that several runs gave the same videos.

Simonyan & Zisserman 2014 fuse their two streams in this way. Only the files of the runs'
evaluations are read, so the networks may be of any kind.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing import records
from preprocessing.errors import UserError
from stfnet import run
from stfnet.evaluation import linear_model, result_files
from stfnet.evaluation.breakdown import breakdown
from stfnet.evaluation.clips_per_video import ONE_CLIP, Views

_PREFIX = "p:"  # of the columns with probabilities


@dataclasses.dataclass(frozen=True)
class Source:
    """A run to fuse: its folder, and the weight of its probabilities relative to the others'."""

    folder: Path
    weight: float = 1.0  # above 0


@dataclasses.dataclass(frozen=True)
class _Predictions:
    """What a run predicted: ids of the N videos, names of their classes, float64 (N, C)."""

    videos: list[str]
    truth: list[str]
    classes: list[str]
    probabilities: np.ndarray


def parse_sources(names: Sequence[str]) -> list[Source]:
    """Reads runs with their weights, such as `RUN` or `RUN:1.5`.

    Raises:
        UserError: there are fewer than two, or a weight is not above 0.
    """
    if len(names) < 2:
        raise UserError(
            f"--fuse={','.join(names)} names one run, and two are needed: --fuse=RUN1,RUN2:1.5"
        )
    return [_source(name) for name in names]


def _source(name: str) -> Source:
    folder, colon, weight = name.rpartition(":")
    try:
        value = float(weight)
    except ValueError:
        return Source(Path(name))  # a path may have a colon in it
    if not (colon and folder) or Path(name).is_dir():
        return Source(Path(name))
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"--fuse has the weight {weight} for {folder}: a number above 0 is needed")
    return Source(Path(folder), value)


def fuse(
    sources: Sequence[Source],
    record_set: records.RecordSet,
    folder: Path,
    views: Views = ONE_CLIP,
) -> tuple[dict[str, Any], result_files.Paths]:
    """Fuses the predictions of runs and writes the results as those of an evaluation.

    Each of the runs was evaluated, with these views, on the test part of its own split; the records
    tell the classes and groups of the videos. The folder for the results is made where it is
    missing. Returns the results, as of `evaluate_run` with the runs in `fused`, and the paths of
    the files.

    Raises:
        UserError: a run was not evaluated, the runs' videos or classes differ from each other's or
            from the records, or the folder holds a run.
    """
    folder = Path(folder)
    if (folder / run.CONFIG_FILE).exists():
        raise UserError(
            f"{folder} holds a run, whose results the fused ones would replace: name another "
            "folder with --workdir"
        )
    evaluated = [result_files.read_results(source.folder, views) for source in sources]
    predictions = [_read(source.folder, views) for source in sources]
    for source, one in zip(sources[1:], predictions[1:], strict=True):
        _check_same(sources[0].folder, predictions[0], source.folder, one)
    positions = _positions(predictions[0], record_set, sources[0].folder)
    probabilities = _mean(predictions, [source.weight for source in sources])
    labels = np.array([record_set.videos[k].label for k in positions])
    tested = [record_set.videos[k] for k in positions]
    first = evaluated[0]
    kept = ("protocol", "fold", "split", "chance", "majority", "num_test", "num_train")
    results = {
        "dataset": record_set.title_of(first["dataset"]),
        **{name: first[name] for name in (*kept, "num_classes", "split_fingerprint", "views")},
        "streams": "+".join(one["streams"] for one in evaluated),
        "validated_on": "; ".join(dict.fromkeys(one["validated_on"] for one in evaluated)),
        "leak": max(one["leak"] for one in evaluated),
        "ungrouped": first.get("ungrouped", 0),
        "fused": [
            {
                "run": str(source.folder),
                "weight": source.weight,
                "streams": one["streams"],
                "top1": one["top1"],
                "network_sha256": one["network_sha256"],
            }
            for source, one in zip(sources, evaluated, strict=True)
        ],
        "finished": all(one["finished"] for one in evaluated),
        **breakdown(probabilities, labels, record_set.classes, tested),
    }
    if "linear_model" in first:  # on the same videos
        results["linear_model"] = linear_model.network_ahead(
            first["linear_model"], tested, probabilities.argmax(1) == labels
        )
    folder.mkdir(parents=True, exist_ok=True)
    return results, result_files.write(folder, results, probabilities, positions, record_set)


def _mean(predictions: Sequence[_Predictions], weights: Sequence[float]) -> np.ndarray:
    """float32 (N, C), in the first run's order of the videos."""
    total = np.zeros_like(predictions[0].probabilities)
    for one, weight in zip(predictions, weights, strict=True):
        row_of = {video: row for row, video in enumerate(one.videos)}
        total += weight * one.probabilities[[row_of[video] for video in predictions[0].videos]]
    return (total / sum(weights)).astype(np.float32)


def _read(folder: Path, views: Views) -> _Predictions:
    path = result_files.paths_in(folder, views.suffix).predictions
    again = f"evaluate the run again with experiments.evaluate --workdir={folder}{views.flags}"
    rows = result_files.read_predictions(folder, views)
    if not rows:
        raise UserError(f"{path} is missing or has no rows: {again}")
    columns = [name for name in rows[0] if name and name.startswith(_PREFIX)]
    try:
        probabilities = np.array([[float(row[name]) for name in columns] for row in rows])
        videos, truth = ([row[name] for row in rows] for name in ("video", "class"))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} has a row that is no prediction ({error}): {again}") from error
    if not columns or len(set(videos)) < len(videos) or not np.isfinite(probabilities).all():
        raise UserError(f"{path} does not have one row of probabilities a video: {again}")
    return _Predictions(
        videos, truth, [name.removeprefix(_PREFIX) for name in columns], probabilities
    )


def _check_same(folder: Path, one: _Predictions, other_folder: Path, other: _Predictions) -> None:
    both = f"{folder} and {other_folder} cannot be fused"
    if one.classes != other.classes:
        different = sorted(set(one.classes) ^ set(other.classes))
        what = f"such as {different[0]}" if different else "they are in another order"
        raise UserError(f"{both}: their classes differ ({what})")
    truth, other_truth = (dict(zip(p.videos, p.truth, strict=True)) for p in (one, other))
    if truth != other_truth:
        different = sorted({name for name, _ in truth.items() ^ other_truth.items()})
        raise UserError(
            f"{both}: they were tested on different videos, {len(truth)} and {len(other_truth)} "
            f"(such as {different[0]}, in one of them only or of two classes). Train both with the "
            "same protocol, fold and split_seed"
        )


def _positions(
    predictions: _Predictions, record_set: records.RecordSet, folder: Path
) -> np.ndarray:
    position_of = {video.id: k for k, video in enumerate(record_set.videos)}
    known = {video.id: video.class_name for video in record_set.videos}
    for video, name in zip(predictions.videos, predictions.truth, strict=True):
        if known.get(video) != name or list(record_set.classes) != predictions.classes:
            raise UserError(
                f"{record_set.folder} does not have {video} of class {name} among the classes of "
                f"the run: give with --records those that {folder} was evaluated on"
            )
    return np.array([position_of[video] for video in predictions.videos])
