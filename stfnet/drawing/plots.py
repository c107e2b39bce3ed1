"""Pictures as PNG: confusion matrix, reliability and curves of a run, rates, a video's timeline.

Each is drawn into a file by its path, or into a binary file. Drawing must not end a run:
`never_fatal` turns an exception in drawing into a warning. matplotlib is imported by the functions
that draw, so that nothing else waits for it.
"""

import contextlib
import dataclasses
import io
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from preprocessing import files
from preprocessing.captions import clock, one_line

DPI = 120
LARGEST_SIDE = 15.0  # of a matrix, in inches, for any number of classes
COUNTED_CLASSES = 40  # most classes whose counts are written into the matrix
NAMED_CLASSES = 120  # most classes that all have their name at the axes
CELLS = 1000  # most cells along a side; beyond it, one stands for several classes
NAME_LENGTH = 32  # characters of a class name that are shown
LANES = 12  # most classes in a timeline
TICKS = 12  # most times at its axis
# Seconds from one of them to the next.
TICK_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600)


@contextlib.contextmanager
def never_fatal(what: object) -> Iterator[None]:
    """Logs an exception inside the block, in which something is drawn, as a warning of one line."""
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        logging.warning("%s was not drawn (%s); the figures are kept all the same", what, reason)


def draw_confusion(confusion: np.ndarray, classes: Sequence[str], path: Path | BinaryIO) -> None:
    """Draws the confusion matrix (C, C), true classes in rows, as fractions of its rows.

    Up to `COUNTED_CLASSES` classes the counts are written into it, and up to `NAMED_CLASSES` every
    class is named; beyond, classes at even distances are. Beyond `CELLS` classes a cell stands for
    several successive classes and shows their largest fraction.
    """
    confusion = np.asarray(confusion)
    count = len(classes)
    in_class = np.maximum(confusion.sum(1, keepdims=True), 1).astype(np.float32)
    fractions = confusion.astype(np.float32) / in_class
    step = math.ceil(count / CELLS)
    if step > 1:
        blocks = np.arange(0, count, step)
        fractions = np.maximum.reduceat(np.maximum.reduceat(fractions, blocks, 0), blocks, 1)
    named = np.arange(0, count, 1 if count <= NAMED_CLASSES else math.ceil(count / COUNTED_CLASSES))
    labels = [one_line(classes[k], NAME_LENGTH) for k in named.tolist()]
    if count > NAMED_CLASSES:
        labels = [f"{name} ({k})" for k, name in zip(named, labels, strict=True)]
    # In inches, with room for the longest name beside the matrix.
    side = min(2 + 0.35 * count + 0.08 * max(map(len, labels)), LARGEST_SIDE)
    # In points, of which an inch has 72; the matrix has at least three quarters of the side.
    size = min(10.0, 0.8 * 72 * 0.75 * side / len(labels))
    with new_figure(side, side, path) as figure:
        axes = figure.add_subplot()
        edge = count - 0.5
        axes.imshow(
            fractions,
            cmap="Blues",
            vmin=0,
            vmax=1,
            extent=(-0.5, edge, edge, -0.5),
            interpolation="nearest",  # there are always more pixels than cells
        )
        axes.set_xticks(named, labels, rotation=90, fontsize=size)
        axes.set_yticks(named, labels, fontsize=size)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        if count <= COUNTED_CLASSES:
            for row, column in np.argwhere(confusion):
                axes.text(
                    column,
                    row,
                    confusion[row, column],
                    ha="center",
                    va="center",
                    fontsize=size,
                    color="white" if fractions[row, column] > 0.5 else "black",
                )


def draw_curves(
    history: Sequence[Mapping], path: Path | BinaryIO, validation: str = "validation"
) -> None:
    """Draws training and validation loss and accuracy, of rows of history.csv, against epochs
    (Figs. 9-11).
    """
    epochs = np.arange(1, len(history) + 1)
    with new_figure(10, 4, path) as figure:
        panels = figure.subplots(1, 2)
        for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
            axes.plot(epochs, [float(row[name]) for row in history], label="training")
            axes.plot(epochs, [float(row[f"val_{name}"]) for row in history], label=validation)
            stages = [int(row["stage"]) for row in history]
            for k in np.flatnonzero(np.diff(stages)):
                axes.axvline(k + 1.5, color="grey", linestyle=":")
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
            axes.legend()


def draw_reliability(
    rows: Sequence[Mapping], calibration_error: float, path: Path | BinaryIO
) -> None:
    """Draws accuracy against confidence, of the rows of `reliability`, and below it how many clips
    have which confidence.
    """
    filled = [row for row in rows if row["count"]]
    left = [row["low"] for row in filled]
    widths = [row["high"] - row["low"] for row in filled]
    with new_figure(5, 6, path) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        bars = {"align": "edge", "edgecolor": "white"}
        above.bar(left, [row["accuracy"] for row in filled], widths, color="tab:blue", **bars)
        above.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfectly calibrated")
        means = [row["confidence"] for row in filled], [row["accuracy"] for row in filled]
        above.plot(*means, "o", color="black", markersize=4, label="mean confidence of a bin")
        above.set_xlim(0, 1)
        above.set_ylim(0, 1.02)
        above.set_ylabel("accuracy")
        above.set_title(f"expected calibration error {calibration_error:.3f}")
        above.legend(loc="upper left", fontsize=8)
        below.bar(left, [row["count"] for row in filled], widths, color="tab:grey", **bars)
        below.set_ylabel("clips")
        below.set_xlabel("confidence (probability of the predicted class)")


