import numpy as np
import pytest

from experiments.benchmarks.faults import contents
from preprocessing import files
from preprocessing.errors import UserError


def test_a_cut_off_file_is_not_whole(tmp_path):
    (tmp_path / "results.json").write_text('{"top1": 1.0, "seconds": 3.5}')
    assert contents.whole_files(tmp_path) == {"results.json": {"top1": 1.0}}
    (tmp_path / "curves.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=r"curves.png is not whole"):
        contents.whole_files(tmp_path)


def test_locks_are_no_content_and_partial_files_are_left_over(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / files.LOCK_FILE).touch()
    (tmp_path / ".partial-host-1-b").touch()
    digests = contents.digests(tmp_path)
    assert digests.keys() == {"a", ".partial-host-1-b"}
    # FIPS 180-2, appendix B.1
    assert digests["a"].startswith("ba7816bf8f01cfea414140de5dae2223b00361a396177a9c")
    assert contents.leftovers(tmp_path) == [".partial-host-1-b"]


def test_seconds_and_waits_are_not_compared(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,loss,clips_per_second\n1,0.5,30\n")
    assert contents.csv_rows(tmp_path / "history.csv") == [{"epoch": 1.0, "loss": 0.5}]
    assert contents.untimed({"a": [{"input_wait": 1, "b": 2}]}) == {"a": [{"b": 2}]}


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.0 + 1e-7]}, None),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.1]}, "/a/1 differs"),
        ({"a": [1.0]}, {"a": [1.0, 2.0]}, "/a has 1 items instead of 2"),
        ({"a": 1}, {"b": 1}, " has not the same a"),
        ({"a": np.zeros(2)}, {"a": np.zeros(3)}, "/a differs"),
        ({"a": "x"}, {"a": "y"}, "/a is 'x' instead of 'y'"),
        ({"a": float("nan")}, {"a": float("nan")}, None),
    ],
)
def test_the_first_difference_is_named(ours, theirs, difference):
    assert contents.difference(ours, theirs) == difference
