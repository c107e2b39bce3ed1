"""docs/reference/settings.md has every setting, as the code has it."""

import dataclasses
import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docs" / "write_configuration.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("write_configuration", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_setting_has_a_row_with_an_explanation(script):
    rows = {}
    for prefix, classes in script.TABLES.items():
        for cls in classes:
            for row in script.rows(cls, prefix):
                name, *cells = (cell.strip() for cell in row.strip("|").split(" | "))
                assert len(cells) == 3 + (prefix == "model.") and all(cells), row
                assert len(cells[-1]) > 3, row
                rows[name.strip("`")] = row
    expected = {
        f"{prefix}{field.name}"
        for prefix, classes in script.TABLES.items()
        for cls in classes
        for field in dataclasses.fields(cls)
        if not dataclasses.is_dataclass(field.type)
    }
    assert set(rows) == expected - {"name", "classes", "model.num_classes"}


def test_the_page_is_what_the_code_says(script):
    written = script.PAGE.read_text(encoding="utf-8")
    assert written == script.page(), "run python docs/write_configuration.py"
