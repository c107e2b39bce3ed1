"""The outcome of a study as a table, as CSV of every run, as JSON and as a picture."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.ablation.runs import Outcome
from experiments.ablation.studies import Study
from experiments.program import counted
from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet.drawing import plots
from stfnet.evaluation import bootstrap, printing, seeds, significance, tables

COLUMNS = (
    "value",
    "top-1 of each seed (%)",
    "mean",
    "95 % over seeds",
    "95 % over test groups",
    "minus reference",
    "95 %, paired",
    "p",
    "p (Holm)",
    "validation",
)
_RUN_COLUMNS = (
    *("study", "value", "seed", "top1", "top5", "mean_class_accuracy", "validation", "epochs"),
    *("num_test", "chance", "majority", "folder"),
)


class Row(NamedTuple):
    """A variant in a table; rates and differences are fractions.

    Attributes:
        name: of the value.
        outcomes: of its runs, one a seed.
        over_seeds: interval of the mean over seeds, None with one seed.
        compared: mean, difference from the reference and their intervals over test groups.
        validation: mean accuracy on the validation part; None where runs were trained on it too.
    """

    name: str
    outcomes: Sequence[Outcome]
    over_seeds: list[float] | None
    compared: seeds.Compared
    validation: float | None

    @property
    def top1(self) -> list[float]:
        return [outcome.results["top1"] for outcome in self.outcomes]


class Paths(NamedTuple):
    """Files of a study in the folder of an ablation."""

    table: Path
    runs: Path
    figures: Path
    picture: Path


def paths_in(output: Path, study: Study) -> Paths:
    """The files of a study."""
    return Paths(*(Path(output) / f"{study.name}.{end}" for end in ("md", "csv", "json", "png")))


def rows_of(
    study: Study, outcomes: Mapping[str, Sequence[Outcome]], record_set: RecordSet
) -> list[Row]:
    """The rows of a study's table.

    Args:
        study: the study.
        outcomes: name of each variant -> its runs.
        record_set: of the records, for the groups of the test videos.

    Raises:
        UserError: runs were tested on different videos.
    """
    videos = list(next(iter(outcomes.values()))[0].right)
    for outcome in (one for some in outcomes.values() for one in some):
        if set(outcome.right) != set(videos):
            raise UserError(
                f"{outcome.folder} was tested on other videos than the other runs of the study "
                f"{study.name}: remove it, and start the same command again"
            )
    group_of = {video.id: video.group for video in record_set.videos}
    right = {
        name: np.array([[outcome.right[video] for video in videos] for outcome in some])
        for name, some in outcomes.items()
    }
    compared = seeds.compare(right, study.reference, [group_of[video] for video in videos])
    return [
        Row(
            name,
            some,
            seeds.interval_of_mean([one.results["top1"] for one in some]),
            compared[name],
            _mean_validation(some),
        )
        for name, some in outcomes.items()
    ]


def _mean_validation(outcomes: Sequence[Outcome]) -> float | None:
    held_back = [one.validation for one in outcomes if one.validation is not None]
    return float(np.mean(held_back)) if held_back else None


def table_of(study: Study, rows: Sequence[Row], groups: int) -> tables.Table:
    """The table of a study.

    Args:
        study: the study.
        rows: its rows.
        groups: number of groups of the test videos.
    """
    first = rows[0].outcomes[0].results
    shown = [
        (
            study.marked(row.name),
            ", ".join(_percent(rate) for rate in row.top1),
            _percent(row.compared.top1),
            _ends(row.over_seeds),
            _ends(row.compared.interval),
            *(
                (tables.MISSING,) * 4
                if row.name == study.reference
                else (
                    _signed(row.compared.difference),
                    _ends(row.compared.paired, _signed),
                    *shown_ps(row.compared),
                )
            ),
            tables.MISSING if row.validation is None else _percent(row.validation),
        )
        for row in rows
    ]
    few = (
        " (few, so these intervals are rough, mostly too narrow)" if groups < bootstrap.FEW else ""
    )
    choose = "choose by the validation"
    if any(row.validation is None for row in rows):
        choose = (
            "the validation part was trained on too, so choose by cross-validation "
            "(training.train_on_validation=False, training.validation_fold=K/N)"
        )
    return tables.Table(
        f"ablation_{study.name}",
        f"Ablation of {study.name} on {first['dataset']}: top-1 on "
        f"{counted(first['num_test'], 'test video')}, protocol {first['protocol']}",
        COLUMNS,
        shown,
        (
            f"Chance {_percent(first['chance'])} %, majority class "
            f"{_percent(first['majority'])} %, leak of the split {printing.leak(first)}.",
            f"Over seeds ({len(rows[0].outcomes)}): Student's interval of the mean.",
            f"Over test groups, and paired: bootstrap over {counted(groups, 'group')} of test "
            f"videos{few}; each video counts with the fraction of the seeds that recognise it.",
            about_p(groups, len(rows) - 1),
            "Neither a paired interval nor p covers what other seeds would give: read them beside "
            "the interval over seeds.",
            f"Validated on {first['validated_on']}. The test figures are a report: {choose}.",
            f"The paper: {study.claim}",
        ),
    )


def shown_ps(compared: seeds.Compared) -> tuple[str, str]:
    """The cells of p and of p by Holm."""
    return f"{compared.p:.2g}", f"{compared.adjusted:.2g}"


def about_p(groups: int, comparisons: int) -> str:
    """What p is and when it can decide, as sentences.

    Args:
        groups: of test videos.
        comparisons: of the table.
    """
    least, needed = significance.least_p(groups), significance.deciding_groups(comparisons)
    nothing = f", so nothing is decided here: that takes {needed} groups" if groups < needed else ""
    return (
        f"p: two-sided, paired permutation test over {counted(groups, 'test group')}; Holm: "
        f"adjusted for {counted(comparisons, 'comparison')}, and only below {significance.LEVEL} "
        f"is a difference shown. The least p of as many groups is {least:.2g}{nothing}."
    )


def write(
    output: Path,
    study: Study,
    outcomes: Mapping[str, Sequence[Outcome]],
    record_set: RecordSet,
) -> tuple[tables.Table, Paths]:
    """Writes the four files of a study.

    Args:
        output: folder of the ablation.
        study, outcomes, record_set: as for `rows_of`.

    Returns:
        (the table, the paths of the files).
    """
    rows, paths = rows_of(study, outcomes, record_set), paths_in(output, study)
    group_of = {video.id: video.group for video in record_set.videos}
    groups = len({group_of[video] for video in rows[0].outcomes[0].right})
    table = table_of(study, rows, groups)
    files.write_text(paths.table, tables.to_markdown(table))
    files.write_text(paths.runs, runs_csv(study, rows))
    files.write_json(paths.figures, figures(study, rows, groups))
    paths.picture.unlink(missing_ok=True)  # of an earlier table, should this drawing fail
    with plots.never_fatal(paths.picture):
        draw(study, rows, paths.picture)
    return table, paths


def runs_csv(study: Study, rows: Sequence[Row]) -> str:
    """A line for each run, rates as fractions."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_RUN_COLUMNS)
    for row in rows:
        for one in row.outcomes:
            figures_of = one.results
            writer.writerow(
                (
                    *(study.name, row.name, one.seed),
                    *(figures_of[name] for name in ("top1", "top5", "mean_class_accuracy")),
                    *(one.validation, one.epochs),
                    *(figures_of[name] for name in ("num_test", "chance", "majority")),
                    one.folder,
                )
            )
    return text.getvalue()


