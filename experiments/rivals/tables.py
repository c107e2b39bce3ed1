"""The study of rivals as a table, as CSV of every run, as JSON and as a picture."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import comparison
from experiments.ablation import tables as ablation
from experiments.ablation.runs import Outcome
from experiments.ablation.studies import Study
from experiments.program import counted
from experiments.rivals.study import REFERENCE
from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet import complexity
from stfnet.evaluation import bootstrap, plots, printing, result_files, tables
from stfnet.inference import prediction

COLUMNS = (
    "network",
    "top-1 of each seed (%)",
    "mean",
    "95 % over test groups",
    "minus STFNet",
    "95 %, paired",
    "STFNet",
    "learning rate",
    "validation",
    "parameters (M)",
    "G multiply-adds",
    "training (clips/s)",
    "prediction (clips/s)",
)
WINS, LOSES, OPEN = "wins", "loses", "cannot be distinguished"
# Of the picture: the marker of a network, and what stands beside its name.
MARKERS = {REFERENCE: "*", WINS: "v", LOSES: "^", OPEN: "o"}
BESIDE = {WINS: "below STFNet", LOSES: "above STFNet"}


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: of the network.
        multiply_adds: of one clip's forward pass, the streams included.
        learning_rate: of the first stage, chosen on validation.
        training: clips a second, median over epochs; None where not known. On maps of frozen
            streams that of what follows them.
        prediction: clips a second from a record, one at a time, the streams included.
        device: that predicted.
    """

    parameters: int
    multiply_adds: int
    learning_rate: float
    training: float | None
    prediction: float
    device: str


def cost_of(folder: Path) -> Cost:
    """What the network of a run costs, from its files.

    Raises:
        UserError: it was not evaluated or not timed, or a file is damaged.
    """
    if not (folder / result_files.TIMING_FILE).is_file():
        raise UserError(
            f"{folder} was not timed: start the same command again, or give experiments.evaluate "
            f"--timing --workdir={folder} --records=RECORDS"
        )
    model, config = prediction.load_run(folder)
    measured = comparison.read_result(folder)
    timed: Any = measured.timing
    return Cost(
        model.count_params(),
        complexity.forward_multiply_adds(config.model),
        config.training.learning_rates[0],
        measured.clips_per_second,
        1 / timed["with_flow_stored"],
        str(timed["device"]),
    )


def verdict(paired: Sequence[float], groups: int) -> str:
    """How STFNet does against a network.

    Args:
        paired: 95 % interval of the network's top-1 minus STFNet's.
        groups: of test videos, over which it was drawn.
    """
    if groups < bootstrap.DECIDING:
        return OPEN
    if paired[1] < 0:
        return WINS
    return LOSES if paired[0] > 0 else OPEN


def summary(study: Study, rows: Sequence[ablation.Row], groups: int) -> list[str]:
    """A line for each verdict: the networks that STFNet has it against."""
    others = [row for row in rows if row.name != study.reference]
    return [
        f"STFNet {kind}{' from' if kind == OPEN else ' against'}: {', '.join(names)}."
        for kind in (WINS, LOSES, OPEN)
        if (names := [row.name for row in others if verdict(row.compared.paired, groups) == kind])
    ]


def table_of(
    study: Study, rows: Sequence[ablation.Row], costs: Mapping[str, Cost], groups: int
) -> tables.Table:
    """The table of the study.

    Args:
        study: the study.
        rows: its rows, see `experiments.ablation.tables.rows_of`.
        costs: of each network, by its name.
        groups: number of groups of the test videos.
    """
    first = rows[0].outcomes[0].results
    few = (
        " (few, so these intervals are rough, mostly too narrow)" if groups < bootstrap.FEW else ""
    )
    return tables.Table(
        "rivals",
        f"Rivals on {first['dataset']}: top-1 on {counted(first['num_test'], 'test video')}, "
        f"protocol {first['protocol']}",
        COLUMNS,
        [_cells(study, row, costs[row.name], groups) for row in rows],
        (
            *summary(study, rows, groups),
            f"Chance {_percent(first['chance'])} %, majority class {_percent(first['majority'])} "
            f"%, leak of the split {printing.leak(first)}. Same records, parts, streams, "
            "epochs and search of the learning rate for all.",
            f"Over test groups, and paired: bootstrap over {counted(groups, 'group')} of test "
            f"videos{few}; each video counts with the fraction of {len(rows[0].outcomes)} seeds "
            "that recognise it. They do not cover what other seeds would give.",
            "STFNet wins or loses where the paired interval leaves zero out and there are at "
            f"least {bootstrap.DECIDING} groups. {ablation.by_chance(groups)}",
            f"Learning rate of the first stage, chosen by the validation of the first seed; "
            f"validated on {first['validated_on']}.",
            "Training: clips a second; with --cache=features without the frozen streams, which "
            "were computed once. Prediction: one clip at a time from its record, streams included, "
            f"on {costs[study.reference].device}.",
        ),
    )


