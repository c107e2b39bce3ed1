"""The files of an evaluation in the folder of a run: their names, written and read.

`results.json` has the figures. `predictions.csv` has a line for each video: id, true class,
predicted class, its probability and that of the true class, then the probability of each class in a
column `p:CLASS`. `confusion.png` is a picture of the confusion matrix, `reliability.png` one of
accuracy against confidence.
"""

import csv
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from preprocessing import files, records
from preprocessing.errors import UserError
from stfnet import run
from stfnet.drawing import plots
from stfnet.evaluation.clips_per_video import ONE_CLIP, Views

TIMING_FILE = "timing.json"  # how long a prediction takes

# Figures without which results.json was not written by this version.
_NEEDED = (
    "protocol",
    "fold",
    "split",
    "streams",
    "num_classes",
    "num_train",
    "num_test",
    "per_class",
    "top1",
    "top5",
    "mean_class_accuracy",
    "majority",
    "chance",
    "leak",
    "validated_on",
    "split_fingerprint",
)
_COLUMNS = ("video", "class", "predicted", "probability", "probability_of_class")


class Paths(NamedTuple):
    """Paths of the files of one evaluation."""

    results: Path
    predictions: Path
    confusion: Path
    reliability: Path


def paths_in(folder: Path, suffix: str = "") -> Paths:
    """The files of an evaluation in a folder.

    `suffix` is that of `suffix_of`; empty for one clip a video of the test part of the run's split.
    """
    folder = Path(folder)
    return Paths(
        results=folder / f"results{suffix}.json",
        predictions=folder / f"predictions{suffix}.csv",
        confusion=folder / f"confusion{suffix}.png",
        reliability=folder / f"reliability{suffix}.png",
    )


def folder_for(workdir: Path, output: Path | None = None) -> Path:
    """The folder for the results of a run, its own or another, made and checked to be one that can
    be written.

    Raises:
        UserError: it cannot be written, or holds another run.
    """
    folder = Path(output or workdir)
    if output and (folder / run.CONFIG_FILE).exists() and not folder.samefile(workdir):
        raise UserError(f"{folder} holds another run: name another folder for the results")
    try:
        if output:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileNotFoundError:
        pass  # no run, which the reader says
    except OSError as error:
        raise UserError(
            f"{folder} cannot be written ({error.strerror}): experiments.evaluate --output=DIR "
            "writes the results elsewhere"
        ) from error
    return folder


def suffix_of(results: Mapping) -> str:
    """The suffix of the files' names: empty for the paper's clips of the run's own test part."""
    own = results["split_fingerprint"]
    views = Views(**results.get("views", {})).suffix
    if results["split"] != "test":
        return f"-{results['split']}{views}"
    if (results["protocol"], results["fold"]) == (own["protocol"], own["fold"]):
        return views
    return f"-{results['protocol']}-{results['fold']}{views}"


def write(
    folder: Path,
    results: Mapping,
    probabilities: np.ndarray,
    positions: Sequence[int] | np.ndarray,
    record_set: records.RecordSet,
) -> Paths:
    """Writes the four files of what `evaluate` returns, with `suffix_of(results)` in each name."""
    paths = paths_in(folder, suffix_of(results))

    def rows() -> Iterator[tuple]:
        yield (*_COLUMNS, *(f"p:{name}" for name in record_set.classes))
        for position, row in zip(positions, probabilities, strict=True):
            video, best = record_set.videos[position], int(row.argmax())
            named = (video.id, video.class_name, record_set.classes[best])
            yield (*named, *(f"{value:.6f}" for value in (row[best], row[video.label], *row)))

    for path in paths:
        files.remove_partial(path.parent, path.name)
    files.write_csv(paths.predictions, rows(), end="\r\n")
    files.write_json(paths.results, results)
    for path in (paths.confusion, paths.reliability):
        path.unlink(missing_ok=True)  # of an earlier evaluation, should this drawing fail
    with plots.never_fatal(paths.confusion):
        plots.draw_confusion(results["confusion"], record_set.classes, paths.confusion)
    calibration = results["calibration"]
    with plots.never_fatal(paths.reliability):
        error = calibration["expected_calibration_error"]
        plots.draw_reliability(calibration["bins"], error, paths.reliability)
    return paths


def read_results(workdir: Path, views: Views = ONE_CLIP) -> dict:
    """Reads the results of a run on the test part of its own split.

    Raises:
        UserError: there are none, they are damaged or incomplete, or they are of another run or
            of an earlier network of this one.
    """
    path = paths_in(workdir, views.suffix).results
    way = f"run experiments.evaluate --workdir={workdir}{views.flags} first"
    results = read_figures(path, sorted(_NEEDED), f": {way}")
    network = results.get("network_sha256")
    if network and network != run.network_sha256(workdir):
        raise UserError(
            f"{path} is of an earlier network than {Path(workdir) / run.BEST_FILE}: evaluate the "
            f"run again with experiments.evaluate --workdir={workdir}"
        )
    if results["split_fingerprint"].get("parts_sha256") != run.read_videos(workdir).sha256:
        raise UserError(
            f"{path} is of another run than {Path(workdir) / run.VIDEOS_FILE}: evaluate this one "
            f"with experiments.evaluate --workdir={workdir}"
        )
    return results


def read_figures(path: Path, needed: Iterable[str], missing: str) -> dict[str, Any]:
    """Reads a JSON file of an evaluation; `missing` ends the message where there is none.

    Raises:
        UserError: it is missing or damaged, or lacks one of the needed figures.
    """
    again = f"evaluate the run again with experiments.evaluate --workdir={path.parent}"
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing{missing}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} does not read ({error}): {again}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} lacks every figure: {again}")
    if lacking := [name for name in needed if name not in values]:
        raise UserError(f"{path} lacks {', '.join(lacking)}: {again}")
    return values


def read_predictions(workdir: Path, views: Views = ONE_CLIP) -> list[dict[str, str]]:
    """Reads the rows of predictions.csv of a run; none where the file is missing."""
    path = paths_in(workdir, views.suffix).predictions
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
