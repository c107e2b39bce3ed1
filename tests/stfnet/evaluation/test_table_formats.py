"""Tables read back from Markdown, CSV and LaTeX."""

import csv
import io
import re

import pytest

from stfnet.evaluation import table_formats

ROWS = (
    ("A & B | C_1", "84.2 †", "50 % of `--x=a_b|c`"),
    ("new\nline $x^2$ {~}", table_formats.MISSING, "#1 \\ <b>*bold*</b>"),
)
TABLE = table_formats.Table(
    "one_two", "Rates & more", ("method", "rate (%)", "note"), ROWS, ("‡ 5 × 3",)
)


def _plain(cell):
    return cell.replace("`", "").replace("\n", " ")


def test_markdown_gives_the_cells_back():
    lines = table_formats.to_markdown(TABLE).splitlines()
    assert lines[0] == "**Rates & more**" and lines[-1] == "- ‡ 5 × 3"
    rows = [line for line in lines if line.startswith("|")]
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in rows]
    assert [len(row) for row in cells] == [3, 3, 3, 3]
    assert set(cells[1]) == {"---"}
    read = [[re.sub(r"\\(.)", r"\1", cell.strip()) for cell in row] for row in cells[2:]]
    assert [[_plain(cell) for cell in row] for row in read] == [list(map(_plain, r)) for r in ROWS]
    assert "`--x=a_b\\|c`" in rows[2]  # code is not escaped but for the bar of the table
    assert "\\<b\\>" in rows[3]


def test_csv_gives_the_cells_back():
    read = list(csv.reader(io.StringIO(table_formats.to_csv(TABLE))))
    assert read[0] == list(TABLE.columns)
    assert [list(map(_plain, row)) for row in read[1:]] == [list(map(_plain, row)) for row in ROWS]


def test_latex_gives_the_cells_back():
    text = table_formats.to_latex(TABLE)
    assert r"\begin{tabular}{lll}" in text and r"\caption{Rates \& more}" in text
    body = text.partition(r"\hline")[2].rpartition(r"\hline")[0]
    rows = [line.removesuffix(r" \\") for line in body.splitlines() if line.endswith(r"\\")]
    cells = [re.split(r"(?<!\\) & ", row) for row in rows]
    named = {r"\textbackslash{}": "\\", r"\textasciicircum{}": "^", r"\textasciitilde{}": "~"}
    named |= {r"\textless{}": "<", r"\textgreater{}": ">", r"\textdagger{}": "†", "--x": "--x"}
    named |= {r"\texttt{": "", r"\{": "{", r"\}": "}"}

    def read(cell):
        for latex, character in named.items():
            cell = cell.replace(latex, character)
        return re.sub(r"\\([&%$#_])", r"\1", cell)

    assert [read(cell) for cell in cells[0]] == list(TABLE.columns)
    assert read(cells[1][0]) == "A & B | C_1" and read(cells[1][1]) == "84.2 †"
    assert cells[1][2] == r"50 \% of \texttt{--x=a\_b|c}"
    assert read(cells[2][0]) == "new line $x^2$ {~}" and cells[2][1] == "--"
    assert read(cells[2][2]) == "#1 \\ <b>*bold*</b>"
    assert not re.search(r"[^\x00-\x7f]", text)  # needs no package for its letters


def test_braces_and_environments_of_latex_are_closed():
    text = re.sub(r"\\[{}]", "", table_formats.to_latex(TABLE))
    assert text.count("{") == text.count("}")
    assert re.findall(r"\\begin{(\w+)}", text) == re.findall(r"\\end{(\w+)}", text)[::-1]


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        table_formats.Table("t", "c", ("a", "b"), (("x",),))
