"""Lists of videos beside the records: those that failed, and those that are doubtful.

Each is a file of JSON rows, one a line; without rows there is no file.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.json_checks import having, text

FAILURES_FILE = "failures.jsonl"  # videos that are not in the record set
NOTES_FILE = "notes.jsonl"  # videos that are in it though something about them is doubtful


class Row(TypedDict):
    """One video of a list."""

    id: str
    path: str
    outcome: str  # name of the kind of fault, such as `truncated`
    reason: str


_ROW = having(id=text, path=text, outcome=text, reason=text)


def read_rows(folder: Path, name: str) -> tuple[Row, ...]:
    """Rows of `FAILURES_FILE` or `NOTES_FILE`; raises UserError where a line is damaged."""
    path = Path(folder) / name
    if not path.is_file():
        return ()
    rows: list[Row] = []
    try:
        for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            if needed := _ROW(row):
                raise ValueError(f"needed is {needed}")
            rows.append(row)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{path}, line {len(rows) + 1} is damaged ({error}), as when a preparation was stopped:"
            " run the same experiments.prepare again, which tries only the failed videos and"
            " writes the file again. Without it, delete the file: the records do not need it"
        ) from error
    return tuple(rows)


def write_rows(folder: Path, name: str, rows: Iterable[Row]):
    """Replaces a list in one step; where there are no rows, there is no file."""
    path = Path(folder) / name
    if lines := "".join(map(_line, rows)):
        files.write_text(path, lines)
    else:
        path.unlink(missing_ok=True)


def append_row(folder: Path, name: str, row: Row):
    """Adds one row to a list that grows while videos are prepared."""
    with (Path(folder) / name).open("a", encoding="utf-8") as file:
        file.write(_line(row))


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"
