r"""The full network on this machine: forward pass and training step, beside peak and peer.

    python -m benchmarks network [--backends=tensorflow,jax,torch] [--nopeer]
        [--precisions=float32,mixed_bfloat16] [--compiled=off,on] [--batch_sizes=1,4] [--grow]
        [--remat] [--streams=trained,frozen,maps,frozen4,maps4] [--tf32] [--repeats=5]

Every row runs in a process of its own, beside one of the peer, a plain PyTorch statement of the
same network with Adam, in the same precision (mixed ones by autocast) and batch. The two take
turns, with a matrix product of the row's precision between, since seconds say little on a machine
that is shared: what is reported are medians, and of the ratios within a turn the least and the
largest too. Both processes hold their memory meanwhile. The TensorFlow backend is timed with the
project's own training step, the others (where installed) with Keras's. --compiled=on is XLA of
TensorFlow and torch.compile of the peer, which is compared with the peer that is not compiled. All
inputs lie on the device, and float32 products are float32's, unless --tf32 lets a GPU round them,
for every row. With --grow the batch doubles until a row runs out of memory or gains less than 3 %
in clips a second.
"""

import contextlib
import functools
import importlib.util
import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from absl import flags

from benchmarks import measured_tables, timing
from benchmarks.network_measurements import PEER, STREAMS, Row, Settings, works_of
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
LEAST_GAIN = 1.03  # of doubling the batch
BACKENDS = ("tensorflow", "jax", "torch")  # Keras backends, and the packages that they need
PRECISIONS, COMPILED = ("float32", "mixed_bfloat16", "mixed_float16"), ("off", "on")
STEPS = ("forward", "training")
ROW, PEAK = "row", "peak"  # what takes turns, beside the peer


def define_flags():
    flags.DEFINE_list("backends", list(BACKENDS), "Keras backends, those installed among them.")
    flags.DEFINE_list("precisions", ["float32", "mixed_bfloat16"], "Or mixed_float16.")
    flags.DEFINE_list("compiled", ["off", "on"], "By XLA (TensorFlow), by torch.compile (peer).")
    flags.DEFINE_list(
        "streams",
        ["trained"],
        "TensorFlow's step with streams trained, frozen or on their maps; frozen4 and maps4: of "
        "all blocks but the last.",
    )
    flags.DEFINE_bool("peer", True, "Also a plain PyTorch statement, where PyTorch is installed.")
    flags.DEFINE_list("batch_sizes", ["1"], "Clips a step.")
    flags.DEFINE_bool("grow", False, "Double the batch as long as a row gains from it.")
    flags.DEFINE_bool("tf32", False, "Let a GPU round the factors of float32 products to TF32.")
    flags.DEFINE_integer(
        "accumulation_steps", 1, "Of TensorFlow's step: its microbatches.", lower_bound=1
    )
    flags.DEFINE_bool(
        "remat", False, "TensorFlow's step computes the streams' activations again: less memory."
    )
    flags.DEFINE_integer("repeats", 5, "Turns; their median is reported.", lower_bound=1)
    flags.DEFINE_bool("training", True, "Also time the training step.")
    flags.DEFINE_integer("image_size", 224, "Pixels; the paper's is 224.", lower_bound=16)
    flags.DEFINE_integer(
        "peak_size", 4096, "Rows of the matrices that the peak is taken from.", lower_bound=1
    )
    flags.DEFINE_integer("limit", 1800, "Seconds after which a row is given up.", lower_bound=1)


def measure() -> Iterator[tuple[str, measured_tables.Row]]:
    backends, compiled = (
        measured_tables.chosen("backends", BACKENDS),
        measured_tables.chosen("compiled", COMPILED),
    )
    precisions = measured_tables.chosen("precisions", PRECISIONS)
    sizes, streams = (
        measured_tables.numbers("batch_sizes"),
        measured_tables.chosen("streams", list(STREAMS)),
    )
    settings = Settings(*(FLAGS[name].value for name in Settings._fields))
    measured = []
    for backend in (*backends, *[PEER] * FLAGS.peer):
        if importlib.util.find_spec("torch" if backend == PEER else backend) is None:
            print(f"{backend}: not installed")
            continue
        forms = ["off"] if backend in ("jax", "torch") else compiled
        parts = streams if backend == "tensorflow" else ["trained"]
        for precision, form, size, part in itertools.product(precisions, forms, sizes, parts):
            for row in _grown(Row(backend, precision, form, size, part), settings):
                measured.append(row)
                yield "network", row
    if all(row["failed"] for row in measured):
        raise UserError("no row could be measured")


