"""A short run of every benchmark that needs no run of one's own, one after the other.

    python -m experiments.benchmark all [--parts=input,start] [--output=DIR]

Each part prints its table, and the minutes that it took; with --output it writes NAME.json into the
folder. `--help` of a part says how it is measured at length. `export` is left out: it needs a run.
"""

import subprocess
import sys
import time
from pathlib import Path

from absl import flags

from experiments import program
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
MOST_MINUTES = 40  # that are aimed at
# The flags that make a part short.
PARTS = {
    "network": ["--backends=tensorflow", "--precisions=float32", "--xla=off", "--repeats=1"],
    "flow": ["--batches=8"],
    "preparation": [],
    "input": ["--rounds=5", "--width_divisor=4"],
    "start": ["--jit=off"],
    "growth": ["--videos=10,100,1000", "--classes=101", "--class_videos=1000"],
}


def define_flags():
    """Defines the flags of `experiments.benchmark all`."""
    flags.DEFINE_list("parts", list(PARTS), "What to run.")
    flags.DEFINE_string("output", None, "Folder for the figures, a JSON file a part.")


def main(_):
    for name in FLAGS.parts or [""]:
        if name not in PARTS:
            raise UserError(f"--parts={name} is not one of {', '.join(PARTS)}")
    folder = program.output_folder("output") if FLAGS.output else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    begun, failed = time.monotonic(), []
    for name in FLAGS.parts:
        since = time.monotonic()
        print(f"== {name} {' '.join(PARTS[name])}".rstrip(), flush=True)
        if not _run(name, folder):
            failed.append(name)
        print(f"== {name}: {(time.monotonic() - since) / 60:.1f} minutes\n", flush=True)
    minutes = (time.monotonic() - begun) / 60
    print(f"all: {minutes:.1f} minutes (target: {MOST_MINUTES})")
    if failed:
        raise UserError(f"not measured, for the reasons above: {', '.join(failed)}")


def _run(name: str, folder: Path | None) -> bool:
    """Runs one part; whether it ended well."""
    output = [f"--output={folder / name}.json"] if folder else []
    command = [sys.executable, "-m", "experiments.benchmark", name, *PARTS[name], *output]
    return not subprocess.run(command).returncode


if __name__ == "__main__":
    define_flags()
    program.run(main)
