"""The rows of `experiments.benchmark network`, each measured in a process of its own."""

import dataclasses
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.benchmarks.network_measurements import PEER, STREAMS, Row, Settings
from preprocessing.errors import UserError

LEAST_GAIN = 1.03  # of doubling the batch
PACKAGES = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}  # Keras backend: package
PRECISIONS, XLA = ("float32", "mixed_bfloat16", "mixed_float16"), ("off", "on")
TRAINED = ("trained",)  # what is measured of other backends
RESULT = "row:"  # before the figures on a process's standard output


def rows(
    backends: Sequence[str],
    precisions: Sequence[str],
    xla: Sequence[str],
    peer: bool,
    sizes: Sequence[int],
    streams: Sequence[str] = TRAINED,
) -> Iterator[Row]:
    """What to measure, of what is installed; prints what is not.

    Args:
        backends: some of `PACKAGES`.
        precisions: some of `PRECISIONS`.
        xla: some of `XLA`, for the TensorFlow backend.
        peer: whether the plain PyTorch statement is measured too, in the same precisions.
        sizes: clips a step.
        streams: some of `STREAMS`, for the TensorFlow backend.

    Raises:
        UserError: a name is unknown.
    """
    for flag, values, known in (
        ("backends", backends, PACKAGES),
        ("precisions", precisions, PRECISIONS),
        ("xla", xla, XLA),
        ("streams", streams, STREAMS),
    ):
        for value in values or [""]:
            if value not in known:
                raise UserError(f"--{flag}={value} is not one of {', '.join(known)}")
    for backend in backends:
        if importlib.util.find_spec(PACKAGES[backend]) is None:
            print(f"{backend}: not installed")
            continue
        ours = backend == "tensorflow"
        for precision, size, compiled, kind in itertools.product(
            precisions, sizes, xla if ours else XLA[:1], streams if ours else TRAINED
        ):
            yield Row(backend, precision, compiled == "on", size, kind)
    if peer and importlib.util.find_spec("torch") is None:
        print(f"{PEER}: not installed (pip install -e '.[peers]')")
    elif peer:
        for precision, size in itertools.product(precisions, sizes):
            yield Row(PEER, precision, False, size)


def parse(text: str) -> Row:
    """The row that a process is asked for.

    Raises:
        UserError: the text is not the JSON of a row.
    """
    try:
        return Row(**json.loads(text))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"--row={text} is not a row ({error}): the program gives this flag to itself, so leave "
            "it out"
        ) from error


def measure(row: Row, settings: Settings, limit: float, grow: bool) -> Iterator[dict[str, Any]]:
    """The figures of `network_measurements.measure`, taken in a new process.

    Args:
        row: what to measure.
        settings: of all rows.
        limit: seconds after which it is given up.
        grow: whether the row is repeated with batches that double, up to the one that fails or
            gains less than `LEAST_GAIN`.

    Yields:
        The figures, or the fields of the row and, under `failed`, why there are no figures.
    """
    before = 0.0
    while True:
        figures = _measure(row, settings, limit)
        yield figures
        if "failed" in figures or not grow:
            return
        rate = (figures.get("training") or figures["forward"])["clips_per_second"]
        if rate < LEAST_GAIN * before:
            return
        before, row = rate, dataclasses.replace(row, batch_size=2 * row.batch_size)


def _measure(row, settings, limit):
    text = json.dumps(dataclasses.asdict(row))
    command = [sys.executable, "-m", "experiments.benchmark", "network", f"--row={text}"]
    command += [f"--{name}={value}" for name, value in dataclasses.asdict(settings).items()]
    # TensorFlow and PyTorch in one process can crash each other.
    backend = row.backend if row.backend in PACKAGES else "torch"
    try:
        ended = subprocess.run(
            command,
            env=os.environ | {"KERAS_BACKEND": backend},
            capture_output=True,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        return _failed(row, f"took longer than --limit={limit} s")
    lines = [line for line in ended.stdout.splitlines() if line.startswith(RESULT)]
    if ended.returncode < 0:
        return _failed(row, f"ended by signal {-ended.returncode} (9: out of memory)")
    if ended.returncode or not lines:
        errors = ended.stderr.strip() or f"ended with status {ended.returncode}"
        return _failed(row, errors.splitlines()[-1])
    return json.loads(lines[0].removeprefix(RESULT))


def ratios(
    table: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[Mapping[str, Any], dict[str, float]]]:
    """How many times as fast as the peer each row is, at the same precision and batch.

    Args:
        table: figures of `measure`.

    Yields:
        (figures of a row that has a peer, the ratio of `forward` and of `training`, where both
        measured it).
    """
    peers = {
        (row["precision"], row["batch_size"]): row
        for row in table
        if row["backend"] == PEER and "failed" not in row
    }
    for row in table:
        peer = peers.get((row["precision"], row["batch_size"]))
        if peer is None or "failed" in row or row["backend"] == PEER or row["streams"] != "trained":
            continue
        yield (
            row,
            {
                step: row[step]["clips_per_second"] / peer[step]["clips_per_second"]
                for step in ("forward", "training")
                if step in peer and step in row
            },
        )


def _failed(row, reason):
    return {**dataclasses.asdict(row), "failed": reason}
