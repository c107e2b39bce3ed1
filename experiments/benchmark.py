"""Measures one part of the road: its speed beside a peer or a bound, or what faults do to it.

    python -m experiments.benchmark network|flow|preparation|input|export|faults [flags]

network      forward pass and training step of the full network, beside peak and peer
flow         TV-L1 pairs a second, OpenCV and Keras
preparation  preparation against a bare OpenCV loop over the same pairs
input        the input pipeline against decoding its JPEGs alone
export       an exported model on whole videos against the network on their records
faults       kills at random moments and damaged files: what is lost, and what is wrong
"""

import importlib
import sys

from experiments import program
from preprocessing.errors import UserError

PARTS = ("network", "flow", "preparation", "input", "export", "faults")


def cli():
    if len(sys.argv) > 1 and sys.argv[1] in PARTS:
        part = importlib.import_module(f"experiments.benchmarks.{sys.argv.pop(1)}")
        part.define_flags()  # here, since the parts' flags share names
        program.run(part.main)
    else:
        program.run(main)


def main(argv):
    """Reached without a part only."""
    raise UserError(f"name what to measure, one of {', '.join(PARTS)}: --help tells more")


if __name__ == "__main__":
    cli()
