"""Pictures of a run: the confusion matrix and the learning curves, as PNG.

A picture is never worth a run: `never_fatal` turns what goes wrong in drawing into a warning.
"""

import contextlib
import io
import logging
import math
import warnings
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from preprocessing import files
from preprocessing.captions import one_line

DPI = 120
LARGEST_SIDE = 15.0  # inches, whatever the number of classes
COUNTED_CLASSES = 40  # most classes whose counts are written into the matrix
NAMED_CLASSES = 120  # most classes that all have their name at the axes
CELLS = 1000  # most cells along a side; beyond it, one stands for several classes
NAME_LENGTH = 32  # characters of a class name that are shown
# Names of classes are text, whatever signs they hold and whatever matplotlibrc says.
_TEXT = {"text.parse_math": False, "text.usetex": False}


@contextlib.contextmanager
def never_fatal(what):
    """Logs an exception inside the block as a warning of one line.

    Args:
        what: that is drawn, such as a file's path.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        logging.warning("%s was not drawn (%s); the figures are kept all the same", what, reason)


def draw_confusion(confusion, classes, path):
    """Draws the confusion matrix (rows: truth) in shares of a row.

    Up to `COUNTED_CLASSES` classes it has counts, up to `NAMED_CLASSES` every name; beyond, names
    of classes at even distances. Beyond `CELLS` classes a cell shows the largest share of several
    classes that follow each other.

    Args:
        confusion: integers (C, C).
        classes: names, any text.
        path: PNG file, or a binary file to write to.
    """
    confusion = np.asarray(confusion)
    count = len(classes)
    in_class = np.maximum(confusion.sum(1, keepdims=True), 1).astype(np.float32)
    shares = confusion.astype(np.float32) / in_class
    step = math.ceil(count / CELLS)
    if step > 1:
        blocks = np.arange(0, count, step)
        shares = np.maximum.reduceat(np.maximum.reduceat(shares, blocks, 0), blocks, 1)
    named = np.arange(0, count, 1 if count <= NAMED_CLASSES else math.ceil(count / COUNTED_CLASSES))
    labels = [one_line(classes[k], NAME_LENGTH) for k in named]
    if count > NAMED_CLASSES:
        labels = [f"{name} ({k})" for k, name in zip(named, labels, strict=True)]
    # In inches, with room for the longest name beside the matrix.
    side = min(2 + 0.35 * count + 0.08 * max(map(len, labels)), LARGEST_SIDE)
    # In points, of which an inch has 72; the matrix has at least three quarters of the side.
    size = min(10.0, 0.8 * 72 * 0.75 * side / len(labels))
    with _drawing():
        figure = Figure(figsize=(side, side), layout="constrained")
        axes = figure.add_subplot()
        edge = count - 0.5
        axes.imshow(
            shares,
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
                    color="white" if shares[row, column] > 0.5 else "black",
                )
        _save(figure, path)


def draw_curves(history, path):
    """Draws training and validation loss and accuracy against epochs (Figs. 9-11).

    Args:
        history: rows of history.csv, in order.
        path: PNG file, or a binary file to write to.
    """
    epochs = np.arange(1, len(history) + 1)
    with _drawing():
        figure = Figure(figsize=(10, 4), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
            axes.plot(epochs, [float(row[name]) for row in history], label="training")
            axes.plot(epochs, [float(row[f"val_{name}"]) for row in history], label="validation")
            stages = [int(row["stage"]) for row in history]
            for k in np.flatnonzero(np.diff(stages)):
                axes.axvline(k + 1.5, color="grey", linestyle=":")
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
            axes.legend()
        _save(figure, path)


@contextlib.contextmanager
def _drawing():
    with matplotlib.rc_context(_TEXT), warnings.catch_warnings():
        # Such as of a letter that the font lacks: it is drawn as a box, results.json has the name.
        warnings.simplefilter("ignore", UserWarning)
        yield


def _save(figure, path):
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DPI)
    if hasattr(path, "write"):
        path.write(picture.getvalue())
    else:
        with files.writing(Path(path)) as file:
            file.write(picture.getvalue())
