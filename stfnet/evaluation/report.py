"""One HTML page about a run: what was trained, how accurate it is, and which clips it mistakes."""

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import jinja2
import keras
import numpy as np
import tensorflow as tf

from preprocessing import files, records
from preprocessing.errors import UserError
from stfnet import input_pipeline, plans, run
from stfnet.config import RunConfig, to_dict
from stfnet.evaluation import result_files
from stfnet.inference.annotation import draw_clip

REPORT_FILE = "report.html"
PROTOCOLS = {
    "official": "the official split of the data set",
    "group": "7:3 by whole groups, so that no test clip shares its source with a training clip",
    "paper": "the paper's random 7:3 split over clips, which puts clips of one source on both "
    "sides: figures on it say little about new videos",
}


@dataclasses.dataclass(frozen=True)
class Example:
    """A test clip as the report shows it.

    Attributes:
        name, truth, predicted: the video and its classes.
        probability: of the predicted class.
        picture: data URL of its frames above their flow; empty without records.
    """

    name: str
    truth: str
    predicted: str
    probability: float
    picture: str


def _read_ablation(path: Path) -> dict[str, float]:
    """Top-1 of each choice of streams, from a JSON file with the key `ablation`."""
    try:
        ablation = json.loads(Path(path).read_text())["ablation"]
        return {str(streams): float(top1) for streams, top1 in ablation.items()}
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: leave --ablation out or name its file") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no JSON file with an `ablation` of top-1 figures") from error


def choose_examples(
    rows: Sequence[dict[str, str]], count: int
) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Picks the most confident mistakes, and the most confident successes of different classes.

    Args:
        rows: of predictions.csv.
        count: of each kind, at most.

    Returns:
        (wrong, right): rows, the most confident first.
    """
    ranked = sorted(rows, key=lambda row: -float(row["probability"]))
    wrong = [row for row in ranked if row["class"] != row["predicted"]]
    right: dict[str, dict[str, str]] = {}
    for row in ranked:
        if row["class"] == row["predicted"]:
            right.setdefault(row["class"], row)
    return wrong[:count], list(right.values())[:count]


def _data_url(path_or_image: Path | np.ndarray) -> str:
    """A PNG file, or an RGB image as JPEG, as the address of an `img` element."""
    if isinstance(path_or_image, Path):
        kind, content = "png", path_or_image.read_bytes()
    else:
        bgr = cv2.cvtColor(path_or_image, cv2.COLOR_RGB2BGR)
        kind = "jpeg"
        content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _read_examples(
    workdir: Path, record_set: records.RecordSet | None, config: RunConfig, count: int
) -> tuple[list[Example], list[Example]]:
    """(wrong, right), as `choose_examples`."""
    try:
        wrong, right = choose_examples(result_files.read_predictions(workdir), count)
    except (KeyError, ValueError) as error:
        path = result_files.paths_in(workdir).predictions
        raise UserError(
            f"{path} has a row that is no prediction ({error}): evaluate again"
        ) from error
    pictures = {}
    wanted = {row["video"] for row in (*wrong, *right)}
    if record_set is not None and wanted:
        plans.check_records(record_set, config)
        positions = np.flatnonzero([video.id in wanted for video in record_set.videos])
        clip = config.model.clip
        plan = plans.plan_evaluation(record_set, positions, clip, 1)
        clips = input_pipeline.clip_dataset(record_set, plan, clip, 1).as_numpy_iterator()
        for position, batch in zip(positions, clips, strict=True):
            picture = draw_clip(batch["rgb"][0], batch["fields"][0], clip)
            pictures[record_set.videos[position].id] = _data_url(picture)

    def examples(rows: list[dict[str, str]]) -> list[Example]:
        return [
            Example(
                name=row["video"],
                truth=row["class"],
                predicted=row["predicted"],
                probability=float(row["probability"]),
                picture=pictures.get(row["video"], ""),
            )
            for row in rows
        ]

    return examples(wrong), examples(right)


def _settings(config: RunConfig, paper: Mapping[str, Mapping]) -> list[tuple[str, Any, Any]]:
    """Settings other than the paper's: rows of (name, value, the paper's)."""
    rows = []

    def compare(name: str, value: Any, default: Any) -> None:
        if isinstance(value, dict):
            for key in value:
                compare(f"{name}.{key}", value[key], default[key])
        elif value != default:
            rows.append((name, value, default))

    for part in ("model", "training"):
        ours = to_dict(getattr(config, part))
        compare(part, ours, {**ours, **paper[part]})
    return rows


def write_report(
    workdir: Path,
    folder: Path,
    record_set: records.RecordSet | None = None,
    ablation: Path | None = None,
    published: Mapping[str, float] | None = None,
    paper: Mapping[str, Mapping] | None = None,
    count: int = 4,
) -> Path:
    """Writes `report.html`, a page that needs no other file.

    Args:
        workdir: folder of an evaluated run.
        folder: for the page.
        record_set: of the records, for pictures of example clips; None for none.
        ablation: JSON file whose key `ablation` maps streams to top-1; None for none.
        published: method -> recognition rate in percent, shown beside the run's.
        paper: the paper's settings, nested dictionaries `model` and `training`, to compare with;
            None for no comparison.
        count: examples of each kind.

    Returns:
        Path of the page.

    Raises:
        UserError: the run was not evaluated, or the records do not fit it.
    """
    workdir, folder = Path(workdir), Path(folder)
    config = run.read_config(workdir)
    results = result_files.read_results(workdir)
    wrong, right = _read_examples(workdir, record_set, config, count)
    confusion, curves = result_files.paths_in(workdir).confusion, workdir / run.CURVES_FILE
    pictures = {
        name: _data_url(path)
        for name, path in (("curves", curves), ("confusion", confusion))
        if path.is_file()
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        config=config,
        results=results,
        protocol=PROTOCOLS[results["protocol"]],
        per_class=sorted(results["per_class"].items(), key=lambda row: row[1]),
        ablation=_read_ablation(ablation) if ablation else None,
        published=sorted((published or {}).items(), key=lambda row: row[1]),
        pictures=pictures,
        wrong=wrong,
        right=right,
        settings=_settings(config, paper) if paper else None,
        configuration=json.dumps(to_dict(config), indent=1),
        workdir=workdir,
        records=record_set.folder if record_set else "RECORDS",
        versions={"TensorFlow": tf.__version__, "Keras": keras.__version__},
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_FILE
    files.write_text(path, page)
    return path
