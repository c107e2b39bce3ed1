"""One HTML page about a run: what was trained, how accurate it is, and which clips it mistakes."""

import base64
import hashlib
import json
import platform
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import jinja2
import keras
import markupsafe
import numpy as np
import tensorflow as tf

from preprocessing import files, records
from preprocessing.errors import UserError
from stfnet import run
from stfnet.config import flat, to_dict
from stfnet.drawing.annotation import data_url
from stfnet.evaluation import printing, result_files, significance
from stfnet.explanation import attribution
from stfnet.inference import prediction
from stfnet.report.report_examples import FPS, MOST_FILM_BYTES, read_examples, with_films
from stfnet.run.config import RunConfig

REPORT_FILE = "report.html"
HERE = Path(__file__).parent  # of the template, style and script
PROTOCOLS = {
    "official": "the official split of the data set",
    "group": "7:3 by whole groups, so that no test clip shares its source with a training clip",
    "paper": "the paper's random 7:3 split over clips, which puts clips of one source on both "
    "sides: figures on it say little about new videos",
}
# Figures that evaluations of earlier versions did not write.
_NEEDED = ("intervals", "bootstrap", "calibration", "classes", "macro_f1", "most_wrong")


def _read_ablation(path: Path) -> dict[str, float]:
    try:
        ablation = json.loads(Path(path).read_text())["ablation"]
        return {str(streams): float(top1) for streams, top1 in ablation.items()}
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: leave --ablation out or name its file") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no JSON file with an `ablation` of top-1 figures") from error


def settings_beside(config: RunConfig, paper: Mapping[str, Mapping]) -> list[tuple[str, Any, Any]]:
    """Every setting of a run beside the paper's: rows of (name, value, the paper's).

    Settings that the paper's, nested dictionaries `model` and `training`, lack count as the run's.
    """
    ours = {"model": to_dict(config.model), "training": to_dict(config.training)}
    published = flat(paper)
    return [(name, value, published.get(name, value)) for name, value in flat(ours).items()]


def _commands(workdir: Path, record_set: records.RecordSet | None) -> list[str]:
    given = shlex.quote(str(record_set.folder)) if record_set else "RECORDS"
    settings = shlex.quote(str(workdir / run.CONFIG_FILE))
    return [
        f"python -m experiments.prepare --verify={given}",
        f"python -m experiments.train --config={settings} --records={given} --workdir=NEW",
        f"python -m experiments.evaluate --workdir=NEW --records={given}",
        f"python -m experiments.report --workdir=NEW --records={given} --output=DIR",
    ]


def _versions(record_set: records.RecordSet | None) -> list[tuple[str, str]]:
    versions = {
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "NumPy": np.__version__,
        "OpenCV": cv2.__version__,
    }
    rows = [("this page", ", ".join(f"{name} {version}" for name, version in versions.items()))]
    if record_set:
        made = ", ".join(f"{name} {version}" for name, version in record_set.versions.items())
        flow = ", ".join(f"{name} {value}" for name, value in record_set.flow.items())
        rows += [("the records", made), ("their flow", flow)]
    return rows


def _pictures(workdir: Path) -> dict[str, str]:
    """Those that a run and its evaluation drew, as data URLs."""
    paths = result_files.paths_in(workdir)
    drawn = {
        "curves": workdir / run.CURVES_FILE,
        "confusion": paths.confusion,
        "reliability": paths.reliability,
    }
    return {
        name: data_url("image/png", path.read_bytes())
        for name, path in drawn.items()
        if path.is_file()
    }


def _template() -> jinja2.Template:
    """Of the page; every text that it is given is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.jinja")


def write_report(
    workdir: Path,
    folder: Path,
    record_set: records.RecordSet | None = None,
    ablation: Path | None = None,
    published: Mapping[str, float] | None = None,
    paper: Mapping[str, Mapping] | None = None,
    clips: int = 8,
    grad_cam: bool = False,
) -> Path:
    """Writes `report.html`, a page that needs no other file, and returns its path.

    Args:
        workdir: folder of an evaluated run.
        folder: for the page.
        record_set: of the records, for films of example clips; None for none.
        ablation: JSON file whose key `ablation` maps streams to top-1; None for none.
        published: method -> recognition rate in percent, shown beside the run's.
        paper: the paper's settings, nested dictionaries `model` and `training`, to compare with;
            None for no comparison.
        clips: examples, at most: the most wrong ones first.
        grad_cam: whether the films, of MOST_FILM_BYTES at most, show Grad-CAM of the answer, for
            which the network is loaded; the page says where a network has no maps for it.

    Raises:
        UserError: the run was not evaluated, or the records do not fit it.
    """
    workdir, folder = Path(workdir), Path(folder)
    config = run.read_config(workdir)
    results = result_files.read_results(workdir)
    if missing := [name for name in _NEEDED if name not in results]:
        raise UserError(
            f"{result_files.paths_in(workdir).results} lacks {', '.join(missing)}, which earlier "
            f"versions did not write: evaluate the run again with experiments.evaluate "
            f"--workdir={workdir}"
        )
    wrong, right = read_examples(workdir, clips)
    without_maps = False
    if record_set is not None and (wrong or right):
        network = prediction.load_run(workdir)[0] if grad_cam else None
        if network is not None and not attribution.has_maps(network):
            network, without_maps = None, True
        examples = with_films([*wrong, *right], workdir, record_set, config, network)
        wrong, right = examples[: len(wrong)], examples[len(wrong) :]
    script = (HERE / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    filmed = [one for one in (*wrong, *right) if one.film]
    page = _template().render(
        config=config,
        results=results,
        protocol=PROTOCOLS[results["protocol"]],
        leak=printing.leak(results),
        few=significance.FEW,
        classes=sorted(results["classes"].items(), key=lambda row: row[1]["recall"]),
        ablation=_read_ablation(ablation) if ablation else None,
        published=sorted((published or {}).items(), key=lambda row: row[1]),
        pictures=_pictures(workdir),
        wrong=wrong,
        right=right,
        grad_cam=grad_cam and not without_maps,
        without_maps=without_maps,
        fps=FPS,
        film_count=len(filmed),
        film_bytes=sum(len(one.film) + len(one.poster) for one in filmed),
        most_film_bytes=MOST_FILM_BYTES,
        settings=settings_beside(config, paper) if paper else None,
        configuration=json.dumps(to_dict(config), indent=1),
        commands=_commands(workdir, record_set),
        versions=_versions(record_set),
        style=markupsafe.Markup((HERE / "report.css").read_text(encoding="utf-8")),
        script=markupsafe.Markup(script),
        script_digest=f"sha256-{digest}",
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_FILE
    files.write_text(path, page)
    return path