def figures(study: Study, rows: Sequence[Row], groups: int) -> dict[str, Any]:
    """Every figure of a study as JSON values; `experiments.report --ablation` reads `ablation`."""
    first = rows[0].outcomes[0].results
    kept = ("dataset", "protocol", "fold", "num_test", "num_train", "chance", "majority", "leak")
    return {
        "study": study.name,
        "settings": study.settings,
        "claim": study.claim,
        "reference": study.reference,
        "reference_stated_in_paper": study.stated,
        **{name: first[name] for name in (*kept, "validated_on", "certificate")},
        "groups": groups,
        "resamples": bootstrap.RESAMPLES,
        "confidence": bootstrap.CONFIDENCE,
        "ablation": {row.name: row.compared.top1 for row in rows},
        "values": [
            {
                "value": row.name,
                "seeds": [one.seed for one in row.outcomes],
                "top1_of_seeds": row.top1,
                "top1": row.compared.top1,
                "interval_over_seeds": row.over_seeds,
                "interval_over_groups": row.compared.interval,
                "difference": row.compared.difference,
                "paired_interval": row.compared.paired,
                "p": row.compared.p,
                "p_holm": row.compared.adjusted,
                "validation": row.validation,
                "folders": [str(one.folder) for one in row.outcomes],
            }
            for row in rows
        ],
    }


def draw(study: Study, rows: Sequence[Row], path: Path) -> None:
    """Draws top-1 of each variant, and its difference from the reference, with their intervals.

    Args:
        study: the study.
        rows: its rows, the first on top.
        path: PNG file.
    """
    places = np.arange(len(rows))
    first = rows[0].outcomes[0].results
    with plots.new_figure(11, 2.2 + 0.5 * len(rows), path) as figure:
        rates, differences = figure.subplots(1, 2, sharey=True)
        for place, row in enumerate(rows):
            color = "tab:blue" if row.name == study.reference else "black"
            _interval(rates, place + 0.14, row.over_seeds, "tab:orange")
            _interval(rates, place, row.compared.interval, color)
            rates.plot(100 * row.compared.top1, place, "o", color=color)
            above = [place - 0.16] * len(row.top1)
            rates.plot(100 * np.array(row.top1), above, "x", color="grey", markersize=5)
            if row.name != study.reference:
                _interval(differences, place, row.compared.paired, color)
                differences.plot(100 * row.compared.difference, place, "o", color=color)
        rates.axvline(100 * first["chance"], color="grey", linestyle=":")
        differences.axvline(0, color="tab:blue", linestyle=":")
        rates.set_yticks(places, [study.marked(row.name) for row in rows])
        rates.set_ylim(len(rows) - 0.5, -0.5)
        rates.set_xlabel(
            "top-1 (%); crosses: each seed; dot: mean; line: 95 % over test groups;\n"
            "orange: 95 % over seeds; dotted: chance"
        )
        differences.set_xlabel("difference from the reference (points);\nline: 95 %, paired")
        figure.suptitle(f"{study.name}, {first['dataset']}, seeds: {len(rows[0].outcomes)}")
        for axes in (rates, differences):
            axes.grid(axis="x", alpha=0.3)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)


def _interval(axes: Any, place: float, ends: Sequence[float] | None, color: str) -> None:
    if ends:
        axes.plot(100 * np.array(ends), [place, place], color=color, marker="|")


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def _signed(rate: float) -> str:
    return f"{100 * rate:+.1f}"


def _ends(ends: Sequence[float] | None, shown=_percent) -> str:
    return tables.MISSING if ends is None else f"{shown(ends[0])} to {shown(ends[1])}"
