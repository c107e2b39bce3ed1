"""The figures of a benchmark in the JSON file that its flag --output names."""

import json
from pathlib import Path

from absl import flags

from experiments import program


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
