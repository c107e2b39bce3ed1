r"""The full network on this machine: forward pass and training step, beside peak and peer.

    python -m benchmarks network [--backends=tensorflow,jax,torch] [--nopeer]
        [--precisions=float32,mixed_bfloat16] [--xla=off,on] [--batch_sizes=1,4] [--grow] [--remat]
        [--streams=trained,frozen,maps,frozen4,maps4] [--tf32]

Every row runs in a process of its own, which measures the peak of matrix products in the row's
precision too (before, between and after), since seconds say little on a machine that is shared. The
TensorFlow backend is timed with the project's own training step, the others (where installed) with
Keras's; the peer is a plain PyTorch statement of the same network with Adam, in the same precision
(mixed ones by autocast) and at the same batch. All inputs lie on the device, and float32 products
are float32's, unless --tf32 lets a GPU round them, for every row. The second table says how many
times as fast as the peer each row with trained streams is. With --grow the batch doubles until a
row runs out of memory or gains less than 3 % in clips a second.
"""

import importlib.util
import itertools
from collections.abc import Iterator, Sequence

from absl import flags

from benchmarks import tables, timing
from benchmarks.network_measurements import PEER, STREAMS, Row, Settings, measured_row
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
LEAST_GAIN = 1.03  # of doubling the batch
BACKENDS = ("tensorflow", "jax", "torch")  # Keras backends, and the packages that they need
PRECISIONS, XLA = ("float32", "mixed_bfloat16", "mixed_float16"), ("off", "on")
STEPS = ("forward", "training")


def define_flags():
    flags.DEFINE_list("backends", list(BACKENDS), "Keras backends, those installed among them.")
    flags.DEFINE_list("precisions", ["float32", "mixed_bfloat16"], "Or mixed_float16.")
    flags.DEFINE_list("xla", ["off", "on"], "Whether TensorFlow compiles with XLA.")
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
    flags.DEFINE_integer("repeats", 3, "Timed repetitions; the median is reported.", lower_bound=1)
    flags.DEFINE_bool("training", True, "Also time the training step.")
    flags.DEFINE_integer("image_size", 224, "Pixels; the paper's is 224.", lower_bound=16)
    flags.DEFINE_integer(
        "peak_size", 4096, "Rows of the matrices that the peak is taken from.", lower_bound=1
    )
    flags.DEFINE_integer("limit", 1800, "Seconds after which a row is given up.", lower_bound=1)


def measure() -> Iterator[tuple[str, tables.Row]]:
    backends, xla = tables.chosen("backends", BACKENDS), tables.chosen("xla", XLA)
    precisions = tables.chosen("precisions", PRECISIONS)
    sizes, streams = tables.numbers("batch_sizes"), tables.chosen("streams", list(STREAMS))
    settings = Settings(*(FLAGS[name].value for name in Settings._fields))
    table = []
    for backend in (*backends, *[PEER] * FLAGS.peer):
        if importlib.util.find_spec("torch" if backend == PEER else backend) is None:
            print(f"{backend}: not installed")
            continue
        kinds = (xla, sizes, streams) if backend == "tensorflow" else (["off"], sizes)
        for precision, *kind in itertools.product(precisions, *kinds):
            for measured in _grown(Row(backend, precision, *kind), settings):
                table.append(measured)
                yield "network", measured
    for compared in ratios(table):
        yield "clips/s, to the peer's of the same precision and batch", compared
    if all(row["failed"] for row in table):
        raise UserError("no row could be measured")


def _grown(row: Row, settings: Settings) -> Iterator[tables.Row]:
    """A row's figures; with --grow also those of batches that double, as long as it gains."""
    before = 0.0
    while True:
        figures = figures_of(row, settings, FLAGS.limit)
        yield figures
        rate = figures["training clips/s"] or figures["forward clips/s"]
        if not FLAGS.grow or not rate or rate < LEAST_GAIN * before:
            return
        before, row = rate, row._replace(batch=2 * row.batch)


def figures_of(row: Row, settings: Settings, limit: float) -> tables.Row:
    """The figures of a row, taken in a new process; why there are none is under `failed`.

    A training step counts as three forward passes of what is trained, and one of frozen blocks.
    """
    units = ("s", "clips/s", "GFLOP/s", "of peak")
    figures: tables.Row = row._asdict() | {
        "microbatches": settings.accumulation_steps,
        "remat": settings.remat,
        **{f"{step} {unit}": None for step in STEPS for unit in units},
        **{name: None for name in ("peak GFLOP/s", "GB", "parameters", "failed")},
    }
    try:
        # TensorFlow and PyTorch in one process can crash each other.
        backend = "torch" if row.backend == PEER else row.backend
        measured = timing.in_new_process(measured_row, row, settings, backend=backend, limit=limit)
    except UserError as error:
        return figures | {"failed": str(error)}
    peak = 2 * settings.peak_size**3 / measured["peak"] / 1e9
    for step in STEPS:
        if step in measured["seconds"]:
            seconds = measured["seconds"][step]
            gflops = 2 * measured["multiply_adds"][step] * row.batch / 1e9 / seconds
            values = (seconds, row.batch / seconds, gflops, gflops / peak)
            figures |= {f"{step} {unit}": x for unit, x in zip(units, values, strict=True)}
    figures |= {"GB": measured["memory"] / 1e9, "parameters": measured["parameters"]}
    return figures | {"peak GFLOP/s": peak}


def ratios(table: Sequence[tables.Row]) -> Iterator[tables.Row]:
    """How many times as fast as the peer each row is, at the same precision and batch."""
    peers = {(row["precision"], row["batch"]): row for row in table if row["backend"] == PEER}
    for row in table:
        peer = peers.get((row["precision"], row["batch"]))
        if peer is None or peer["failed"] or row["failed"] or row["streams"] != "trained":
            continue
        if row is not peer:
            rates = {step: (row[f"{step} clips/s"], peer[f"{step} clips/s"]) for step in STEPS}
            yield {
                **{name: row[name] for name in ("backend", "precision", "xla", "batch")},
                **{step: a / b if a and b else None for step, (a, b) in rates.items()},
            }