def _cells(study: Study, row: ablation.Row, cost: Cost, groups: int) -> tuple[str, ...]:
    of_reference = row.name == study.reference
    return (
        study.marked(row.name),
        ", ".join(_percent(rate) for rate in row.top1),
        _percent(row.compared.top1),
        " to ".join(map(_percent, row.compared.interval)),
        tables.MISSING if of_reference else f"{100 * row.compared.difference:+.1f}",
        tables.MISSING
        if of_reference
        else " to ".join(f"{100 * end:+.1f}" for end in row.compared.paired),
        tables.MISSING if of_reference else verdict(row.compared.paired, groups),
        f"{cost.learning_rate:g}",
        tables.MISSING if row.validation is None else _percent(row.validation),
        f"{cost.parameters / 1e6:.2f}",
        f"{cost.multiply_adds / 1e9:.3g}",
        tables.MISSING if cost.training is None else f"{cost.training:.3g}",
        f"{cost.prediction:.3g}",
    )


def write(
    output: Path,
    study: Study,
    outcomes: Mapping[str, Sequence[Outcome]],
    record_set: RecordSet,
) -> tuple[tables.Table, ablation.Paths]:
    """Writes the four files of the study.

    Args:
        output: folder of the study.
        study: the study.
        outcomes: name of each network -> its runs, the first of them timed.
        record_set: of the records, for the groups of the test videos.

    Returns:
        (the table, the paths of the files).

    Raises:
        UserError: as `experiments.ablation.tables.rows_of` and `cost_of`.
    """
    rows, paths = ablation.rows_of(study, outcomes, record_set), ablation.paths_in(output, study)
    costs = {name: cost_of(some[0].folder) for name, some in outcomes.items()}
    group_of = {video.id: video.group for video in record_set.videos}
    groups = len({group_of[video] for video in rows[0].outcomes[0].right})
    table = table_of(study, rows, costs, groups)
    files.write_text(paths.table, tables.to_markdown(table))
    files.write_text(paths.runs, ablation.runs_csv(study, rows))
    figures: dict[str, Any] = ablation.figures(study, rows, groups)
    for value in figures["values"]:
        value |= dataclasses.asdict(costs[value["value"]])
        if value["value"] != study.reference:
            value["stfnet"] = verdict(value["paired_interval"], groups)
    files.write_json(paths.figures, figures)
    paths.picture.unlink(missing_ok=True)  # of an earlier table, should this drawing fail
    with plots.never_fatal(paths.picture):
        draw(study, rows, costs, groups, paths.picture)
    return table, paths


def draw(
    study: Study,
    rows: Sequence[ablation.Row],
    costs: Mapping[str, Cost],
    groups: int,
    path: Path,
) -> None:
    """Draws accuracy against cost: multiply-adds of a clip, and clips a second of prediction.

    Args:
        study: the study.
        rows: its rows.
        costs: of each network, by its name.
        groups: number of groups of the test videos.
        path: PNG file.
    """
    first = rows[0].outcomes[0].results
    with plots.new_figure(13, 5.5, path) as figure:
        by_work, by_speed = figure.subplots(1, 2, sharey=True)
        # Names stand in the legend, best first: networks of one cost lie one upon the other.
        for number, row in enumerate(sorted(rows, key=lambda row: -row.compared.top1)):
            cost, top1 = costs[row.name], 100 * row.compared.top1
            is_own = row.name == study.reference
            kind = REFERENCE if is_own else verdict(row.compared.paired, groups)
            style = {
                "color": "black" if is_own else f"C{number % 10}",
                "zorder": 3 if is_own else 2,
            }
            label = f"{row.name}, {top1:.1f} %" + (f" ({BESIDE[kind]})" if kind in BESIDE else "")
            for axes, place in (
                (by_work, cost.multiply_adds / 1e9),
                (by_speed, cost.prediction),
            ):
                ends = [100 * end for end in row.compared.interval]
                axes.plot([place, place], ends, lw=1, alpha=0.5, **style)
                axes.scatter(
                    place,
                    top1,
                    s=(120 if is_own else 40) + cost.parameters / 1e6,
                    marker=MARKERS[kind],
                    edgecolors="white",
                    label=label,
                    **style,
                )
        for axes in (by_work, by_speed):
            plots.use_log_axis(axes.xaxis)
            axes.margins(x=0.1)
            axes.axhline(100 * first["chance"], color="grey", linestyle=":")
            axes.grid(alpha=0.3)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        by_work.set_xlabel("G multiply-adds a clip")
        by_work.set_ylabel("top-1 (%); line: 95 % over test groups; dotted: chance")
        by_speed.set_xlabel("prediction (clips/s)")
        handles, labels = by_work.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", frameon=False)
        figure.suptitle(
            f"Rivals, {first['dataset']}, seeds: {len(rows[0].outcomes)}; area: parameters"
        )


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"
