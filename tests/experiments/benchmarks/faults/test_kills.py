"""A program with a fault, killed once: what the benchmark must find."""

import pytest

from experiments.benchmarks.faults import contents, kills

# Its first run does a part and hangs, to be killed; the second does the rest.
STAND_IN = """
import pathlib, sys, time
folder, fault = pathlib.Path(sys.argv[1]), sys.argv[2]
part, result = folder / "part.json", folder / "result.json"
if not part.exists():
    if fault == "half a result":
        result.write_text('{"answer": ')
    part.write_text('{"speed": 1.0}')
    if fault != "never killed":
        time.sleep(60)
if fault == "forgotten":
    part.unlink()
if fault == "done again":
    part.write_text('{"speed": 1.1}')
if fault == "left over":
    (folder / ".partial-host-1-result.json").touch()
if fault == "cannot go on":
    sys.exit("error: no way")
result.write_text('{"answer": 43}' if fault == "another result" else '{"answer": 42}')
"""


class StandIn(kills.Killed):
    """A program with a fault."""

    name = "stand-in"

    def __init__(self, fault):
        self.fault = fault

    def command(self, folder):
        return ["-c", STAND_IN, str(folder), self.fault]

    def finished(self, folder):
        return contents.whole_files(folder)

    def result(self, folder):
        whole = contents.whole_files(folder)
        return {**whole, "left over": contents.leftovers(folder)}


class OneKill:
    """In place of a generator: one kill after a second."""

    def integers(self, low, high):
        return 1

    def uniform(self, low, high, size):
        return [1.0]


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ("none", "survived", ""),
        ("half a result", "lost", "result.json is not whole"),
        ("forgotten", "lost", "part.json is missing after kill 1"),
        ("done again", "lost", "part.json/speed differs after kill 1, so it was done again"),
        ("another result", "wrong", "result.json/answer is 43 instead of 42"),
        ("left over", "wrong", "/left over has 1 items instead of 0"),
        ("cannot go on", "failed", "exit status 1 after kill 1: error: no way"),
    ],
)
def test_a_fault_of_a_killed_program_is_found(tmp_path, fault, outcome, reason):
    right = {"part.json": {"speed": 1.0}, "result.json": {"answer": 42}, "left over": []}
    reference = kills.Undisturbed(tmp_path, right, 1.0)
    actual, why = kills.kill_and_repeat(StandIn(fault), tmp_path / "round", reference, OneKill())
    assert actual == outcome and reason in why


def test_a_program_that_ends_before_its_kill_does_not_count(tmp_path):
    reference = kills.undisturbed(StandIn("never killed"), tmp_path / "whole")
    assert reference.result["result.json"] == {"answer": 42}
    late = tmp_path / "round"
    killed = kills.kill_and_repeat(StandIn("never killed"), late, reference, OneKill())
    assert killed is None
