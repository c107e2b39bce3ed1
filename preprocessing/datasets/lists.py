"""Tables of videos, as spreadsheets and scripts write them: `splits.csv` and its like."""

import codecs
import collections
import csv
import difflib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from preprocessing.errors import UserError
from preprocessing.video import EXTENSIONS

_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r'"?sep=', re.IGNORECASE)  # Excel's, above the names
_NUMBERED = re.compile(r"(\d+)[\s,;:]+(.+)")  # a class
_NBSP = "\xa0"
_MARKS = {  # of the encodings at the start of a file
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def path_key(text: str) -> str:
    """A path of a table or on disk in the one form in which both are compared.

    `\\` becomes `/`; `./`, doubled slashes and blanks around the path go; a non-breaking space
    becomes a space, and letters are composed (NFC), since systems and programs differ in both.
    """
    text = unicodedata.normalize("NFC", text).replace(_NBSP, " ").replace("\\", "/")
    return PurePosixPath(text.strip()).as_posix()


def clip_name(path: Path | str) -> str:
    """Name of a clip on disk or in a list: the end of its path, without a video's file ending."""
    name = PurePosixPath(path_key(str(path))).name
    stem, _, ending = name.rpartition(".")
    return stem if f".{ending.lower()}" in EXTENSIONS else name


def read_lines(path: Path) -> list[tuple[str, str]]:
    """(where it stands, text) of each line of a text file that has any, as `read_rows` reads it.

    Raises:
        UserError: the file cannot be read as text.
    """
    lines = enumerate(_text(path).split("\n"), 1)
    return [(f"{path} line {number}", line.strip()) for number, line in lines if line.strip()]


def read_class_names(path: Path) -> dict[int, str]:
    """Number -> name of the classes in a file with one a line, such as UCF101's `classInd.txt`.

    The numbers are those before the names, in their order, where every line has one, else from 0.

    Raises:
        UserError: the file cannot be read as text, or has a number or a name twice.
    """
    lines = [line for _, line in read_lines(path)]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if all(numbered):
        named = sorted((int(line[1]), line[2]) for line in numbered if line)
    else:
        named = list(enumerate(lines))
    for kind, values in zip(("number", "class"), zip(*named, strict=True), strict=False):
        if twice := [value for value, count in collections.Counter(values).items() if count > 1]:
            raise UserError(f"{path} has the {kind} {twice[0]} twice: correct it")
    return dict(named)


def official_splits(entries: Iterable[tuple[str, str, str, str]]) -> dict[str, dict[str, str]]:
    """The official splits of clips that lists name.

    Args:
        entries: (where it stands, name of a clip, fold, `train`, `test` or empty for neither) of
            each line.

    Returns:
        Name -> fold -> side.

    Raises:
        UserError: a fold has a clip on both sides.
    """
    splits: dict[str, dict[str, str]] = {}
    for where, name, fold, side in entries:
        sides = splits.setdefault(name, {})
        if side and sides.setdefault(fold, side) != side:
            raise UserError(
                f"{where} puts {name} into the {side} part of fold {fold}, and another line into"
                f" the {sides[fold]} part: remove one of them"
            )
    return splits


def read_rows(
    path: Path, columns: Sequence[str], required: Sequence[str]
) -> list[tuple[str, dict[str, str]]]:
    """The rows of a table with a line of column names, empty ones left out.

    Read are UTF-8, UTF-16 with a mark, and Windows' cp1252; commas, semicolons, tabs or bars
    between values, also below Excel's line `sep=;`; every line end; column names in capitals.

    Args:
        columns: the known columns, in small letters.
        required: those that the table must have, with a value in every row.

    Returns:
        (file and line for messages, such as `videos/splits.csv line 3`; each known column -> its
        value without blanks around it, empty where the row or the table has none) of each row.

    Raises:
        UserError: the file cannot be read as text; a column is unknown, named twice or missing; a
            row has more values than there are columns, or lacks a required one; a quote is open.
    """
    lines = _split(path, _text(path), columns)
    names: list[str] = []
    rows = []
    for number, values in lines:
        where = f"{path} line {number}"
        if not names:
            names = [value.casefold() for value in values]
            _check_names(where, names, columns, required)
            continue
        unnamed = [value for k, value in enumerate(values) if k >= len(names) or not names[k]]
        if any(unnamed):
            raise UserError(
                f"{where} has {len(values)} values for the columns"
                f" {', '.join(filter(None, names))}: put a value that holds a separator into"
                " quotes, or name the column"
            )
        # A short row has no values for the last columns.
        row = dict.fromkeys(columns, "") | dict(zip(names, values, strict=False))
        row.pop("", None)
        for name in required:
            if not row[name]:
                raise UserError(f"{where} has no {name}: fill it in, or remove the line")
        rows.append((where, row))
    if not names:
        raise UserError(f"{path} is empty: it needs a line with the columns {_known(columns)}")
    return rows


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    marked = [name for mark, name in _MARKS.items() if data.startswith(mark)]
    for encoding in marked or ("utf-8", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text.replace("\r\n", "\n").replace("\r", "\n")
    raise UserError(
        f"{path} is no text in {' or '.join(marked) or 'UTF-8'}: save it as CSV with the encoding"
        " UTF-8"
    )


def _split(path: Path, text: str, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(number of its line, values) of every line that has a value, the column names first."""
    lines = text.split("\n")
    first = next((k for k, line in enumerate(lines) if line.strip()), 0)
    if _SEPARATOR_LINE.match(lines[first]):
        lines[first] = ""
    separator = _separator(next(filter(str.strip, lines), ""), columns)
    # The last line gets an end too, so that an open quote has one in its value.
    reader = csv.reader([f"{line}\n" for line in lines], delimiter=separator, skipinitialspace=True)
    while True:
        number = reader.line_num + 1
        try:
            values = next(reader)
            is_open = any("\n" in value for value in values)
        except StopIteration:
            return
        except csv.Error:  # a field of many lines is too long
            is_open = True
        if is_open:
            raise UserError(f"{path} line {number} has a quote that is not closed: close it")
        values = [value.strip() for value in values]
        if any(values):
            yield number, values


def _separator(line: str, columns: Sequence[str]) -> str:
    """The separator that finds the most known columns in the line of their names."""

    def fit(separator: str) -> tuple[int, int]:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
        return sum(cell.strip().casefold() in columns for cell in cells), len(cells)

    return max(_SEPARATORS, key=fit)


def _check_names(where: str, names: list[str], columns: Sequence[str], required: Sequence[str]):
    given = [name for name in names if name]
    unknown = [name for name in given if name not in columns]
    near = [(name, difflib.get_close_matches(name, columns, 1)) for name in unknown]
    advice = "".join(f"; {name}: did you mean {close[0]}?" for name, close in near if close)
    for name in required:
        if name not in given:
            raise UserError(
                f"{where} has columns {', '.join(given)}: it needs `{name}`, and may have"
                f" {_known([other for other in columns if other != name])}{advice}"
            )
    if unknown:
        raise UserError(
            f"{where} has the unknown column {', '.join(unknown)}: known are"
            f" {_known(columns)}{advice or '; remove it, or rename it'}"
        )
    for name in given:
        if given.count(name) > 1:
            raise UserError(f"{where} names the column {name} twice: remove one")


def _known(columns: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in columns)