@dataclasses.dataclass(frozen=True)
class Bar:
    """A rate in `draw_rates`."""

    name: str  # beside the bar; a second line is drawn smaller
    rate: float | None  # in percent, None where it is missing
    text: str  # behind the bar
    interval: tuple[float, float] | None = None  # its ends, in percent
    emphasised: bool = False  # in the stronger colour
    hatched: bool = False  # as a figure that is not comparable


def draw_rates(title: str, bars: Sequence[Bar], path: Path | BinaryIO) -> None:
    """Draws rates as horizontal bars, the first on top."""
    with new_figure(10, 1.4 + 0.5 * len(bars), path) as figure:
        axes = figure.add_subplot()
        for place, bar in enumerate(bars):
            color = "tab:blue" if bar.emphasised else "silver"
            hatch = "///" if bar.hatched else None
            axes.barh(place, bar.rate or 0, 0.7, color=color, hatch=hatch, edgecolor="white")
            end = bar.rate or 0
            if bar.rate is not None and bar.interval:
                low, high = bar.interval
                axes.plot([low, high], [place, place], color="black", marker="|")
                end = max(end, high)
            axes.text(end + 1, place, bar.text, va="center", fontsize=10)
            name, _, below = bar.name.partition("\n")
            for text, offset, size in ((name, 0.18, 9), (below, -0.2, 7)):
                axes.text(
                    -1, place - offset, one_line(text, 90), ha="right", va="center", fontsize=size
                )
        axes.set_yticks([])
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xlim(0, 112)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel(
            "recognition rate (%); blue: here; hatched: another protocol, or none stated"
        )
        axes.set_title(one_line(title, 90))
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)


def draw_timeline(
    classes: Sequence[str],
    edges: np.ndarray,
    probabilities: np.ndarray,
    rows: Sequence[Any],
    path: Path | BinaryIO,
) -> None:
    """Draws a lane for each class over the time of a video: its probability, and where it is best.

    The lanes are the LANES classes that are best for the longest time, in the order in which they
    first are; the others are counted. All arguments are those of a
    `stfnet.inference.timeline.Timeline`.
    """
    durations: dict[str, float] = {}  # in the order of the video
    for row in rows:
        durations[row.class_name] = durations.get(row.class_name, 0) + row.end - row.start
    longest = sorted(durations, key=lambda name: -durations[name])[:LANES]
    lanes = [name for name in durations if name in longest]
    columns = [list(classes).index(name) for name in lanes]
    end = float(edges[-1])
    with new_figure(12, 1.5 + 0.45 * len(lanes), path) as figure:
        axes = figure.add_subplot()
        mesh = axes.pcolormesh(
            edges,
            np.arange(len(lanes) + 1),
            probabilities[:, columns].T,
            cmap="Blues",
            vmin=0,
            vmax=1,
        )
        for row in rows:
            if row.class_name in longest:
                lane = lanes.index(row.class_name)
                axes.broken_barh(
                    [(row.start, row.end - row.start)],
                    (lane + 0.06, 0.88),
                    facecolors="none",
                    edgecolors="tab:orange",
                    linewidth=1.5,
                )
        step = next((step for step in TICK_STEPS if end / step <= TICKS), TICK_STEPS[-1])
        ticks = np.arange(0, end, step)
        axes.set_xticks(ticks, [clock(tick) for tick in ticks])
        axes.set_xlim(0, end)
        axes.set_yticks(
            np.arange(len(lanes)) + 0.5, [one_line(name, NAME_LENGTH) for name in lanes]
        )
        axes.invert_yaxis()
        others = len(durations) - len(lanes)
        also = f"; {others} more classes are best at times and not shown" if others else ""
        axes.set_xlabel(f"time; orange: the most probable class{also}")
        figure.colorbar(mesh, ax=axes, label="probability", pad=0.01)


@contextlib.contextmanager
def new_figure(width: float, height: float, path: Path | BinaryIO) -> Iterator[Any]:
    """Yields a matplotlib Figure of so many inches, and saves it when the block has drawn it."""
    import matplotlib
    from matplotlib.figure import Figure

    picture = io.BytesIO()
    with warnings.catch_warnings():
        # Such as of a letter that the font lacks: it is drawn as a box, results.json has the name.
        warnings.simplefilter("ignore", UserWarning)
        # Names of classes are plain text, whatever they hold and whatever matplotlibrc sets.
        with matplotlib.rc_context({"text.parse_math": False, "text.usetex": False}):
            figure = Figure(figsize=(width, height), layout="constrained")
            yield figure
            figure.savefig(picture, format="png", dpi=DPI)
    if isinstance(path, str | Path):
        with files.writing(Path(path)) as file:
            file.write(picture.getvalue())
    else:
        path.write(picture.getvalue())
