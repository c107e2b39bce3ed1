"""Kills the programs at random moments and damages their files, and counts what that loses.

    python -m experiments.benchmark faults [--rounds=3] [--mutations=50] [--seed=0] [--only=train]

Everything happens on a tiny set of generated videos in a temporary folder, on the CPU.

Kills. A round starts prepare, train, evaluate or export and sends SIGKILL to it and its workers, at
a moment drawn uniformly over the time that it takes undisturbed, one to three times. The same
command is repeated after each, until it ends, and its output is compared with that of an
undisturbed run: the bytes of records; the losses of every step and the weights; results and
predictions; the probabilities of an export. Whatever bears a final name after a kill must be whole.

Mutations. Bits are flipped and bytes are zeroed, inserted, deleted or cut off in a video, a record
set, a checkpoint, a run's network or an export, which is then read as the programs do.

survived   the result of a kill equals the undisturbed one; a damaged file is named in one line, or
           makes no difference
lost       work that was complete before a kill is missing, half or was done again: a video, an
           epoch with a checkpoint, a result; a damaged file ends in a traceback, crash or hang
wrong      exit status 0 and another result, or temporary files left; a damaged file is read as if
           it were whole, and gives another result
failed     the repeated command does not succeed

Not counted as wrong is what has no checksum: a damaged video that decodes to other pixels, and
other names or groups in metadata.json. A decoder that dies or hangs survives as long as the
preparation lists its video and continues. Exit status 1 unless every round survived.
"""

import os
import sys
import tempfile
from pathlib import Path

from absl import flags

from experiments import program
from experiments.benchmarks.faults.tally import table
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
KILLED = ("prepare", "train", "evaluate", "export")
DAMAGED = ("videos", "records", "checkpoints", "networks", "exports")


def define_flags():
    """Defines the flags of `experiments.benchmark faults`."""
    flags.DEFINE_integer("rounds", 3, "Rounds of kills of each program.", lower_bound=0)
    flags.DEFINE_integer("mutations", 50, "Damaged files of each kind.", lower_bound=0)
    flags.DEFINE_integer("seed", 0, "What is drawn.", lower_bound=0)
    flags.DEFINE_list("only", None, f"Some of {', '.join(KILLED + DAMAGED)}; default all.")
    flags.DEFINE_string("output", None, "Empty folder to work in and leave; default a temporary.")


def measure(folder, rounds, mutations, seed, only=KILLED + DAMAGED):
    """Kills and damages.

    Args:
        folder: to work in.
        rounds: of kills of each program.
        mutations: of each kind of file.
        seed: of what is drawn.
        only: names of programs and kinds of files.

    Returns:
        list of Tally.
    """
    from experiments.benchmarks.faults import damage, kills, programs, videos

    references = programs.References(folder / "undisturbed")
    tallies = []
    for name in KILLED:
        if rounds and name in only:
            killed, reference = references.program(name), references.undisturbed(name)
            tallies.append(kills.kill(killed, folder / name, reference, rounds, seed))
    for name in DAMAGED:
        if mutations and name in only:
            scratch = folder / f"damaged-{name}"
            if name == "videos":
                tallies.append(videos.damage_videos(scratch, mutations, seed))
            else:
                tallies.append(damage.damage(name, references, scratch, mutations, seed))
    return tallies


def main(_):
    only = FLAGS.only or KILLED + DAMAGED
    if unknown := set(only) - set(KILLED + DAMAGED):
        raise UserError(
            f"--only={min(unknown)} is not one of {', '.join(KILLED + DAMAGED)}: name some of them"
        )
    if FLAGS.output and Path(FLAGS.output).is_dir() and any(Path(FLAGS.output).iterdir()):
        raise UserError(f"--output={FLAGS.output} is not empty: choose another folder")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # results are compared: all on the CPU
    program.start_tensorflow()
    with tempfile.TemporaryDirectory(prefix="stfnet-faults-") as temporary:
        folder = Path(FLAGS.output or temporary).absolute()
        tallies = measure(folder, FLAGS.rounds, FLAGS.mutations, FLAGS.seed, only)
    print(table(tallies))
    for tally in tallies:
        print(*tally.notes, sep="\n", end="\n" if tally.notes else "", file=sys.stderr)
    return 0 if all(tally.clean for tally in tallies) else 1


if __name__ == "__main__":
    define_flags()
    program.run(main)
