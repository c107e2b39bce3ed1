"""Checks of JSON that a disk or a person may have changed, which say what is wrong.

A check is a function of a value that returns None, or a description of what is needed instead.
"""

import json
import math
import re
from collections.abc import Callable, Mapping

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


def whole(value: object) -> str | None:
    valid = type(value) is int and 0 <= value < 1 << 63
    return None if valid else "a whole number of at least 0"


def number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        return "a finite number of at least 0"  # NaN is none
    return None


def text(value: object) -> str | None:
    return None if isinstance(value, str) else "a text"


def true_or_false(value: object) -> str | None:
    return None if isinstance(value, bool) else "true or false"


def digest(value: object) -> str | None:
    valid = isinstance(value, str) and re.fullmatch("([0-9a-f]{64})?", value)
    return None if valid else "64 hexadecimal digits, or an empty text"


def items(value: object) -> str | None:
    return None if isinstance(value, list) else "a list"


def texts(value: object) -> str | None:
    valid = isinstance(value, list) and all(isinstance(one, str) for one in value)
    return None if valid else "a list of texts"


def texts_by_name(value: object) -> str | None:
    valid = isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    return None if valid else "an object of texts"


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
