"""Tables 1 and 2 of the paper beside our results, and its times beside ours."""

import collections
import csv
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.program import counted
from experiments.studies import paper
from preprocessing import files
from preprocessing.errors import UserError
from stfnet import complexity, run
from stfnet.drawing import plots
from stfnet.evaluation import printing, result_files, table_formats
from stfnet.evaluation.table_formats import MISSING, Table

OTHER, UNKNOWN = "†", "‡"  # marks of a figure's protocol
SAME_NETWORK = 0.02  # part by which multiply-adds differ with the number of classes alone
_TITLES = {
    "ucf101": ("table1_ucf101", "Table 1, UCF101"),
    "ucf11": ("table2_ucf11", "Table 2, UCF11"),
    "ucf_sports": ("table2_ucf_sports", "Table 2, UCF Sports"),
}
_WANTED = {"paper": "--config.protocol=paper", "official": "--folds=all"}  # and how it is trained
_PROTOCOLS = {
    "paper": "random 7:3 over clips",
    "official": "official splits",
    "group": "7:3 by groups",
}
_LEAKS = {
    "ucf101": ", which leaks: 98.9 % of the test clips have one of the same video in training",
    "ucf11": ", which leaks: clips of the same video are in both training and test",
}
_NEEDED = ("dataset", "protocol", "fold", "streams", "top1", "leak", "num_test")
_TIMED = ("with_flow_stored", "with_flow_computed", "device")
_COLUMNS = ("method", "top-1 (%)", "95 % interval", "protocol", "source")


@dataclasses.dataclass(frozen=True)
class Result:
    """An evaluated run."""

    folder: Path  # of the run, of several folds or of fused results
    figures: Mapping[str, Any]  # of its results.json
    timing: Mapping[str, Any] | None = None  # of its timing.json
    clips_per_second: float | None = None  # the median over the epochs of its training
    multiply_adds: int | None = None  # for one clip; None where it is not one network


@dataclasses.dataclass(frozen=True)
class Row:
    """A method in a table. `rate` in percent, None where it is missing."""

    method: str
    rate: float | None
    protocol: str
    source: str
    mark: str = ""
    interval: tuple[float, float] | None = None
    ours: bool = False

    @property
    def shown_rate(self) -> str:
        return MISSING if self.rate is None else f"{self.rate:.1f} {self.mark}".rstrip()

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts under `_COLUMNS`."""
        interval = "" if self.interval is None else "{:.1f} to {:.1f}".format(*self.interval)
        return self.method, self.shown_rate, interval, self.protocol, self.source


def read_result(folder: Path) -> Result:
    """Reads what was measured of a run; a UserError where it was not evaluated, or a file is
    damaged.
    """
    folder = Path(folder)
    multiply_adds = None
    if (folder / run.CONFIG_FILE).is_file():
        multiply_adds = complexity.forward_multiply_adds(run.read_config(folder).model)
        figures = result_files.read_results(folder)
    else:
        path = result_files.paths_in(folder).results
        where = "name in --results the folder of an evaluated run, or evaluate it first"
        figures = result_files.read_figures(
            path, _NEEDED, f", so {folder} holds no results: {where}"
        )
    timing = folder / result_files.TIMING_FILE
    return Result(
        folder,
        figures,
        result_files.read_figures(timing, _TIMED, "") if timing.is_file() else None,
        _clips_per_second(folder / run.HISTORY_FILE),
        multiply_adds,
    )


def _clips_per_second(path: Path) -> float | None:
    try:
        with path.open(newline="") as file:
            speeds = sorted(float(row["clips_per_second"]) for row in csv.DictReader(file))
    except FileNotFoundError:
        return None
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is no history of a training ({error}): restore it") from error
    return speeds[len(speeds) // 2] if speeds else None


def rows_of(data_set: str, results: Sequence[Result]) -> list[Row]:
    """The rows of a data set's table: the paper's figures, where it has some, then ours."""
    published = [
        Row(
            one.method,
            one.rate,
            "protocol not stated" if one.protocol == paper.UNKNOWN else _PROTOCOLS[one.protocol],
            one.citation,
            {"paper": "", paper.UNKNOWN: UNKNOWN}.get(one.protocol, OTHER),
        )
        for one in paper.PUBLISHED.get(data_set, ())
    ]
    ours = [one for one in results if one.figures["dataset"] == data_set]
    rows = published + [_own_row(one, marked=bool(published)) for one in ours]
    for protocol, flag in _WANTED.items():
        if published and protocol not in {one.figures["protocol"] for one in ours}:
            rows.append(_missing_row(data_set, protocol, flag))
    return rows


def _own_row(result: Result, marked: bool) -> Row:
    figures = result.figures
    method = ("STFNet" if _is_stfnet(figures) else figures["architecture"]) + " here, "
    method += (
        "late fusion of " + " and ".join(one["run"] for one in figures["fused"])
        if "fused" in figures
        else {"both": "both streams", "rgb": "frames alone", "flow": "flow alone"}.get(
            figures["streams"], figures["streams"]
        )
    )
    if not figures.get("finished", True):
        method += " (training not finished)"
    protocol = _PROTOCOLS.get(figures["protocol"], figures["protocol"])
    if figures["protocol"] == "official":
        protocol += f", {'mean of ' * ('folds' in figures)}{figures['fold']}"
    protocol += f" (leak {printing.leak(figures)}, {counted(figures['num_test'], 'test video')}"
    drawn = figures.get("bootstrap", {})
    if drawn.get("drawn") == "groups":
        protocol += f" of {counted(drawn['count'], 'group')}"
    if str(figures.get("validated_on", "")).startswith("the test part"):
        protocol += ", epoch chosen on them"
    interval = figures.get("intervals", {}).get("top1")
    return Row(
        method,
        100 * figures["top1"],
        protocol + ")",
        str(result.folder),
        OTHER if marked and figures["protocol"] != "paper" else "",
        (100 * interval[0], 100 * interval[1]) if interval else None,
        ours=True,
    )


def _is_stfnet(figures: Mapping[str, Any]) -> bool:
    """Whether a run is of the paper's network: results from before there were baselines are."""
    return figures.get("architecture", "stfnet") == "stfnet"


