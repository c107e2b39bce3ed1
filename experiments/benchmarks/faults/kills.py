"""Kills a program at random moments, repeats it, and compares it with itself undisturbed."""

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.benchmarks.faults.contents import difference
from experiments.benchmarks.faults.tally import Tally
from preprocessing.errors import UserError

MOST_KILLS = 3  # a round
LEAST_LIMIT = 120.0  # s, before a repeated command counts as hung


class Killed:
    """A program that is killed.

    Attributes:
        name: of the row in the table.
    """

    name = ""

    def begin(self, folder: Path):
        """Puts what the program needs into a new folder."""
        folder.mkdir(parents=True)

    def command(self, folder: Path) -> list:
        """What to run, and to run again."""
        raise NotImplementedError

    def finished(self, folder: Path) -> dict:
        """Name -> value of all work that is complete, after a kill or at the end.

        None of it may be missing or changed later.

        Raises:
            UserError: what lies under a final name is not whole.
        """
        raise NotImplementedError

    def before_repeat(self, folder: Path, done: dict):
        """Called between a kill and the next command with what `finished` returned."""

    def result(self, folder: Path) -> dict:
        """The output of the ended program: nested dictionaries, lists, numbers and texts."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Undisturbed:
    """A program that ran to its end: its folder, `Killed.result`, and the time it took in s."""

    folder: Path
    result: dict
    seconds: float


def run(command, folder, limit=None):
    """Runs a program of the project, or kills it and its workers after `limit` seconds.

    Args:
        command: what follows `python`.
        folder: its output goes to the file `log` there.
        limit: s; None: until it ends.

    Returns:
        The exit status, or None where it was killed.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a process group of its own, with all its workers
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def undisturbed(killed: Killed, folder: Path) -> Undisturbed:
    """Runs a program to its end in a new folder.

    Raises:
        UserError: it fails even so.
    """
    killed.begin(folder)
    begun = time.monotonic()
    if run(killed.command(folder), folder):
        raise UserError(f"{killed.name} fails undisturbed: {_last_line(folder)}")
    seconds = time.monotonic() - begun
    return Undisturbed(folder, killed.result(folder), seconds)


def _last_line(folder):
    lines = (folder / "log").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


def kill_and_repeat(killed: Killed, folder: Path, reference: Undisturbed, generator):
    """One round: one to `MOST_KILLS` kills, then the command to its end.

    Args:
        killed: the program.
        folder: of the round, to be made.
        reference: the program undisturbed.
        generator: np.random.Generator, of the moments.

    Returns:
        (outcome, reason), or None where the program ended before it could be killed.
    """
    killed.begin(folder)
    moments = generator.uniform(0, reference.seconds, generator.integers(1, MOST_KILLS + 1))
    kills, status = 0, None
    try:
        done = killed.finished(folder)
        for limit in (*moments, max(LEAST_LIMIT, 10 * reference.seconds)):
            status = run(killed.command(folder), folder, limit)
            kills += status is None
            before, done = done, killed.finished(folder)
            if gone := sorted(before.keys() - done.keys()):
                return "lost", f"{gone[0]} is missing after kill {kills}"
            if changed := difference({name: done[name] for name in before}, before):
                return "lost", f"{changed} after kill {kills}, so it was done again"
            if status is not None:
                break
            killed.before_repeat(folder, done)
        if status is None:
            return "failed", f"still running after {limit:.0f} s"
        if status:
            return "failed", f"exit status {status} after kill {kills}: {_last_line(folder)}"
        if not kills:
            return None
        wrong = difference(killed.result(folder), reference.result)
    except UserError as error:
        return "lost", f"after kill {kills}: {error}"
    return ("wrong", f"{wrong} after kill {kills}") if wrong else ("survived", "")


def kill(killed: Killed, folder: Path, reference: Undisturbed, rounds: int, seed: int) -> Tally:
    """Counts the outcomes of `rounds` rounds of kills.

    The folder of a round that did not survive is kept.
    """
    tally, begun = Tally(killed.name), time.monotonic()
    for number in tqdm(range(rounds), desc=f"kills of {killed.name}", leave=False):
        place = folder / f"round-{number}"
        generator = np.random.default_rng([seed, zlib.crc32(killed.name.encode()), number])
        while not (outcome := kill_and_repeat(killed, place, reference, generator)):
            shutil.rmtree(place)
        tally.add(outcome[0], f"round {number}", outcome[1])
        if outcome[0] == "survived":
            shutil.rmtree(place)
    tally.seconds = time.monotonic() - begun
    return tally
