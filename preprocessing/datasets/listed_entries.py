"""What a list says of each video: lines `path label`, or a table with named columns."""

import re
from dataclasses import dataclass
from pathlib import Path

from preprocessing.datasets import lists, splits_file
from preprocessing.errors import UserError
from preprocessing.splits import SIDES
from preprocessing.video import EXTENSIONS, Segment

# What tables call a column, by its name here.
_CALLED = {
    "video": (
        *("video", "path", "video_path", "clip_path", "file", "filename", "clip"),
        *("video_name", "clip_name"),
    ),
    "youtube": ("youtube_id",),
    "class": ("class", "label", "tag", "action", "class_name"),
    "group": ("group",),
    "split": ("split", "subset"),
    "start": ("start", "time_start", "start_time"),
    "end": ("end", "time_end", "end_time"),
}
_COLUMNS = [*(name for names in _CALLED.values() for name in names), "is_cc"]  # a licence
_SEPARATORS = r"[\s,;|]+"
_ENDINGS = "|".join(sorted((ending[1:] for ending in EXTENSIONS), key=len, reverse=True))
_FILE_LINE = re.compile(rf'"?(.+?\.(?:{_ENDINGS}))"?{_SEPARATORS}(.+)', re.IGNORECASE)
_FOLDER_LINE = re.compile(r"(.+?)(?:[,;|\t] *\d+)?[,;|\t] *([^,;|\t]+)|(.+?)(?:\s+\d+)?\s+(\S+)")
_NUMBERS = re.compile(rf"\d+(?:{_SEPARATORS}\d+)+")


@dataclass(frozen=True)
class Entry:
    """What a list says of a video; empty texts where it says nothing.

    Attributes:
        where: the list and the line, for messages.
        video: path of the video, as written; or its id at YouTube.
        label: name or number of its class.
        group: what must stay together.
        side: `train`, `val` or `test`.
        segment: the part of the file, or of what is at YouTube, that is the video; None for all.
        youtube: whether `video` is an id.
    """

    where: str
    video: str
    label: str
    group: str = ""
    side: str = ""
    segment: Segment | None = None
    youtube: bool = False


def read(path: Path) -> list[Entry]:
    """The entries of a list.

    A list without column names has lines `path label`, or `path num_frames label`; blanks, commas,
    semicolons or bars divide them, and a label of a file may have blanks. A table has a column
    `video` or `youtube_id`, a column `class`, and any of `group`, `split`, `start` and `end`, or
    one of their other names in `_CALLED`.

    Raises:
        UserError: the list is empty or not as this, or a line has several labels.
    """
    lines = lists.read_lines(path)
    if not lines:
        raise UserError(f"{path} is empty: it needs a line `path label` for each video")
    names = {name.strip('" ').casefold() for name in re.split(r"[,;\t|]", lines[0][1])}
    if names & {*_CALLED["video"], *_CALLED["youtube"]}:
        return _table(path)
    return [_line(where, line) for where, line in lines]


def _line(where: str, line: str) -> Entry:
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


def _table(path: Path) -> list[Entry]:
    entries = []
    for row in lists.read_rows(path, _COLUMNS, []):
        values = {
            name: next((row.values[one] for one in called if row.values[one]), "")
            for name, called in _CALLED.items()
        }
        if not (values["class"] and (values["video"] or values["youtube"])):
            lacking = "class" if values["video"] or values["youtube"] else "video"
            raise UserError(
                f"{row.where} has no {lacking}: fill in a column {' or '.join(_CALLED[lacking])}"
            )
        side = SIDES.get(values["split"].casefold(), "")
        if values["split"] and not side:
            raise UserError(
                f"{row.where} has split {values['split']!r}: it is train, val, test or empty"
            )
        entries.append(
            Entry(
                row.where,
                values["video"] or values["youtube"],
                values["class"],
                values["group"],
                side,
                splits_file.segment(lists.Row(row.where, values)),
                youtube=not values["video"],
            )
        )
    return entries
