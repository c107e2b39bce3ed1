"""The lines that docs/guide/trouble.md quotes are lines of the code."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guide" / "trouble.md").read_text(encoding="utf-8")
OF_OTHERS = ("No module named 'tensorflow'",)


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


def test_the_quoted_lines_are_of_the_code():
    assert len(QUOTED) > 25
    wrong = [x for x in QUOTED if not all(piece.strip(" :") in CODE for piece in x.split("..."))]
    assert not wrong, "no text of the code has:\n" + "\n".join(wrong)
