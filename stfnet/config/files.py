"""Configurations as nested dictionaries and as JSON files."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from preprocessing.errors import UserError


def to_dict(config: Any) -> dict[str, Any]:
    """The dataclass as nested dictionaries of JSON values."""
    return dataclasses.asdict(config)


if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ConfigT = TypeVar("ConfigT", bound="DataclassInstance")


def from_dict(cls: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Builds the dataclass `cls` from nested mappings.

    Raises:
        UserError: `values` is not a mapping, a key is unknown, or a required one is missing.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{cls.__name__} is a group of settings, not {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UserError(
            f"{cls.__name__} has no setting {', '.join(unknown)}; it has {', '.join(fields)}"
        )
    settings = {}
    for name, value in values.items():
        kind: Any = fields[name].type
        is_group = dataclasses.is_dataclass(kind) and isinstance(value, Mapping)
        if is_group:
            value = from_dict(kind, value)
        elif isinstance(value, list):
            value = tuple(value)
        settings[name] = value
    try:
        return cls(**settings)
    except TypeError as error:
        raise UserError(f"{cls.__name__}: {error}") from error


def read_json(cls: type[ConfigT], path: Path, beside: Iterable[str] = ()) -> ConfigT:
    """Reads a configuration of class `cls` from a JSON file.

    Args:
        cls: the dataclass.
        path: of the file.
        beside: keys of the file that are not the configuration's.

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
