"""The outcome of a study as a table, as CSV of every run, as JSON and as a picture."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.program import counted
from experiments.studies import paper_tables
from experiments.studies.runs import EXTENSIONS, Outcome, Search, Trained
from experiments.studies.variants import Study
from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet import complexity
from stfnet.drawing import plots
from stfnet.evaluation import printing, significance, table_formats
from stfnet.inference import prediction

MISSING = table_formats.MISSING
EDGE = " (edge)"  # beside a learning rate
WINS, LOSES, OPEN = "wins", "loses", "cannot be distinguished"
_KEPT = ("dataset", "protocol", "fold", "num_test", "num_train", "chance", "majority", "leak")


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs, the streams included, but in training on their maps."""

    parameters: int
    multiply_adds: int  # of one clip's forward pass
    training: float | None  # clips a second, median over epochs; None where not known
    prediction: float  # clips a second from a record, one at a time


class Row(NamedTuple):
    """A variant in a table; rates and differences are fractions."""

    name: str
    outcomes: Sequence[Outcome]  # one a seed
    over_seeds: list[float] | None  # interval of the mean, None with one seed
    compared: significance.Compared  # mean and difference from the reference, over test groups
    validation: float | None  # mean accuracy; None where runs were trained on that part too
    search: Search | None = None  # these two: of a network
    cost: Cost | None = None

    @property
    def top1(self) -> list[float]:
        return [outcome.results["top1"] for outcome in self.outcomes]


class Paths(NamedTuple):
    """Files of a study in its folder."""

    table: Path
    runs: Path
    figures: Path
    picture: Path


def write(
    output: Path,
    study: Study,
    trained: Mapping[str, Trained],
    record_set: RecordSet,
    times: Mapping[str, Any] | None = None,
) -> tuple[table_formats.Table, Paths]:
    """Writes the four files of a study, of which `trained` has the runs of each variant.

    The records tell the groups of the test videos; in a study of networks `times` are those of
    `timing.time_in_turns`.

    Raises:
        UserError: runs were tested on different videos, or a file of a run is damaged.
    """
    rows = rows_of(study, trained, record_set)
    if times:
        for number, row in enumerate(rows):
            cost = cost_of(row.outcomes[0].folder, times["seconds"][row.name])
            rows[number] = row._replace(cost=cost)
    paths = Paths(*(output / f"{study.name}.{end}" for end in ("md", "csv", "json", "png")))
    group_of = {video.id: video.group for video in record_set.videos}
    groups = len({group_of[video] for video in rows[0].outcomes[0].right})
    table = table_of(study, rows, groups, times)
    files.write_text(paths.table, table_formats.to_markdown(table))
    runs = _runs(study, rows)
    files.write_csv(paths.runs, [runs[0], *(run.values() for run in runs)])
    files.write_json(paths.figures, _figures(study, rows, groups, times))
    paths.picture.unlink(missing_ok=True)  # of an earlier table, should this drawing fail
    with plots.never_fatal(paths.picture):
        _draw(study, rows, paths.picture)
    return table, paths


def rows_of(study: Study, trained: Mapping[str, Trained], record_set: RecordSet) -> list[Row]:
    """The rows of a study's table, without costs."""
    videos = list(next(iter(trained.values())).outcomes[0].right)
    for outcome in (one for some in trained.values() for one in some.outcomes):
        if set(outcome.right) != set(videos):
            raise UserError(
                f"{outcome.folder} was tested on other videos than the other runs of the study "
                f"{study.name}: remove it, and start the same command again"
            )
    group_of = {video.id: video.group for video in record_set.videos}
    right = {
        name: np.array([[outcome.right[video] for video in videos] for outcome in some.outcomes])
        for name, some in trained.items()
    }
    compared = significance.compare(right, study.reference, [group_of[video] for video in videos])
    rows = []
    for name, (outcomes, search) in trained.items():
        held_back = [one.validation for one in outcomes if one.validation is not None]
        validation = float(np.mean(held_back)) if held_back else None
        over_seeds = significance.interval_of_mean([one.results["top1"] for one in outcomes])
        rows.append(Row(name, outcomes, over_seeds, compared[name], validation, search))
    return rows


def cost_of(folder: Path, seconds: float) -> Cost:
    """What the network of a run costs, whose prediction takes so many seconds."""
    model, config = prediction.load_run(folder)
    return Cost(
        model.count_params(),
        complexity.forward_multiply_adds(config.model),
        paper_tables.read_result(folder).clips_per_second,
        1 / seconds,
    )