def _missing_row(data_set: str, protocol: str, flag: str) -> Row:
    runs = "--records=RECORDS --workdir=RUN"
    evaluation = [runs, "--folds=all"] if protocol == "official" else [runs]
    return Row(
        "STFNet here",
        None,
        _PROTOCOLS[protocol],
        "`python -m experiments.train --config=experiments/configs/paper.py:"
        f"{data_set} {flag} {runs}`, then `python -m experiments.evaluate {' '.join(evaluation)}`",
        ours=True,
    )


def accuracy_tables(results: Sequence[Result]) -> list[tuple[Table, list[Row]]]:
    """A table for each data set of the paper and each other one that was evaluated, with the rows
    that it was made of.
    """
    others = sorted({str(one.figures["dataset"]) for one in results} - set(_TITLES))
    made = []
    for data_set in (*_TITLES, *others):
        rows = rows_of(data_set, results)
        name, title = _TITLES.get(
            data_set, (f"other_{_file_name(data_set)}", f"{data_set} (not in the paper)")
        )
        leaks = _LEAKS.get(data_set, "")
        notes = (
            (
                f"The protocol of the table is the paper's, a random 7:3 split over clips{leaks}.",
                f"{OTHER} under another protocol than the table's; not comparable with it.",
                f"{UNKNOWN} repeated by the paper without a protocol.",
            )
            if data_set in _TITLES
            else ()
        )
        caption = f"{title}: recognition rate"
        made.append((Table(name, caption, _COLUMNS, [r.cells for r in rows], notes), rows))
    return made


def _file_name(data_set: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in data_set)[:80]


def time_table(results: Sequence[Result]) -> Table:
    """Prediction and training time of the paper and of each run, with what the claim would need."""
    published = paper.claim()
    rows = [
        {
            "run": paper.OWN,
            "G multiply-adds a clip": f"{published.multiply_adds / 1e9:.0f}",
            "prediction, flow made beforehand (s a video)": f"{paper.PREDICTION_SECONDS:.3f}",
            "with flow (s a video)": "not reported",
            "training (ms a clip)": f"{published.milliseconds:.0f} (claimed)",
            "device of the prediction": paper.GPU,
        }
    ]
    for one in results:
        if one.multiply_adds is None:
            continue
        command = (
            f"python -m experiments.evaluate --timing --workdir={one.folder} --records=RECORDS"
        )
        timing = one.timing or {}
        ratio = one.multiply_adds / published.multiply_adds
        same = _is_stfnet(one.figures) and abs(ratio - 1) < SAME_NETWORK
        mark = "" if same else f" {OTHER}"
        computed, speed = timing.get("with_flow_computed"), one.clips_per_second
        cells = (
            str(one.folder),
            f"{one.multiply_adds / 1e9:.3g}",
            f"{timing['with_flow_stored']:.3f}{mark}" if timing else f"{MISSING} (`{command}`)",
            MISSING if computed is None else f"{computed:.3f}{mark}",
            MISSING if not speed else f"{1000 / speed:.0f}{mark}",
            str(timing.get("device", MISSING)),
        )
        rows.append(dict(zip(rows[0], cells, strict=True)))
    notes = (f"{OTHER} of another network or clip than the paper's.", *published.lines)
    every = [tuple(row.values()) for row in rows]
    return Table("times", "Time of prediction and training", tuple(rows[0]), every, notes)


def tables_of(results: Sequence[Result]) -> list[Table]:
    """Every table, that of the times last."""
    return [*(table for table, _ in accuracy_tables(results)), time_table(results)]


def write(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Writes `comparison.md`, and a CSV, LaTeX and PNG file a table; of the times no PNG."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"comparison.md": "\n".join(map(table_formats.to_markdown, tables_of(results)))}
    for table in tables_of(results):
        contents[f"{table.name}.csv"] = table_formats.to_csv(table)
        contents[f"{table.name}.tex"] = table_formats.to_latex(table)
    for name, text in contents.items():
        files.write_text(folder / name, text)
    paths = [folder / name for name in contents]
    for table, rows in accuracy_tables(results):
        path = folder / f"{table.name}.png"
        path.unlink(missing_ok=True)  # of an earlier comparison, should this drawing fail
        with plots.never_fatal(path):
            plots.draw_rates(table.caption, bars(rows), path)
            paths.append(path)
    return paths


def bars(rows: Sequence[Row]) -> list[plots.Bar]:
    """The rows of a table as bars, each with its protocol under its name.

    Of runs that look alike (one method and protocol) the end of the folder's path stands there too.
    """
    shared = collections.Counter((row.method, row.protocol) for row in rows if row.ours)
    drawn = []
    for row in rows:
        source = "" if row.ours else f"{row.source}; "
        if shared[row.method, row.protocol] > 1:
            source = f"{'/'.join(Path(row.source).parts[-2:])}; "
        shown = f"{MISSING} not run" if row.rate is None else row.shown_rate
        label = f"{row.method}\n{source}{row.protocol}"
        drawn.append(plots.Bar(label, row.rate, shown, row.interval, row.ours, bool(row.mark)))
    return drawn
