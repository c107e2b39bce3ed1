"""Which tested clips a report shows, and their films inside the page, within a bound."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import keras

from preprocessing import records
from preprocessing.errors import UserError
from stfnet import run
from stfnet.evaluation import result_files
from stfnet.report import report_clips
from stfnet.report.report_clips import Example
from stfnet.run.config import RunConfig

MOST_RIGHT = 4  # recognised clips that are shown
MOST_FILM_BYTES = 16_000_000  # of a page: mail takes it, and a browser opens it at once


def choose_examples(
    rows: Sequence[dict[str, str]], count: int
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Picks the most wrong mistakes, and the most confident successes of different classes.

    Args:
        rows: of predictions.csv.
        count: of both together, at most; mistakes come first, and MOST_RIGHT is kept too.

    Returns:
        (wrong, right): rows; the true class is least probable, or the answer surest, in the first.
    """
    wrong = [row for row in rows if row["class"] != row["predicted"]]
    wrong.sort(key=lambda row: float(row["probability_of_class"]))
    right: dict[str, dict[str, str]] = {}
    for row in sorted(rows, key=lambda row: -float(row["probability"])):
        if row["class"] == row["predicted"]:
            right.setdefault(row["class"], row)
    wrong = wrong[:count]
    return wrong, list(right.values())[: min(MOST_RIGHT, count - len(wrong))]


def read_examples(workdir: Path, count: int) -> tuple[list[Example], list[Example]]:
    """The examples of an evaluated run, without films.

    Args:
        workdir: folder of the run.
        count: of examples, at most.

    Returns:
        (wrong, right), as `choose_examples`; both empty where there are no predictions.

    Raises:
        UserError: a row of predictions.csv is none.
    """

    def example(row: dict[str, str]) -> Example:
        return Example(
            name=row["video"],
            truth=row["class"],
            predicted=row["predicted"],
            probability=float(row["probability"]),
            probability_of_class=float(row["probability_of_class"]),
        )

    try:
        wrong, right = choose_examples(result_files.read_predictions(workdir), count)
        return list(map(example, wrong)), list(map(example, right))
    except (KeyError, ValueError, TypeError) as error:
        path = result_files.paths_in(workdir).predictions
        raise UserError(
            f"{path} has a row that is no prediction ({error}): evaluate again"
        ) from error


def with_films(
    examples: Sequence[Example],
    workdir: Path,
    record_set: records.RecordSet,
    config: RunConfig,
    network: keras.Model | None,
) -> list[Example]:
    """The examples with their films, as long as these stay below MOST_FILM_BYTES.

    Args:
        examples: of the run.
        workdir: folder of the run.
        record_set: of the records; a video whose file is another one now gets no film, since the
            answer was not to that.
        config: of the run.
        network: see `report_clips.films`.

    Raises:
        UserError: as `report_clips.films`.
    """
    located = run.locate(run.read_videos(workdir), record_set)
    there = {record_set.videos[k].id for k in located.test} - set(located.changed)
    known = [one for one in examples if one.name in there]
    shown, total = {}, 0
    for one in report_clips.films(record_set, config, known, network):
        total += len(one.film) + len(one.poster)
        if total > MOST_FILM_BYTES:
            break
        shown[one.name] = one
    too_large = "the page would be too large"
    absent = "the records do not have the video that was tested"
    return [
        shown.get(one.name)
        or dataclasses.replace(one, missing=too_large if one.name in there else absent)
        for one in examples
    ]
