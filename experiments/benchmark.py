"""Measures this machine's speed at one part of the road, as ratios to a peer or a bound.

    python -m experiments.benchmark network|flow|preparation|input|export [flags]

network      forward pass and training step of the full network, beside peak and peer
flow         TV-L1 pairs a second, OpenCV and Keras
preparation  preparation against a bare OpenCV loop over the same pairs
input        the input pipeline against decoding its JPEGs alone
export       an exported model on whole videos against the network on their records
"""

import importlib
import sys

from experiments import program
from preprocessing.errors import UserError

PARTS = ("network", "flow", "preparation", "input", "export")


def cli():
    if len(sys.argv) > 1 and sys.argv[1] in PARTS:
        part = importlib.import_module(f"experiments.benchmark_{sys.argv.pop(1)}")
        part.define_flags()  # here, since the parts' flags share names
        program.run(part.main)
    else:
        program.run(main)


def main(argv):
    """Reached without a part only."""
    raise UserError(f"name what to measure, one of {', '.join(PARTS)}: --help tells more")


if __name__ == "__main__":
    cli()
