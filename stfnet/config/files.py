"""Configurations as nested dictionaries and as JSON files."""

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from preprocessing.errors import UserError


def to_dict(config: Any) -> dict[str, Any]:
    """The dataclass as nested dictionaries of JSON values."""
    return dataclasses.asdict(config)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings in nested dictionaries by their dotted names, such as `model.clip.fps`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, dict)
        found |= flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return found


if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ConfigT = TypeVar("ConfigT", bound="DataclassInstance")


def from_dict(cls: type[ConfigT], values: Mapping[str, Any], title: str = "") -> ConfigT:
    """Builds the dataclass `cls` from nested mappings.

    A field with `read` in its metadata is built by that function of its value. `title` is what
    messages call it, by default the name of the class.

    Raises:
        UserError: `values` is not a mapping, a key is unknown, or a required one is missing.
    """
    title = title or cls.__name__
    if not isinstance(values, Mapping):
        raise UserError(f"{title} is a group of settings, not {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        close = difflib.get_close_matches(unknown[0], fields, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise UserError(
            f"{title} has no setting {', '.join(unknown)}{hint}; it has {', '.join(fields)}"
        )
    settings = {}
    for name, value in values.items():
        kind: Any = fields[name].type
        if "read" in fields[name].metadata:
            value = fields[name].metadata["read"](value)
        elif (
            isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, Mapping)
        ):
            value = from_dict(kind, value)
        elif isinstance(value, list):
            value = tuple(value)
        settings[name] = value
    try:
        return cls(**settings)
    except TypeError as error:
        raise UserError(f"{title}: {error}") from error


def read_json(cls: type[ConfigT], path: Path, beside: Iterable[str] = ()) -> ConfigT:
    """Reads a configuration of class `cls` from a JSON file, whose keys `beside` are not the
    configuration's.

    Raises:
        UserError: the file is missing, is not JSON, or holds no such configuration.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict):
            raise UserError(f"{path} holds no settings but {type(values).__name__}")
        return from_dict(cls, {name: value for name, value in values.items() if name not in beside})
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: is {path.parent} the folder of a run?") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
