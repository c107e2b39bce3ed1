"""What a table or a list says of videos: `splits.csv`, lines `path label`, named columns."""

import collections
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from preprocessing.datasets import lists
from preprocessing.errors import UserError
from preprocessing.splits import SIDES
from preprocessing.video import EXTENSIONS, Segment

SPLITS_FILE = "splits.csv"  # what a user says of the videos in a folder beyond their class folders
_OTHER_TABLES = (".xlsx", ".xls", ".ods", ".tsv", ".txt")
# What the tables of others call a column, by its name in `splits.csv`.
_CALLED = {
    "video": (
        "video",
        "path",
        "video_path",
        "clip_path",
        "file",
        "filename",
        "clip",
        "video_name",
        "clip_name",
    ),
    "youtube": ("youtube_id",),
    "class": ("class", "label", "tag", "action", "class_name"),
    "group": ("group",),
    "split": ("split", "subset"),
    "start": ("start", "time_start", "start_time"),
    "end": ("end", "time_end", "end_time"),
}
_COLUMNS = [name for name in _CALLED if name != "youtube"]  # of `splits.csv`
_ALL_COLUMNS = [*(name for names in _CALLED.values() for name in names), "is_cc"]  # a licence
_SEPARATORS = r"[\s,;|]+"
_ENDINGS = "|".join(sorted((ending[1:] for ending in EXTENSIONS), key=len, reverse=True))
_FILE_LINE = re.compile(rf'"?(.+?\.(?:{_ENDINGS}))"?{_SEPARATORS}(.+)', re.IGNORECASE)
_FOLDER_LINE = re.compile(r"(.+?)(?:[,;|\t] *\d+)?[,;|\t] *([^,;|\t]+)|(.+?)(?:\s+\d+)?\s+(\S+)")
_NUMBERS = re.compile(rf"\d+(?:{_SEPARATORS}\d+)+")


@dataclass(frozen=True)
class Entry:
    """What a line says of a video; empty texts where it says nothing.

    Attributes:
        where: the file and the line, for messages.
        video: path of the video, as written; or its id at YouTube.
        label: name or number of its class.
        group: what must stay together.
        side: `train`, `val` or `test`.
        segment: the part of the file, or of what is at YouTube, that is the video; None for all.
        youtube: whether `video` is an id.
    """

    where: str = ""
    video: str = ""
    label: str = ""
    group: str = ""
    side: str = ""
    segment: Segment | None = None
    youtube: bool = False


def find_splits(folder: Path) -> Path | None:
    """The `splits.csv` in a folder, in capitals or not; None without one.

    Raises:
        UserError: there are two, or there is one of another format.
    """
    found = [path for path in sorted(folder.iterdir()) if path.stem.casefold() == "splits"]
    tables = [path for path in found if path.suffix.casefold() == ".csv" and path.is_file()]
    others = [path for path in found if path.suffix.casefold() in _OTHER_TABLES]
    if len(tables) + len(others) > 1:
        names = ", ".join(path.name for path in (*tables, *others))
        raise UserError(f"{folder} has {names}: keep one, as {SPLITS_FILE}")
    if others:
        raise UserError(f"{others[0]} is not read: save the table as {SPLITS_FILE}")
    return tables[0] if tables else None


def read_splits(path: Path) -> dict[str, list[Entry]]:
    """`lists.path_key` of a video, as its path from the folder -> its lines in a `splits.csv`.

    Classes and groups come with composed letters (NFC).

    Raises:
        UserError: the table cannot be read (see `lists.read_rows`), a value is wrong, or lines of
            one video contradict each other.
    """
    folder = f"{lists.path_key(str(path.parent.absolute()))}/"
    entries: dict[str, list[Entry]] = collections.defaultdict(list)
    for where, values in lists.read_rows(path, _COLUMNS, ["video"]):
        composed = {name: unicodedata.normalize("NFC", text) for name, text in values.items()}
        entry = _of_row(where, composed)
        name = lists.path_key(entry.video).removeprefix(folder)
        _refuse_second(name, entry, entries[name])
        entries[name].append(entry)
    return dict(entries)


def _refuse_second(name: str, entry: Entry, others: Sequence[Entry]):
    for other in others:
        if entry.segment == other.segment:
            times = f" {entry.segment}" if entry.segment else ""
            raise UserError(
                f"{entry.where} lists {name}{times} twice, as {other.where}: remove one line"
            )
        if entry.segment is None or other.segment is None:
            raise UserError(
                f"{entry.where} lists {name} as a whole and from a start to an end: remove the line"
                " without times, or give it some"
            )


def read_list(path: Path) -> list[Entry]:
    """The entries of a list.

    A list without column names has lines `path label`, or `path num_frames label`, divided by
    blanks, commas, semicolons or bars. A table has columns of the names in `_CALLED`.

    Raises:
        UserError: the list is empty or not as this, or a line has several labels.
    """
    lines = lists.read_lines(path)
    if not lines:
        raise UserError(f"{path} is empty: it needs a line `path label` for each video")
    names = {name.strip('" ').casefold() for name in re.split(r"[,;\t|]", lines[0][1])}
    if not names & {*_CALLED["video"], *_CALLED["youtube"]}:
        return [_of_line(where, line) for where, line in lines]
    entries = []
    for where, row in lists.read_rows(path, _ALL_COLUMNS, []):
        values = {
            name: next((row[one] for one in called if row[one]), "")
            for name, called in _CALLED.items()
        }
        if not (values["class"] and (values["video"] or values["youtube"])):
            lacking = "class" if values["video"] or values["youtube"] else "video"
            raise UserError(
                f"{where} has no {lacking}: fill in a column {' or '.join(_CALLED[lacking])}"
            )
        entries.append(_of_row(where, values))
    return entries


def _of_line(where: str, line: str) -> Entry:
    match = _FILE_LINE.fullmatch(line) or _FOLDER_LINE.fullmatch(line)
    if match is None:
        raise UserError(
            f"{where} is {line!r}: it needs the path of a video and its label, or the first line"
            " the names of columns, such as video,class"
        )
    video, label = (text.strip('" ') for text in match.groups() if text)
    if _NUMBERS.fullmatch(label):
        numbers = re.split(_SEPARATORS, label)
        if len(numbers) > 2:
            raise UserError(f"{where} has the labels {label}: a video has one class")
        label = numbers[1]  # behind the number of frames
    return Entry(where, video, label)


def _of_row(where: str, values: Mapping[str, str]) -> Entry:
    side = SIDES.get(values["split"].casefold(), "")
    if values["split"] and not side:
        raise UserError(f"{where} has split {values['split']!r}: it is train, val, test or empty")
    return Entry(
        where,
        values["video"] or values["youtube"],
        values["class"],
        values["group"],
        side,
        _segment(where, values["start"], values["end"]),
        youtube=not values["video"],
    )


def _segment(where: str, start: str, end: str) -> Segment | None:
    """The part of a file between two times as a table has them; None where both are empty."""
    if not (start or end):
        return None
    try:
        # Spreadsheets in many languages write 1,5.
        times = [float(time.replace(",", ".")) for time in (start, end)]
    except ValueError as error:
        raise UserError(
            f"{where} has start {start!r} and end {end!r}: both are numbers, in seconds, or empty"
        ) from error
    try:
        return Segment(*times)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
