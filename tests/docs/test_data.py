"""The outcomes and formats in docs/reference/data.md are those of the code."""

import ast
import re
from pathlib import Path

from preprocessing.preparation import conversion, stock
from preprocessing.video import decoding, paths, pictures

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "data.md").read_text(encoding="utf-8")


def _rows(file):
    """What the first column of the table of outcomes in a file names."""
    table = PAGE.partition(f"| outcome in `{file}` |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| (.+?) \|", table, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def _outcomes():
    for path in (ROOT / "preprocessing").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=func, args=[ast.Constant(value=outcome), *_]):
                    if ast.unparse(func).rpartition(".")[2] in ("VideoError", "Failure"):
                        yield outcome


def test_every_outcome_of_a_failure_has_a_row():
    given = set(_outcomes())
    assert len(given) > 15 and _rows("failures.jsonl") == given


def test_every_outcome_of_a_note_has_a_row():
    of_conversion = (conversion.GIVEN_FLOW, conversion.REPEATED_FRAMES, conversion.STILL)
    given = {*of_conversion, conversion.BLACK, conversion.SLOW, decoding.DAMAGED, stock.COPY}
    assert _rows("notes.jsonl") == given | {pictures.DEINTERLACED, pictures.HDR}


def test_every_format_that_is_read_is_named():
    row = re.search(r"^\| formats \| (.+?), or a folder of (.+?) images", PAGE, re.MULTILINE)
    assert {f".{name}" for name in row[1].split(", ")} == set(paths.EXTENSIONS)
    assert {f".{name}" for name in row[2].split(" or ")} < set(paths.IMAGE_EXTENSIONS)
