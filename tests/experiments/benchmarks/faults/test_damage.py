"""What readers answer to damaged files is judged."""

import pytest

from experiments.benchmarks.faults import damage
from preprocessing.worker_pool import Failure


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
    assert damage.judge(result, ["whole", "the one before"])[0] == outcome


def test_probabilities_may_differ_by_rounding_alone():
    right = [("Bow", (0.25, 0.75))]
    assert damage.judge(("Bow", (0.25 + 1e-8, 0.75)), right)[0] == "survived"
    assert damage.judge(("Bow", (0.26, 0.74)), right)[0] == "wrong"


def _first_line(folder):
    return (folder / "numbers.txt").read_text(encoding="latin-1").splitlines()[0]


def test_a_reader_without_a_checksum_is_found_wrong(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "numbers.txt").write_text("1 2 3 4\n" * 3)
    outcomes = []
    for number in range(20):
        task = damage.Task(
            _first_line, tmp_path / "whole", tmp_path / "copy", "numbers.txt", (number,)
        )
        try:
            result = damage.damage_and_read(task)
        except IndexError as error:
            result = Failure("error", str(error))
        outcomes.append(damage.judge(result, ["1 2 3 4"])[0])
    assert {"wrong", "survived"} <= set(outcomes)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
