"""One HTML page about a run: what was trained, how well it does, and on which clips it errs."""

import base64
import csv
import dataclasses
import json
from pathlib import Path

import cv2
import jinja2
import keras
import tensorflow as tf

from preprocessing import files
from preprocessing.errors import UserError
from stfnet import input_pipeline, plans, run
from stfnet.config import RunConfig, to_dict
from stfnet.inference.annotation import draw_clip

REPORT_FILE = "report.html"
RESULTS = (  # of results.json, what the page shows
    *("protocol", "fold", "split", "streams", "num_classes", "num_train", "num_test", "per_class"),
    *("top1", "top5", "mean_class_accuracy", "majority", "chance", "leak", "validated_on"),
)
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


def _read_results(workdir):
    path = workdir / "results.json"
    try:
        results = json.loads(path.read_text())
        evaluated = results["certificate"]["parts_sha256"]
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing: run experiments.evaluate --workdir={workdir} first"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} does not read ({type(error).__name__}: {error}): evaluate the run again with "
            f"experiments.evaluate --workdir={workdir}"
        ) from error
    if missing := set(RESULTS) - set(results):
        raise UserError(
            f"{path} lacks {', '.join(sorted(missing))}: evaluate the run again with "
            f"experiments.evaluate --workdir={workdir}"
        )
    network = results.get("network_sha256")
    if network and network != run.network_sha256(workdir):
        raise UserError(
            f"{path} is of an earlier network than {workdir / run.BEST_FILE}: evaluate the run "
            f"again with experiments.evaluate --workdir={workdir}"
        )
    if evaluated != run.read_videos(workdir).sha256:
        raise UserError(
            f"{path} is of another run than {workdir / run.VIDEOS_FILE}: evaluate this one with "
            f"experiments.evaluate --workdir={workdir}"
        )
    return results


def _read_ablation(path):
    """Top-1 of each choice of streams, from a JSON file with the key `ablation`."""
    try:
        found = json.loads(Path(path).read_text())["ablation"]
        return {str(streams): float(top1) for streams, top1 in found.items()}
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: leave --ablation out or name its file") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no JSON file with an `ablation` of top-1 figures") from error


def choose_examples(rows, count):
    """Picks the most confident mistakes, and as many sure successes of different classes.

    Args:
        rows: dictionaries of predictions.csv.
        count: of each kind, at most.

    Returns:
        (wrong, right): two lists of rows.
    """
    ranked = sorted(rows, key=lambda row: -float(row["probability"]))
    wrong = [row for row in ranked if row["class"] != row["predicted"]]
    right = {}
    for row in ranked:
        if row["class"] == row["predicted"]:
            right.setdefault(row["class"], row)
    return wrong[:count], list(right.values())[:count]


def _data_url(path_or_image):
    """A PNG file, or an RGB image as JPEG, as text that stands in for its address."""
    if isinstance(path_or_image, Path):
        kind, content = "png", path_or_image.read_bytes()
    else:
        bgr = cv2.cvtColor(path_or_image, cv2.COLOR_RGB2BGR)
        kind = "jpeg"
        content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _read_examples(workdir, record_set, config, count):
    path = workdir / "predictions.csv"
    if not path.is_file():
        return [], []
    with open(path, newline="", encoding="utf-8") as file:
        try:
            chosen = choose_examples(list(csv.DictReader(file)), count)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"{path} has a row that is no prediction ({error}): evaluate again"
            ) from error
    pictures = {}
    if record_set is not None:
        plans.check_records(record_set, config)
        wanted = {row["video"] for rows in chosen for row in rows}
        positions = [k for k, video in enumerate(record_set.videos) if video.id in wanted]
        clip = config.model.clip
        plan = plans.plan_evaluation(record_set, positions, clip, 1)
        clips = input_pipeline.clip_dataset(record_set, plan, clip, 1).as_numpy_iterator()
        for position, batch in zip(positions, clips, strict=True):
            picture = draw_clip(batch["rgb"][0], batch["fields"][0], clip)
            pictures[record_set.videos[position].id] = _data_url(picture)
    return tuple(
        [
            Example(
                name=row["video"],
                truth=row["class"],
                predicted=row["predicted"],
                probability=float(row["probability"]),
                picture=pictures.get(row["video"], ""),
            )
            for row in rows
        ]
        for rows in chosen
    )


def _settings(config: RunConfig, paper):
    """Settings other than the paper's: rows of (name, value, the paper's)."""
    rows = []

    def compare(name, value, default):
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
    workdir, folder, record_set=None, ablation=None, published=None, paper=None, count=4
):
    """Writes `report.html`, a page that needs no other file.

    Args:
        workdir: folder of an evaluated run.
        folder: to write the page to.
        record_set: of the records, for pictures of example clips; None for none.
        ablation: JSON file whose key `ablation` maps streams to top-1; None for none.
        published: method -> recognition rate in percent, to stand beside the run's.
        paper: the paper's settings, nested dictionaries `model` and `training`, to compare with;
            None for no comparison.
        count: examples of each kind.

    Returns:
        Path of the page.

    Raises:
        UserError: the run was not evaluated, or the records are not its own.
    """
    workdir, folder = Path(workdir), Path(folder)
    config = run.read_config(workdir)
    results = _read_results(workdir)
    wrong, right = _read_examples(workdir, record_set, config, count)
    pictures = {
        name: _data_url(workdir / f"{name}.png")
        for name in ("curves", "confusion")
        if (workdir / f"{name}.png").is_file()
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
