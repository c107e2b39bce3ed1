"""What the benchmarks share: lists of numbers in flags, and figures in the file of --output."""

import json
from pathlib import Path

from absl import flags

from experiments import program
from preprocessing.errors import UserError


def numbers(name: str, least: int = 1) -> list[int]:
    """A flag that is a list of whole numbers.

    Args:
        name: of the flag.
        least: that a number may be.

    Raises:
        UserError: there is none, or one is no whole number or below `least`.
    """
    values = flags.FLAGS[name].value
    if not values or not all(value.isdecimal() and int(value) >= least for value in values):
        raise UserError(
            f"--{name}={','.join(values)}: write whole numbers of at least {least}, as 8,32"
        )
    return [int(value) for value in values]


def check_output():
    """Refuses a file that cannot be made, before the work.

    Raises:
        UserError: --output names a folder, or a file in a folder that does not exist.
    """
    if flags.FLAGS.output:
        program.output_file("output")


def write_output(figures):
    """Writes the figures, where --output is given."""
    if flags.FLAGS.output:
        Path(flags.FLAGS.output).write_text(json.dumps(figures, indent=1) + "\n")
