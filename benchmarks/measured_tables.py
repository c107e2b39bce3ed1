"""What a benchmark is given and gives: flags that are lists, and its tables."""

from collections.abc import Collection, Iterable
from typing import Any

from absl import flags

from preprocessing.errors import UserError

Row = dict[str, Any]  # column -> text or number; None where there is none


def numbers(name: str, least: int = 1) -> list[int]:
    """A flag that is a list of whole numbers.

    Raises:
        UserError: there is none, or one is no whole number or below `least`.
    """
    values = flags.FLAGS[name].value
    if not values or not all(value.isdecimal() and int(value) >= least for value in values):
        raise UserError(
            f"--{name}={','.join(values)}: write whole numbers of at least {least}, as 8,32"
        )
    return [int(value) for value in values]


def chosen(name: str, known: Collection[str]) -> list[str]:
    """A flag that is a list of some of the known names.

    Raises:
        UserError: there is none, or one is unknown.
    """
    values = flags.FLAGS[name].value
    for value in values or [""]:
        if value not in known:
            raise UserError(f"--{name}={value} is not one of {', '.join(known)}")
    return values


def show(measured: Iterable[tuple[str, Row]]) -> dict[str, list[Row]]:
    """Prints rows as Markdown, each as it is measured.

    Args:
        measured: (caption of the table, row); the rows of a table follow each other, and the first
            has all of its columns.

    Returns:
        Caption -> rows.
    """
    tables: dict[str, list[Row]] = {}
    for caption, row in measured:
        if caption not in tables:
            tables[caption] = []
            print(f"\n**{caption}**\n\n| {' | '.join(row)} |\n|{'---|' * len(row)}")
        tables[caption].append(row)
        columns = tables[caption][0]
        print(f"| {' | '.join(_text(row.get(column)) for column in columns)} |", flush=True)
    return tables


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:,.0f}"
    return "" if value is None else str(value)
