"""A study: one question, its values as changed settings of one configuration."""

import dataclasses
import functools
import operator
from collections.abc import Mapping
from typing import Any

from preprocessing.errors import UserError
from stfnet import networks
from stfnet.config import from_dict, to_dict
from stfnet.run.config import RunConfig

AS_CONFIGURED = "as-configured"  # folder of the variant without a changed setting
RATES = "training.learning_rates"


@dataclasses.dataclass(frozen=True)
class Study:
    """One question about the network or its training."""

    name: str
    # Name of a variant -> its settings, dotted paths of `RunConfig` with their values.
    values: Mapping[str, Mapping[str, Any]]
    reference: str  # name of the variant with the paper's value
    claim: str  # what the paper says, and where
    stated: bool = True  # whether the paper states the reference's value
    # Other settings of the configuration -> the values with which the study makes sense.
    needs: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    of_networks: bool = False  # of which learning rates and costs are told

    @property
    def settings(self) -> list[str]:
        """Dotted paths of what is varied."""
        return list(self.values[self.reference])

    def marked(self, variant: str) -> str:
        """The name of a variant, the reference's with its origin."""
        if variant != self.reference:
            return variant
        return f"{variant} ({'paper' if self.stated else 'default, open in the paper'})"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A value of a study's settings, in the configuration of its runs, apart from the seed.

    Variants of several studies with the same settings share a folder.
    """

    folder: str
    config: RunConfig

    @property
    def has_maps(self) -> bool:
        """Whether it has VGG-16's streams, whose maps can be kept."""
        return self.config.model.vgg16


def variants(study: Study, base: RunConfig, rate_factor: float = 1.0) -> dict[str, Variant]:
    """The variants of a study on a configuration, by name, its reference first.

    Where none has the configuration's own value, that one is added. The learning rates of all
    stages are multiplied by the factor.

    Raises:
        UserError: the study makes no sense with the configuration, or a value does not fit it.
    """
    for path, allowed in study.needs.items():
        value = _value(base, path)
        if value not in allowed:
            raise UserError(
                f"the study {study.name} needs {path}={' or '.join(map(str, allowed))}, not "
                f"{value}: give --config.{path}={allowed[0]}, or leave the study out"
            )
    settings = {study.reference: study.values[study.reference], **study.values}
    if base not in [changed_config(base, changes) for changes in settings.values()]:
        own = ", ".join(text(_value(base, path)) for path in study.settings)
        settings[f"{own} (as configured)"] = {}
    rates = tuple(float(f"{rate_factor * rate:.6g}") for rate in base.training.learning_rates)
    return {name: _variant(base, {**changes, RATES: rates}) for name, changes in settings.items()}


def _variant(base: RunConfig, changes: Mapping[str, Any]) -> Variant:
    """A configuration with some settings changed, and the folder that is named after them."""
    changed = {path: value for path, value in changes.items() if _value(base, path) != value}
    parts = [
        f"{path.rpartition('.')[2]}-{text(value).replace(' ', '-')}"
        for path, value in changed.items()
    ]
    return Variant("+".join(parts) or AS_CONFIGURED, changed_config(base, changed))


def changed_config(base: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """A configuration with some settings changed: dotted path -> value.

    A UserError where a value does not fit the other settings.
    """
    values = to_dict(base)
    if network := changes.get("model.network"):
        values["model"] = networks.switched(values["model"], network)
    for path, value in changes.items():
        *groups, name = path.split(".")
        functools.reduce(operator.getitem, groups, values)[name] = value
    try:
        return from_dict(RunConfig, values)
    except UserError as error:
        shown = ", ".join(f"{path}={value}" for path, value in changes.items())
        raise UserError(f"{shown} does not fit the configuration: {error}") from error


def text(value: Any) -> str:
    """A value in the name of a variant."""
    return " to ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _value(config: RunConfig, path: str) -> Any:
    return functools.reduce(getattr, path.split("."), config)
