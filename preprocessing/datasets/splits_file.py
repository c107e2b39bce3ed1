"""`splits.csv`: what a user says of the videos in a folder beyond their class folders."""

import collections
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from preprocessing.datasets import lists
from preprocessing.errors import UserError
from preprocessing.splits import SIDES
from preprocessing.video import Segment

NAME = "splits.csv"
_COLUMNS = ("video", "class", "group", "split", "start", "end")
_OTHER_TABLES = (".xlsx", ".xls", ".ods", ".tsv", ".txt")


@dataclass(frozen=True)
class Line:
    """What a line says of its video; empty texts where it says nothing.

    Attributes:
        where: the file and the line, for messages.
        class_name, group: as written, with composed letters (NFC).
        split: `train`, `val` or `test`.
        segment: the part of the file that is the video; None for all of it.
    """

    where: str = ""
    class_name: str = ""
    group: str = ""
    split: str = ""
    segment: Segment | None = None


def find(folder: Path) -> Path | None:
    """The `splits.csv` in a folder, in capitals or not; None without one.

    Raises:
        UserError: there are two, or there is one of another format.
    """
    found = [path for path in sorted(folder.iterdir()) if path.stem.casefold() == "splits"]
    tables = [path for path in found if path.suffix.casefold() == ".csv" and path.is_file()]
    others = [path for path in found if path.suffix.casefold() in _OTHER_TABLES]
    if len(tables) + len(others) > 1:
        names = ", ".join(path.name for path in (*tables, *others))
        raise UserError(f"{folder} has {names}: keep one, as {NAME}")
    if others:
        raise UserError(f"{others[0]} is not read: save the table as {NAME}")
    return tables[0] if tables else None


def read(path: Path) -> dict[str, list[Line]]:
    """`lists.path_key` of a video, as its path from the folder -> its lines.

    Raises:
        UserError: the table cannot be read (see `lists.read_rows`), a value is wrong, or lines of
            one video contradict each other.
    """
    folder = f"{lists.path_key(str(path.parent.absolute()))}/"
    lines: dict[str, list[Line]] = collections.defaultdict(list)
    for row in lists.read_rows(path, _COLUMNS, ["video"]):
        values = row.values
        side = SIDES.get(values["split"].casefold(), "")
        if values["split"] and not side:
            raise UserError(
                f"{row.where} has split {values['split']!r}: it is train, val, test or empty"
            )
        class_name, group = (
            unicodedata.normalize("NFC", values[name]) for name in ("class", "group")
        )
        line = Line(row.where, class_name, group, side, _segment(row))
        name = lists.path_key(values["video"]).removeprefix(folder)
        _refuse_second(name, line, lines[name])
        lines[name].append(line)
    return dict(lines)


def _refuse_second(name: str, line: Line, others: Sequence[Line]):
    for other in others:
        if line.segment == other.segment:
            times = (
                f" from {line.segment.start:g} to {line.segment.end:g} s" if line.segment else ""
            )
            raise UserError(
                f"{line.where} lists {name}{times} twice, as {other.where}: remove one line"
            )
        if line.segment is None or other.segment is None:
            raise UserError(
                f"{line.where} lists {name} as a whole and from a start to an end: remove the line"
                " without times, or give it some"
            )


def _segment(row: lists.Row) -> Segment | None:
    start, end = row.values["start"], row.values["end"]
    if not (start or end):
        return None
    try:
        # Spreadsheets in many languages write 1,5.
        times = [float(time.replace(",", ".")) for time in (start, end)]
    except ValueError as error:
        raise UserError(
            f"{row.where} has start {start!r} and end {end!r}: both are numbers, in seconds, or"
            " empty"
        ) from error
    try:
        return Segment(*times)
    except UserError as error:
        raise UserError(f"{row.where}: {error}") from error