def _grown(row: Row, settings: Settings) -> Iterator[measured_tables.Row]:
    """A row's figures; with --grow also those of batches that double, as long as it gains."""
    before = 0.0
    while True:
        figures = figures_of(row, settings, FLAGS.peer, FLAGS.limit)
        yield figures
        rate = figures["training clips/s"] or figures["forward clips/s"]
        if not FLAGS.grow or not rate or rate < LEAST_GAIN * before:
            return
        before, row = rate, row._replace(batch=2 * row.batch)


def figures_of(row: Row, settings: Settings, peer: bool, limit: float) -> measured_tables.Row:
    """The figures of a row, taken in a new process; why there are none is under `failed`.

    With `peer` it takes turns with one of the peer, in another process. A training step counts as
    three forward passes of what is trained, and one of frozen blocks.
    """
    units = ("s", "clips/s", "of peak", "to the peer", "least", "largest")
    figures: measured_tables.Row = row._asdict() | {
        "microbatches": settings.accumulation_steps,
        "remat": settings.remat,
        **{f"{step} {unit}": None for step in STEPS for unit in units},
        **{name: None for name in ("peak GFLOP/s", "GB", "parameters", "failed")},
    }
    rows = {ROW: row}
    other = Row(PEER, row.precision, "off", row.batch)
    if peer and row != other and row.streams == "trained" and importlib.util.find_spec("torch"):
        rows[PEER] = other
    steps = [STEPS[0]] * (row.backend != "tensorflow" or settings.accumulation_steps == 1)
    steps += [STEPS[1]] * settings.training
    try:
        with contextlib.ExitStack() as stack:
            calls = {
                # TensorFlow and PyTorch in one process can crash each other.
                name: stack.enter_context(
                    timing.new_process(
                        works_of,
                        one,
                        settings,
                        backend="torch" if one.backend == PEER else one.backend,
                        limit=limit,
                    )
                )
                for name, one in rows.items()
            }
            times = {step: turns(step, calls, settings.repeats) for step in steps}
            facts = calls[ROW]("facts")
    except UserError as error:
        return figures | {"failed": str(error)}
    for step, seconds in times.items():
        operations = 2 * facts["multiply_adds"][step] * row.batch
        figures |= {
            f"{step} {unit}": value
            for unit, value in rates(seconds, row.batch, operations, settings.peak_size).items()
        }
    products = [one for seconds in times.values() for one in seconds[PEAK]]
    peak = 2 * settings.peak_size**3 / statistics.median(products) / 1e9
    figures |= {"GB": facts["memory"] / 1e9, "parameters": facts["parameters"]}
    return figures | {"peak GFLOP/s": peak}


def turns(
    step: str, calls: Mapping[str, Callable[[str], Any]], repeats: int
) -> dict[str, list[float]]:
    """Seconds of a step in every process, and of a product in the row's, as they take turns."""
    works = {name: functools.partial(call, step) for name, call in calls.items()}
    works[PEAK] = functools.partial(calls[ROW], "multiply")
    for call in calls.values():
        call(f"start {step}")
    timing.in_turns(works, 1)  # compiles
    return timing.in_turns(works, repeats)


def rates(
    seconds: Mapping[str, list[float]], batch: int, operations: float, peak_size: int
) -> dict[str, float]:
    """Figures of a step by unit, from the seconds of its turns.

    Args:
        seconds: of `ROW`, of the product `PEAK`, and of the `PEER` where there is one.
        batch: clips a step.
        operations: multiplications and additions of a step.
        peak_size: rows of the product's matrices.
    """
    median = statistics.median(seconds[ROW])
    to_product = timing.median_ratio(seconds, PEAK, ROW)
    found = {
        "s": median,
        "clips/s": batch / median,
        "of peak": operations / (2 * peak_size**3) * to_product,
    }
    if PEER in seconds:
        ratios = [b / a for a, b in zip(seconds[ROW], seconds[PEER], strict=True)]
        found |= {"to the peer": statistics.median(ratios)}
        found |= {"least": min(ratios), "largest": max(ratios)}
    return found
