"""Settings in dataclasses: what each may be stands beside its value."""

import dataclasses
import math
import typing

from preprocessing.errors import UserError

# How a frame becomes square, see `preprocessing.video.resize`; here since both the preparation and
# the network's configuration have the setting, and a configuration loads without OpenCV.
RESIZE_MODES = ("stretch", "crop", "motion")
# What becomes of frames that repeat the one before, see `preprocessing.video.Selection`.
REPEATS = ("keep", "drop")
# L of the paper, of which the preparation stores the fields where it stores not all.
FLOW_LENGTH = 4

_KINDS = {bool: "True or False", str: "text", int: "a whole number", float: "a number"}


def setting(default=dataclasses.MISSING, allowed=None):
    """A dataclass field of a setting.

    Args:
        default: its value; without one, it must be given.
        allowed: of a number, an interval such as `"[0, 1)"`; of a text, a tuple of choices. In a
            field of tuples it is of each element.
    """
    return dataclasses.field(default=default, metadata={"allowed": allowed})


def check(config, prefix=""):
    """Checks every field of a dataclass against its type and its `setting`.

    Numbers must be finite, also without an interval. Fields of other types are left alone.

    Args:
        prefix: of the names in messages, such as `training.`.

    Raises:
        UserError: names the setting, its value and what it must be.
    """
    for field in dataclasses.fields(config):
        value, kind = getattr(config, field.name), field.type
        name, allowed = f"{prefix}{field.name}", field.metadata.get("allowed")
        if typing.get_origin(kind) is tuple:
            if not isinstance(value, tuple):
                raise UserError(f"{name}={value!r} is not a tuple such as {field.default}")
            kind, values = typing.get_args(kind)[0], value
        else:
            values = (value,)
        for one in values:
            if kind in _KINDS and not _is_allowed(one, kind, allowed):
                each = "" if values == (value,) else f": {one!r}"
                raise UserError(f"{name}={value!r}{each} is not {_wanted(kind, allowed)}")


def _is_allowed(value, kind, allowed):
    if kind in (int, float):
        kinds = (int, float) if kind is float else int
        number = isinstance(value, kinds) and not isinstance(value, bool)
        if not number or not -math.inf < value < math.inf:
            return False
        return allowed is None or _within(value, allowed)
    return isinstance(value, kind) and (allowed is None or value in allowed)


def _within(value, interval):
    least, most = (float(end) for end in interval[1:-1].split(","))
    return (least <= value if interval[0] == "[" else least < value) and (
        value <= most if interval[-1] == "]" else value < most
    )


def _wanted(kind, allowed):
    if allowed is None:
        return _KINDS[kind]
    if kind is str:
        return f"one of {', '.join(map(repr, allowed))}"
    return f"{_KINDS[kind]} in {allowed}"
