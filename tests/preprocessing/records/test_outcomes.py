import json

import pytest

from preprocessing.errors import UserError
from preprocessing.records import outcomes

ROWS = [
    outcomes.Row(id="v_Über", path="/videos/Über.mp4", outcome="corrupt", reason="no key frame"),
    outcomes.Row(id="v_b", path="/videos/b.mp4", outcome="truncated", reason='ends "early"'),
]


@pytest.mark.parametrize("name", [outcomes.FAILURES_FILE, outcomes.NOTES_FILE])
def test_rows_come_back_as_written_one_a_line(tmp_path, name):
    assert outcomes.read_rows(tmp_path, name) == ()
    outcomes.write_rows(tmp_path, name, ROWS)
    lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS
    assert outcomes.read_rows(tmp_path, name) == tuple(ROWS)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_list_that_grows_is_the_one_that_is_written_at_once(tmp_path):
    for row in ROWS:
        outcomes.append_row(tmp_path, "grown", row)
    outcomes.write_rows(tmp_path, "written", ROWS)
    assert (tmp_path / "grown").read_bytes() == (tmp_path / "written").read_bytes()


def test_without_rows_there_is_no_file(tmp_path):
    outcomes.write_rows(tmp_path, outcomes.NOTES_FILE, [])
    assert not list(tmp_path.iterdir())
    outcomes.write_rows(tmp_path, outcomes.NOTES_FILE, ROWS)
    outcomes.write_rows(tmp_path, outcomes.NOTES_FILE, iter(()))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('{"id": "a", "pat', id="cut"),
        pytest.param("[]", id="list"),
        pytest.param('{"id": "a"}', id="one key"),
        pytest.param('"id"', id="text"),
        pytest.param("\0", id="zeros"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param(json.dumps(ROWS[0] | {"reason": 1}), id="number"),
    ],
)
def test_a_damaged_line_is_one_line_with_the_way_out(tmp_path, line):
    (tmp_path / "failures.jsonl").write_text(f"{json.dumps(ROWS[0])}\n{line}\n")
    with pytest.raises(UserError, match=r"failures.jsonl, line 2 is damaged .*run the same") as one:
        outcomes.read_rows(tmp_path, "failures.jsonl")
    assert "\n" not in str(one.value)
