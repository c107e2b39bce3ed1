"""The study of rivals as a table, as CSV of every run, as JSON and as a picture."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import comparison
from experiments.ablation import tables as ablation
from experiments.ablation.studies import Study
from experiments.program import counted
from experiments.rivals.study import EXTENSIONS, REFERENCE, Search, Trained
from preprocessing import files
from preprocessing.records import RecordSet
from stfnet import complexity
from stfnet.drawing import plots
from stfnet.evaluation import bootstrap, printing, significance, tables
from stfnet.evaluation.seeds import Compared
from stfnet.inference import prediction

COLUMNS = (
    "network",
    "top-1 of each seed (%)",
    "mean",
    "95 % over test groups",
    "minus STFNet",
    "95 %, paired",
    "p",
    "p (Holm)",
    "STFNet",
    "learning rate",
    "validation",
    "parameters (M)",
    "G multiply-adds",
    "training (clips/s)",
    "prediction (clips/s)",
)
EDGE = " (edge)"  # beside a learning rate
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
        training: clips a second, median over epochs; None where not known. On maps of frozen
            streams that of what follows them.
        prediction: clips a second from a record, one at a time, the streams included.
    """

    parameters: int
    multiply_adds: int
    training: float | None
    prediction: float


def cost_of(folder: Path, seconds: float) -> Cost:
    """What the network of a run costs.

    Args:
        folder: of the run.
        seconds: that a prediction takes.

    Raises:
        UserError: it was not evaluated, or a file is damaged.
    """
    model, config = prediction.load_run(folder)
    return Cost(
        model.count_params(),
        complexity.forward_multiply_adds(config.model),
        comparison.read_result(folder).clips_per_second,
        1 / seconds,
    )


def verdict(compared: Compared) -> str:
    """How STFNet does against a network, whose difference is the network's top-1 minus STFNet's."""
    if compared.adjusted >= significance.LEVEL:
        return OPEN
    return WINS if compared.difference < 0 else LOSES


def summary(study: Study, rows: Sequence[ablation.Row]) -> list[str]:
    """A line for each verdict: the networks that STFNet has it against."""
    others = [row for row in rows if row.name != study.reference]
    return [
        f"STFNet {kind}{' from' if kind == OPEN else ' against'}: {', '.join(names)}."
        for kind in (WINS, LOSES, OPEN)
        if (names := [row.name for row in others if verdict(row.compared) == kind])
    ]


