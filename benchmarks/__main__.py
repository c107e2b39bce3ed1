"""Measures one part of the project: its speed beside a peer or a bound, or its growth.

    python -m benchmarks NAME [flags]

network      forward pass and training step of the full network, beside peak and peer
flow         TV-L1 pairs a second, OpenCV, Numba and Keras
preparation  preparation against a bare OpenCV loop over the same pairs
input        the input pipeline against decoding its JPEGs alone
start        seconds to the first step of a training and to the label of a video
growth       time and memory against the number of videos and of classes
fit          Keras' `fit` on real clips, epoch by epoch, for a GPU without TensorFlow
export       an exported model on whole videos against the network on their records

Each prints Markdown tables, row by row as it is measured; --output writes the figures as JSON too.
`make benchmarks` is a short run of all but fit and export, which need records.
"""

import functools
import importlib
import json
import sys

from absl import flags

from benchmarks import measured_tables
from experiments import program
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
# What each is called -> its module.
BENCHMARKS = {
    "network": "network",
    "flow": "flow",
    "preparation": "preparation",
    "input": "input",
    "start": "start",
    "growth": "growth",
    "fit": "fit",
    "export": "exported_model",
}


def cli():
    if len(sys.argv) > 1 and sys.argv[1] in BENCHMARKS:
        benchmark = importlib.import_module(f"benchmarks.{BENCHMARKS[sys.argv.pop(1)]}")
        benchmark.define_flags()  # here, since the benchmarks' flags share names
        output = flags.DEFINE_string("output", None, "JSON file for the figures.")
        # --help shows the flags of the benchmark's own module.
        FLAGS.register_flag_by_module(benchmark.__name__, FLAGS[output.name])
        program.run(functools.wraps(benchmark.measure)(lambda _: run(benchmark.measure)))
    else:
        program.run(name_missing)


def run(measure):
    """Prints the tables of a benchmark, and writes them where --output is given."""
    path = program.output_file("output") if FLAGS.output else None
    measured = measured_tables.show(measure())
    if path:
        path.write_text(json.dumps(measured, indent=1) + "\n")


def name_missing(_):
    """Reached without the name of a benchmark only."""
    names = ", ".join(BENCHMARKS)
    raise UserError(f"name what to measure, one of {names}: --help describes them")


if __name__ == "__main__":
    cli()