def verdict(compared: significance.Compared) -> str:
    """How STFNet does against a network, whose difference is the network's top-1 minus STFNet's."""
    if compared.adjusted >= significance.LEVEL:
        return OPEN
    return WINS if compared.difference < 0 else LOSES


def table_of(
    study: Study, rows: Sequence[Row], groups: int, times: Mapping[str, Any] | None
) -> table_formats.Table:
    """The table of a study, whose test videos are of so many groups."""
    first = rows[0].outcomes[0].results
    title = "Baselines" if study.of_networks else f"Ablation of {study.name}"
    few = " (few, so these intervals are rough, mostly too narrow)" * (groups < significance.FEW)
    shown = [_cells(study, row) for row in rows]
    return table_formats.Table(
        study.name if study.of_networks else f"ablation_{study.name}",
        f"{title} on {first['dataset']}: top-1 on {counted(first['num_test'], 'test video')}, "
        f"protocol {first['protocol']}",
        list(shown[0]),
        [list(cells.values()) for cells in shown],
        [
            *(_verdicts(study, rows) if study.of_networks else ()),
            f"Chance {_percent(first['chance'])} %, majority class "
            f"{_percent(first['majority'])} %, leak of the split {printing.leak(first)}.",
            f"Over seeds ({len(rows[0].outcomes)}): Student's interval of the mean.",
            f"Over test groups, and paired: bootstrap over {counted(groups, 'group')} of test "
            f"videos{few}; each video counts with the fraction of the seeds that recognise it.",
            about_p(groups, len(rows) - 1),
            "Neither a paired interval nor p covers what other seeds would give: read them beside "
            "the interval over seeds.",
            *(_about_networks(rows, times) if times else [_about_choosing(rows)]),
            f"The paper: {study.claim}",
        ],
    )


def _cells(study: Study, row: Row) -> dict[str, str]:
    """The row under its headings."""
    compared, of_reference = row.compared, row.name == study.reference
    cells = {
        "network" if study.of_networks else "value": study.marked(row.name),
        "top-1 of each seed (%)": ", ".join(_percent(rate) for rate in row.top1),
        "mean": _percent(compared.top1),
        "95 % over seeds": _ends(row.over_seeds),
        "95 % over test groups": _ends(compared.interval),
        "minus reference": _signed(compared.difference),
        "95 %, paired": _ends(compared.paired, _signed),
        "p": f"{compared.p:.2g}",
        "p (Holm)": f"{compared.adjusted:.2g}",
    }
    if study.of_networks:
        cells["STFNet"] = verdict(compared)
    if of_reference:
        beside = ("minus reference", "95 %, paired", "p", "p (Holm)", "STFNet")
        cells |= {name: MISSING for name in beside if name in cells}
    cells["validation"] = MISSING if row.validation is None else _percent(row.validation)
    if row.search:
        cells["learning rate"] = f"{row.search.chosen:g}{EDGE * row.search.at_edge}"
    if row.cost:
        training = row.cost.training
        cells |= {
            "parameters (M)": f"{row.cost.parameters / 1e6:.2f}",
            "G multiply-adds": f"{row.cost.multiply_adds / 1e9:.3g}",
            "training (clips/s)": MISSING if training is None else f"{training:.3g}",
            "prediction (clips/s)": f"{row.cost.prediction:.3g}",
        }
    return cells


def _verdicts(study: Study, rows: Sequence[Row]) -> list[str]:
    """A line for each verdict, with its networks, and one that says when there is one."""
    others = [row for row in rows if row.name != study.reference]
    lines = [
        f"STFNet {kind}{' from' if kind == OPEN else ' against'}: {', '.join(names)}."
        for kind in (WINS, LOSES, OPEN)
        if (names := [row.name for row in others if verdict(row.compared) == kind])
    ]
    return [*lines, f"STFNet wins or loses where p by Holm is below {significance.LEVEL}."]


def about_p(groups: int, comparisons: int) -> str:
    """What p is and when it can decide, as sentences, for so many groups of test videos."""
    least, needed = significance.least_p(groups), significance.deciding_groups(comparisons)
    nothing = f", so nothing is decided here: that takes {needed} groups" if groups < needed else ""
    return (
        f"p: two-sided, paired permutation test over {counted(groups, 'test group')}; Holm: "
        f"adjusted for {counted(comparisons, 'comparison')}, and only below {significance.LEVEL} "
        f"is a difference shown. The least p of as many groups is {least:.2g}{nothing}."
    )


