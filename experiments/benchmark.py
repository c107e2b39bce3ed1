"""Measures one part of the project: its speed beside a peer or a bound, or its growth.

    python -m experiments.benchmark NAME [flags]

network      forward pass and training step of the full network, beside peak and peer
flow         TV-L1 pairs a second, OpenCV and Keras
preparation  preparation against a bare OpenCV loop over the same pairs
input        the input pipeline against decoding its JPEGs alone
start        seconds to the first step of a training and to the label of a video
growth       time and memory against the number of videos and of classes
export       an exported model on whole videos against the network on their records
all          a short run of all of these but export, one after the other
"""

import importlib
import sys

from experiments import program
from preprocessing.errors import UserError

BENCHMARKS = {
    "network": "experiments.benchmarks.network",
    "flow": "experiments.benchmarks.flow",
    "preparation": "experiments.benchmarks.preparation",
    "input": "experiments.benchmarks.input",
    "start": "experiments.benchmarks.start",
    "growth": "experiments.benchmarks.growth",
    "export": "experiments.benchmarks.export",
    "all": "experiments.benchmarks.everything",
}


def cli():
    if len(sys.argv) > 1 and sys.argv[1] in BENCHMARKS:
        benchmark = importlib.import_module(BENCHMARKS[sys.argv.pop(1)])
        benchmark.define_flags()  # here, since the benchmarks' flags share names
        program.run(benchmark.main)
    else:
        program.run(main)


def main(argv):
    """Reached without the name of a benchmark only."""
    raise UserError(f"name what to measure, one of {', '.join(BENCHMARKS)}: --help describes them")


if __name__ == "__main__":
    cli()
