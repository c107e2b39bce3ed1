r"""The full network on this machine: forward pass and training step, beside peak and peer.

    python -m experiments.benchmark network [--backends=tensorflow,jax,torch] [--nopeer]
        [--precisions=float32,mixed_bfloat16] [--xla=off,on] [--batch_sizes=1,4] [--grow] [--remat]
        [--streams=trained,frozen,maps,frozen4,maps4] [--tf32]

Every row runs in a process of its own, which measures the peak of matrix products in the row's
precision too (before, between and after), since seconds say little on a machine that is shared. The
TensorFlow backend is timed with the project's own training step, the others (where installed) with
Keras's; the peer is a plain PyTorch statement of the same network with Adam, in the same precision
(mixed ones by autocast) and at the same batch. All inputs lie on the device, and float32 products
are float32's, unless --tf32 lets a GPU round them, for every row. The last lines say how many times
as fast as the peer each row with trained streams is. With --grow the batch doubles until a row runs
out of memory or gains less than 3 % in clips a second. Written as JSON too, with --output.
"""

import json

from absl import flags

from experiments import program
from experiments.benchmarks import figures, network_measurements, network_rows
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
COLUMNS = "{:34} {:>5} {:>9} {:>9} {:>8} {:>6} {:>9} {:>9} {:>8} {:>6} {:>8}"


def define_flags():
    """Defines the flags of `experiments.benchmark network`."""
    backends = list(network_rows.PACKAGES)
    flags.DEFINE_list("backends", backends, "Keras backends, those installed among them.")
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
    flags.DEFINE_string("output", None, "JSON file for the figures.")
    flags.DEFINE_string("row", None, "One row's settings as JSON; what the program calls itself.")


def _name(row):
    """What a row of the table is."""
    name = f"{row['backend']} {row['precision']}{' XLA' if row['xla'] else ''}"
    return name if row["streams"] == "trained" else f"{name}, {row['streams']}"


def _line(row):
    """A line of the table."""
    name = _name(row)
    if "failed" in row:
        return f"{name:34} {row['batch_size']:>5} {row['failed']}"
    cells = []
    for step in (row.get("forward"), row.get("training")):
        if step:
            cells += [step["seconds"], step["clips_per_second"], step["gflops"]]
            cells += [f"{step['share_of_peak']:.2f}"]
        else:
            cells += [""] * 4
    return COLUMNS.format(name, row["batch_size"], *cells, f"{row['peak_memory_gb']:.1f}")


def main(_):
    settings = network_measurements.Settings(
        accumulation_steps=FLAGS.accumulation_steps,
        remat=FLAGS.remat,
        repeats=FLAGS.repeats,
        image_size=FLAGS.image_size,
        peak_size=FLAGS.peak_size,
        training=FLAGS.training,
        tf32=FLAGS.tf32,
    )
    if FLAGS.row:
        row = network_rows.parse(FLAGS.row)
        print(network_rows.RESULT + json.dumps(network_measurements.measure(row, settings)))
        return
    figures.check_output()
    rows = list(
        network_rows.rows(
            FLAGS.backends,
            FLAGS.precisions,
            FLAGS.xla,
            FLAGS.peer,
            figures.numbers("batch_sizes"),
            FLAGS.streams,
        )
    )
    halves = ("forward s", "clips/s", "GFLOP/s", "peak", "train s", "clips/s", "GFLOP/s", "peak")
    print(COLUMNS.format("", "batch", *halves, "GB"))
    table = []
    for row in rows:
        for measured in network_rows.measure(row, settings, FLAGS.limit, FLAGS.grow):
            print(_line(measured), flush=True)
            table.append(measured)
    for compared, ratio in network_rows.ratios(table):
        times = ", ".join(f"{step} {times:.2f}" for step, times in ratio.items())
        print(f"to the peer: {_name(compared)}, batch {compared['batch_size']}: {times}")
    figures.write_output(table)
    if all("failed" in row for row in table):
        raise UserError("no row could be measured")


if __name__ == "__main__":
    define_flags()
    program.run(main)