def _about_choosing(rows: Sequence[Row]) -> str:
    choose = "choose by the validation"
    if any(row.validation is None for row in rows):
        choose = (
            "the validation part was trained on too, so choose by cross-validation "
            "(training.train_on_validation=False, training.validation_fold=K/N)"
        )
    validated = rows[0].outcomes[0].results["validated_on"]
    return f"Validated on {validated}. The test figures are a report: {choose}."


def _about_networks(rows: Sequence[Row], times: Mapping[str, Any]) -> list[str]:
    searches = {row.name: row.search for row in rows if row.search}
    lines = [
        "Same records, parts, streams, epochs and search of the learning rate for all. Learning "
        "rate of the first stage, chosen by the validation of the first seed; validated on "
        f"{rows[0].outcomes[0].results['validated_on']}."
    ]
    if all(len(search.tried) == 1 for search in searches.values()):
        lines.append("One learning rate was given: no other was tried.")
    else:
        tried = "; ".join(f"{name} {search}" for name, search in searches.items())
        lines.append(f"Learning rates tried, with accuracy on validation: {tried}.")
    if edges := [name for name, search in searches.items() if search.at_edge]:
        lines.append(
            f"Edge: of {', '.join(edges)} the best rate is the outermost one that was tried, "
            f"{EXTENSIONS} beyond those given, so a better one may lie further on."
        )
    return [
        *lines,
        "Training: clips a second, median over epochs, each network at another time; with "
        "--cache=features without the frozen streams, which were computed once. Prediction: one "
        "clip at a time from its record, streams included, all networks in turns, median of "
        f"{times['rounds']} rounds on {times['device']}.",
    ]


def _runs(study: Study, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A line of the CSV file for each run, rates as fractions."""
    return [
        {
            "study": study.name,
            "value": row.name,
            "seed": one.seed,
            **{name: one.results[name] for name in ("top1", "top5", "mean_class_accuracy")},
            "validation": one.validation,
            "epochs": one.epochs,
            **{name: one.results[name] for name in ("num_test", "chance", "majority")},
            "folder": one.folder,
        }
        for row in rows
        for one in row.outcomes
    ]


def _figures(
    study: Study, rows: Sequence[Row], groups: int, times: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Every figure of a study as JSON values; `experiments.report --ablation` reads `ablation`."""
    first = rows[0].outcomes[0].results
    return {
        "study": study.name,
        "settings": study.settings,
        "claim": study.claim,
        "reference": study.reference,
        "reference_stated_in_paper": study.stated,
        **{name: first[name] for name in (*_KEPT, "validated_on", "split_fingerprint")},
        "groups": groups,
        "resamples": significance.RESAMPLES,
        "confidence": significance.CONFIDENCE,
        "ablation": {row.name: row.compared.top1 for row in rows},
        "values": [_figures_of_row(study, row) for row in rows],
        **({name: times[name] for name in ("device", "rounds")} if times else {}),
    }


def _figures_of_row(study: Study, row: Row) -> dict[str, Any]:
    figures = {
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
    if row.cost:
        figures |= dataclasses.asdict(row.cost)
    if row.search:
        figures |= {
            "learning_rate": row.search.chosen,
            "learning_rate_at_edge": row.search.at_edge,
            "validation_of_learning_rates": row.search.tried,
        }
    if study.of_networks and row.name != study.reference:
        figures["stfnet"] = verdict(row.compared)
    return figures


def _draw(study: Study, rows: Sequence[Row], path: Path) -> None:
    """Draws top-1 of each variant and its difference from the reference, with their intervals.

    Beside them, of networks, multiply-adds of a clip and clips a second of prediction.
    """
    places, first = np.arange(len(rows)), rows[0].outcomes[0].results
    costs = [row.cost for row in rows if row.cost]
    with plots.new_figure(18 if costs else 11, 2.2 + 0.5 * len(rows), path) as figure:
        rates, differences, *of_costs = figure.subplots(1, 4 if costs else 2, sharey=True)
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
        drawn = {
            "G multiply-adds a clip": [cost.multiply_adds / 1e9 for cost in costs],
            "prediction (clips/s)": [cost.prediction for cost in costs],
        }
        for axes, (label, values) in zip(of_costs, drawn.items(), strict=False):
            axes.plot(values, places, "o", color="black")
            axes.set_xlim(0, 1.1 * max(values))  # differences of a percent look like it
            axes.set_xlabel(label)
        for axes in (rates, differences, *of_costs):
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
    return MISSING if ends is None else f"{shown(ends[0])} to {shown(ends[1])}"
