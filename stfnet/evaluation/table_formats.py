"""Tables for readers: one content as Markdown, CSV and LaTeX.

What stands between backticks in a text is code, such as a command.
"""

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence

from preprocessing.captions import one_line

MISSING = "–"  # a figure that there is not
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "–": "--",
    "×": r"$\times$",
}


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts: as many cells a row as there are headings, a sentence above and lines
    below.

    `name` is that of its files, without ending.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{len(row)} cells under {len(self.columns)} headings: {row}")


def to_markdown(table: Table) -> str:
    """The table as Markdown, with caption and notes."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(_markdown(cell) for cell in cells)} |"

    lines = [f"**{_markdown(table.caption)}**", "", line(table.columns)]
    lines += ["|" + "---|" * len(table.columns), *map(line, table.rows), ""]
    lines += [f"- {_markdown(note)}" for note in table.notes]
    return "\n".join(lines).rstrip() + "\n"


def to_csv(table: Table) -> str:
    """The headings and rows as CSV, without caption and notes."""
    text = io.StringIO()
    rows = [[cell.replace("`", "") for cell in row] for row in (table.columns, *table.rows)]
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def to_latex(table: Table) -> str:
    """The table as a `table` environment that needs no package."""

    def line(cells: Iterable[str]) -> str:
        return f"{' & '.join(_latex(cell) for cell in cells)} \\\\"

    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_latex(table.caption)}}}",
            rf"\label{{tab:{table.name.replace('_', '-')}}}",
            rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
            r"\hline",
            line(table.columns),
            r"\hline",
            *map(line, table.rows),
            r"\hline",
            r"\end{tabular}",
            *(rf"\par {_latex(note)}" for note in table.notes),
            r"\end{table}",
            "",
        ]
    )


def _parts(text: str) -> list[tuple[bool, str]]:
    return [(bool(k % 2), part) for k, part in enumerate(one_line(text, 500).split("`")) if part]


def _markdown(text: str) -> str:
    escaped = {False: "\\|*_<>[]", True: "|"}
    lines = []
    for is_code, part in _parts(text):
        line = "".join(f"\\{c}" if c in escaped[is_code] else c for c in part)
        lines.append(f"`{line}`" if is_code else line)
    return "".join(lines)


def _latex(text: str) -> str:
    lines = []
    for is_code, part in _parts(text):
        line = "".join(_LATEX.get(character, character) for character in part)
        lines.append(rf"\texttt{{{line}}}" if is_code else line)
    return "".join(lines)
