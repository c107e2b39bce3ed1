"""The lines that docs/troubleshooting.md quotes are lines of the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
OF_OTHERS = ("No module named 'tensorflow'", "Unknown command line flag ...")


def _texts():
    """All texts of the code in one, with `...` for values."""
    for package in ("preprocessing", "stfnet", "experiments"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(
                        str(v.value) if isinstance(v, ast.Constant) else "..." for v in node.values
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


CODE = "\n".join(_texts())
QUOTED = [
    line
    for row in re.findall(r"^\| (.+?) \|", PAGE, re.MULTILINE)
    for line in re.findall(r"`([^`]+)`", row)
    if line not in OF_OTHERS
]


@pytest.mark.parametrize("line", QUOTED)
def test_a_quoted_line_is_of_the_code(line):
    for piece in line.split("..."):
        piece = piece.strip(" :")
        assert piece in CODE, f"no text of the code has {piece!r}"


def test_the_page_quotes_lines():
    assert len(QUOTED) > 40
