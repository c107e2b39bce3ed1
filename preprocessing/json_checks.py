"""Checks of JSON that a disk or a person may have changed, which say what is wrong.

A check is a function of a value that returns None, or a description of what is needed instead.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Check = Callable[[object], str | None]


def checked(
    where: str, values: object, needed: Mapping[str, Check], optional: Mapping[str, Check]
) -> dict:
    """A copy of a JSON object whose keys are the known ones and whose values pass their checks.

    Args:
        where: what the object is, for the message.
        needed, optional: key -> check.

    Raises:
        ValueError: names the first key that is missing, unknown or of a wrong value.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{where} is {shown(values)}, needed is an object")
    if missing := [key for key in needed if key not in values]:
        raise ValueError(f"{where} has no key {missing[0]!r}")
    known = {**needed, **optional}
    for key, value in values.items():
        if key not in known:
            raise ValueError(
                f"{where} has a key {shown(key)} that this program does not know (a newer version"
                " of it may)"
            )
        if needs := known[key](value):
            raise ValueError(f"{where} has {key!r} = {shown(value)}, needed is {needs}")
    return dict(values)


def shown(value: object) -> str:
    """The value as JSON, shortened."""
    written = json.dumps(value)
    return written if len(written) <= 60 else f"{written[:57]}..."


def _check(needed: str, passes: Callable[[Any], bool]) -> Check:
    return lambda value: None if passes(value) else needed


def _are_texts(values: Iterable[object]) -> bool:
    return all(isinstance(one, str) for one in values)


whole = _check(
    "a whole number of at least 0", lambda value: type(value) is int and 0 <= value < 1 << 63
)
number = _check(  # NaN is none
    "a finite number of at least 0",
    lambda value: type(value) in (int, float) and 0 <= value < math.inf,
)
text = _check("a text", lambda value: isinstance(value, str))
true_or_false = _check("true or false", lambda value: isinstance(value, bool))
digest = _check(
    "64 hexadecimal digits, or an empty text",
    lambda value: isinstance(value, str) and re.fullmatch("([0-9a-f]{64})?", value) is not None,
)
items = _check("a list", lambda value: isinstance(value, list))
texts = _check("a list of texts", lambda value: isinstance(value, list) and _are_texts(value))
texts_by_name = _check(
    "an object of texts", lambda value: isinstance(value, dict) and _are_texts(value.values())
)


def having(**needed: Check) -> Check:
    """Check of an object that has these keys, and may have others."""

    def check(value: object) -> str | None:
        if not isinstance(value, dict):
            return "an object"
        for key, check_one in needed.items():
            if needs := "a value" if key not in value else check_one(value[key]):
                return f"one whose {key!r} is {needs}"
        return None

    return check