def table_of(
    study: Study,
    rows: Sequence[ablation.Row],
    costs: Mapping[str, Cost],
    searches: Mapping[str, Search],
    times: Mapping[str, Any],
    groups: int,
) -> tables.Table:
    """The table of the study.

    Args:
        study: the study.
        rows: its rows, see `experiments.ablation.tables.rows_of`.
        costs, searches: of each network, by its name.
        times: of `timing.time_in_turns`.
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
        [_cells(study, row, costs[row.name], searches[row.name]) for row in rows],
        (
            *summary(study, rows),
            f"Chance {_percent(first['chance'])} %, majority class {_percent(first['majority'])} "
            f"%, leak of the split {printing.leak(first)}. Same records, parts, streams, "
            "epochs and search of the learning rate for all.",
            f"Over test groups, and paired: bootstrap over {counted(groups, 'group')} of test "
            f"videos{few}; each video counts with the fraction of {len(rows[0].outcomes)} seeds "
            "that recognise it. They do not cover what other seeds would give.",
            f"STFNet wins or loses where p by Holm is below {significance.LEVEL}. "
            f"{ablation.about_p(groups, len(rows) - 1)}",
            f"Learning rate of the first stage, chosen by the validation of the first seed; "
            f"validated on {first['validated_on']}.",
            *_tried(searches),
            "Training: clips a second, median over epochs, each network at another time; with "
            "--cache=features without the frozen streams, which were computed once. Prediction: "
            "one clip at a time from its record, streams included, all networks in turns, median "
            f"of {times['rounds']} rounds on {times['device']}.",
        ),
    )


def _tried(searches: Mapping[str, Search]) -> list[str]:
    """The learning rates that were tried, as lines."""
    if all(len(search.tried) == 1 for search in searches.values()):
        return ["One learning rate was given: no other was tried."]
    edges = [name for name, search in searches.items() if search.at_edge]
    return [
        "Learning rates tried, with accuracy on validation: "
        f"{'; '.join(f'{name} {search}' for name, search in searches.items())}.",
        *(
            [
                f"Edge: of {', '.join(edges)} the best rate is the outermost one that was tried, "
                f"{EXTENSIONS} beyond those given, so a better one may lie further on."
            ]
            if edges
            else []
        ),
    ]


def _cells(study: Study, row: ablation.Row, cost: Cost, search: Search) -> tuple[str, ...]:
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
        *(
            (tables.MISSING,) * 3
            if of_reference
            else (*ablation.shown_ps(row.compared), verdict(row.compared))
        ),
        f"{search.chosen:g}{EDGE * search.at_edge}",
        tables.MISSING if row.validation is None else _percent(row.validation),
        f"{cost.parameters / 1e6:.2f}",
        f"{cost.multiply_adds / 1e9:.3g}",
        tables.MISSING if cost.training is None else f"{cost.training:.3g}",
        f"{cost.prediction:.3g}",
    )


def write(
    output: Path,
    study: Study,
    trained: Mapping[str, Trained],
    times: Mapping[str, Any],
    record_set: RecordSet,
) -> tuple[tables.Table, ablation.Paths]:
    """Writes the four files of the study.

    Args:
        output: folder of the study.
        study: the study.
        trained, times: of `experiments.rivals.study.run_study`.
        record_set: of the records, for the groups of the test videos.

    Returns:
        (the table, the paths of the files).

    Raises:
        UserError: as `experiments.ablation.tables.rows_of` and `cost_of`.
    """
    outcomes = {name: one.outcomes for name, one in trained.items()}
    searches = {name: one.search for name, one in trained.items()}
    rows, paths = ablation.rows_of(study, outcomes, record_set), ablation.paths_in(output, study)
    costs = {
        name: cost_of(some[0].folder, times["seconds"][name]) for name, some in outcomes.items()
    }
    group_of = {video.id: video.group for video in record_set.videos}
    groups = len({group_of[video] for video in rows[0].outcomes[0].right})
    table = table_of(study, rows, costs, searches, times, groups)
    files.write_text(paths.table, tables.to_markdown(table))
    files.write_text(paths.runs, ablation.runs_csv(study, rows))
    figures: dict[str, Any] = ablation.figures(study, rows, groups)
    figures |= {"device": times["device"], "rounds": times["rounds"]}
    compared = {row.name: row.compared for row in rows}
    for value in figures["values"]:
        name = value["value"]
        value |= dataclasses.asdict(costs[name])
        value |= {
            "learning_rate": searches[name].chosen,
            "learning_rate_at_edge": searches[name].at_edge,
            "validation_of_learning_rates": searches[name].tried,
        }
        if name != study.reference:
            value["stfnet"] = verdict(compared[name])
    files.write_json(paths.figures, figures)
    paths.picture.unlink(missing_ok=True)  # of an earlier table, should this drawing fail
    with plots.never_fatal(paths.picture):
        draw(study, rows, costs, paths.picture)
    return table, paths


def draw(study: Study, rows: Sequence[ablation.Row], costs: Mapping[str, Cost], path: Path) -> None:
    """Draws accuracy against cost: multiply-adds of a clip, and clips a second of prediction.

    Args:
        study: the study.
        rows: its rows.
        costs: of each network, by its name.
        path: PNG file.
    """
    first = rows[0].outcomes[0].results
    with plots.new_figure(13, 5.5, path) as figure:
        by_work, by_speed = figure.subplots(1, 2, sharey=True)
        # Names stand in the legend, best first: networks of one cost lie one upon the other.
        for number, row in enumerate(sorted(rows, key=lambda row: -row.compared.top1)):
            cost, top1 = costs[row.name], 100 * row.compared.top1
            is_own = row.name == study.reference
            kind = REFERENCE if is_own else verdict(row.compared)
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
