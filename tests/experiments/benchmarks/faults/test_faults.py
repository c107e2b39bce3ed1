"""The benchmark of faults: what it must find, and a small round of it."""

import subprocess
import sys

import numpy as np
import pytest

from experiments.benchmarks.faults import contents, kills, mutations
from experiments.benchmarks.faults.tally import Tally, table
from preprocessing.errors import UserError
from preprocessing.worker_pool import Failure

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
    found = kills.kill_and_repeat(StandIn(fault), tmp_path / "round", reference, OneKill())
    assert found[0] == outcome and reason in found[1]


def test_a_program_that_ends_before_its_kill_does_not_count(tmp_path):
    reference = kills.undisturbed(StandIn("never killed"), tmp_path / "whole")
    assert reference.result["result.json"] == {"answer": 42}
    late = tmp_path / "round"
    killed = kills.kill_and_repeat(StandIn("never killed"), late, reference, OneKill())
    assert killed is None


def test_every_mutation_differs_and_can_be_drawn_again():
    content = bytes(range(256)) * 40
    damaged = [mutations.mutate(content, np.random.default_rng(k)) for k in range(200)]
    assert content not in damaged and len(set(damaged)) > 190
    assert damaged[7] == mutations.mutate(content, np.random.default_rng(7))
    lengths = np.array([len(one) for one in damaged]) - len(content)
    assert (lengths < 0).sum() > 20 and (lengths == 0).sum() > 20 and (lengths > 0).sum() > 20
    first = [next((k for k in range(len(a)) if a[k] != content[k]), len(a)) for a in damaged]
    assert sum(place < 512 for place in first) > 60  # the header more often than 1 in 20
    assert mutations.mutate(b"x", np.random.default_rng(0)) != b"x"


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ("whole", "survived"),
        ("the one before", "survived"),
        ("other bytes", "wrong"),
        (Failure("refused", "checkpoint is damaged"), "survived"),
        (Failure("error", "TypeError: NoneType"), "lost"),
        (Failure("worker_died", "SIGSEGV"), "lost"),
        (Failure("hung", "no frame for 120 s"), "lost"),
    ],
)
def test_the_answer_to_damage_is_judged(result, outcome):
    assert mutations.judge(result, ["whole", "the one before"])[0] == outcome


def test_probabilities_may_differ_by_rounding_alone():
    right = [("Bow", (0.25, 0.75))]
    assert mutations.judge(("Bow", (0.25 + 1e-8, 0.75)), right)[0] == "survived"
    assert mutations.judge(("Bow", (0.26, 0.74)), right)[0] == "wrong"


def test_a_damaged_video_is_a_record_or_a_named_failure():
    named = {"outcome": "corrupt", "reason": "it is no video"}
    raised = {"outcome": "error", "reason": "TypeError: NoneType"}
    judge = mutations.judge_video
    assert judge("a", {"a": named}, {"b"})[0] == "survived"
    assert judge("b", {"a": named}, {"b"})[0] == "survived"
    assert judge("a", {"a": raised}, set()) == ("lost", "TypeError: NoneType")
    assert judge("c", {"a": named}, {"b"})[0] == "lost"


def _first_line(folder):
    return (folder / "numbers.txt").read_text(encoding="latin-1").splitlines()[0]


def test_a_reader_without_a_checksum_is_found_wrong(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "numbers.txt").write_text("1 2 3 4\n" * 3)
    outcomes = []
    for number in range(20):
        task = mutations.Task(
            _first_line, tmp_path / "whole", tmp_path / "copy", "numbers.txt", (number,)
        )
        try:
            result = mutations.damage_and_read(task)
        except IndexError as error:
            result = Failure("error", str(error))
        outcomes.append(mutations.judge(result, ["1 2 3 4"])[0])
    assert {"wrong", "survived"} <= set(outcomes)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_a_cut_off_file_is_not_whole(tmp_path):
    (tmp_path / "results.json").write_text('{"top1": 1.0, "seconds": 3.5}')
    assert contents.whole_files(tmp_path) == {"results.json": {"top1": 1.0}}
    (tmp_path / "curves.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"curves.png is not whole"):
        contents.whole_files(tmp_path)


def test_the_table_has_a_row_for_each_tally():
    good, bad = Tally("train", seconds=61.4), Tally("records")
    for number in range(11):
        good.add("survived", f"round {number}")
    bad.add("wrong", "metadata.json 3", "read as if\nit were whole")
    assert good.clean and not bad.clean
    assert bad.notes == ["records metadata.json 3 wrong: read as if it were whole"]
    assert table([good, bad]).splitlines() == [
        "         tried  survived  lost  wrong  failed  seconds",
        "train       11        11     0      0       0       61",
        "records      1         0     0      1       0        0",
    ]


@pytest.mark.slow
def test_a_small_round_survives(tmp_path):
    only = "prepare,train,videos,checkpoints"  # the others take minutes
    arguments = ["--rounds=1", "--mutations=10", f"--only={only}", f"--output={tmp_path / 'work'}"]
    command = [sys.executable, "-m", "experiments.benchmark", "faults", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    counts = ["1", "1", "10", "10"]
    assert [row[:3] for row in rows] == [
        [name, count, count] for name, count in zip(only.split(","), counts, strict=True)
    ]
