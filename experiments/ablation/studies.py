"""The studies of an ablation: what each varies, the paper's value, and what the paper says of it.

The paper (Ou & Sun 2019) argues for its choices and prints no ablation. Where it names no value,
the reference of a study is this project's reading (docs/fidelity.md).
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from preprocessing.errors import UserError
from stfnet.config import FUSIONS, NORMALIZE, STREAMS, RunConfig, from_dict, to_dict

ALL = "all"  # in place of the name of a study
AS_CONFIGURED = "as-configured"  # folder of the variant without a changed setting


@dataclasses.dataclass(frozen=True)
class Study:
    """One question about the network or its training.

    Attributes:
        name: of the study.
        values: name of a variant -> its settings, dotted paths of `RunConfig` with their values.
        reference: name of the variant with the paper's value.
        claim: what the paper says, and where.
        stated: whether the paper states the reference's value.
        needs: other settings of the configuration -> the values with which the study makes sense.
    """

    name: str
    values: Mapping[str, Mapping[str, Any]]
    reference: str
    claim: str
    stated: bool = True
    needs: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)

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
    """A value of a study's settings, in a run's configuration.

    Attributes:
        name: of the value.
        folder: name of its folder. Variants of several studies with the same settings share it.
        config: of its runs, apart from the seed.
    """

    name: str
    folder: str
    config: RunConfig


def _one(path: str, values: Iterable[Any]) -> dict[str, dict[str, Any]]:
    return {_text(value): {path: value} for value in values}


def _text(value: Any) -> str:
    return " to ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _dropout(fc6: float, lstm: float) -> dict[str, float]:
    return {"model.fc6_dropout": fc6, "model.lstm_dropout": lstm}


# A rival has none of these settings: networks that are compared would be the same.
_STFNET = {"model.architecture": ("stfnet",)}
_STUDIES = (
    Study(
        "streams",
        # A network of one stream has none to leave out.
        {"both": {"model.streams": "both"}}
        | {
            streams: {"model.streams": streams, "model.stream_dropout": 0.0}
            for streams in STREAMS
            if streams != "both"
        },
        "both",
        "Flow tells how a hand moves, frames where it is, and only both together tell brushing "
        "teeth from combing hair (Sec. 3.2).",
    ),
    Study(
        "fusion",
        _one("model.fusion", FUSIONS),
        "conv3d",
        "The fusion must be able to learn which channel of one stream belongs to which of the "
        "other, so it is a 3-D convolution (Sec. 3.2, Eqs. 1 and 2).",
        needs=_STFNET | {"model.streams": ("both",)},
    ),
    Study(
        "fusion_init",
        _one("model.fusion_init", ("glorot_uniform", "identity_sum")),
        "glorot_uniform",
        "Two stacked identities as the fusion's filters sum the streams; no initialiser is named "
        "(Sec. 3.2).",
        stated=False,
        needs=_STFNET | {"model.streams": ("both",), "model.fusion": ("conv3d", "conv2d")},
    ),
    Study(
        "branches",
        _one("model.branches", ("both", "conv", "fc")),
        "both",
        "The fully connected layer, rich in categories, gives the convolutional layer, rich in "
        "space, an attention to regions of the frames (Sec. 3.4, Eqs. 7 to 12).",
        needs=_STFNET,
    ),
    Study(
        "merge",
        _one("model.merge", ("concat", "sum", "product")),
        "concat",
        "The states of both LSTMs are merged at each time; how is not said (Sec. 3.4, Eqs. 11 and "
        "12).",
        stated=False,
        needs=_STFNET | {"model.branches": ("both",)},
    ),
    Study(
        "normalize",
        _one("model.normalize", NORMALIZE),
        "gates",
        "Layer normalisation of the gates' inputs ensures that the training of so deep a network "
        "converges (Sec. 3.3, Eqs. 3 to 6).",
        needs=_STFNET,
    ),
    Study(
        "flow_length",
        _one("model.clip.flow_length", (1, 2, 4, 6, 8)),
        "4",
        "L < 4 loses motion and lowers the recognition rate; L = 4 keeps it high at less "
        "computation (Sec. 3.6).",
        needs={"model.streams": ("both", "flow")},
    ),
    Study(
        "num_frames",
        _one("model.clip.num_frames", (4, 8, 17, 25)),
        "17",
        "With too few frames T the rate of Table 1 is not reached (Sec. 3.6).",
    ),
    Study(
        "tau_range",
        _one("training.tau_range", ((1, 2), (4, 4), (2, 10), (10, 20))),
        "2 to 10",
        "Too large an interval loses local, too small a one overall information, and the range "
        "must contain L (Sec. 3.6).",
    ),
    Study(
        "dropout",
        {
            "fc6 0.5, LSTMs 0.25": _dropout(0.5, 0.25),
            "fc6 0.25, LSTMs 0.25": _dropout(0.25, 0.25),
            "fc6 0.75, LSTMs 0.25": _dropout(0.75, 0.25),
            "fc6 0.5, LSTMs 0": _dropout(0.5, 0.0),
            "fc6 0.5, LSTMs 0.5": _dropout(0.5, 0.5),
            "none": _dropout(0.0, 0.0),
        },
        "fc6 0.5, LSTMs 0.25",
        "A ratio of fc6 other than 0.5, or one of the LSTMs above 0.25, lowers the recognition "
        "rate (Sec. 3.6).",
        needs=_STFNET | {"model.branches": ("both",)},
    ),
)
STUDIES = {study.name: study for study in _STUDIES}


def variants(study: Study, base: RunConfig) -> dict[str, Variant]:
    """The variants of a study on a configuration, by name, its reference first.

    Where none has the configuration's own value, that one is added.

    Args:
        study: the study.
        base: configuration in which only the study's settings are changed.

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
    found = {name: variant(name, base, changes) for name, changes in settings.items()}
    if base not in [one.config for one in found.values()]:
        own = ", ".join(_text(_value(base, path)) for path in study.settings)
        found[f"{own} (as configured)"] = variant(f"{own} (as configured)", base, {})
    return found


def variant(name: str, base: RunConfig, changes: Mapping[str, Any]) -> Variant:
    """A configuration with some settings changed, and the folder that is named after them.

    Args:
        name: of the variant.
        base: the configuration.
        changes: as for `changed_config`; those that change nothing are left out.

    Raises:
        UserError: as `changed_config`.
    """
    changed = {path: value for path, value in changes.items() if _value(base, path) != value}
    parts = [
        f"{path.rpartition('.')[2]}-{_text(value).replace(' ', '-')}"
        for path, value in changed.items()
    ]
    return Variant(name, "+".join(parts) or AS_CONFIGURED, changed_config(base, changed))


def changed_config(base: RunConfig, changes: Mapping[str, Any]) -> RunConfig:
    """A configuration with some settings changed.

    Args:
        base: the configuration.
        changes: dotted path, such as `model.clip.flow_length`, -> value.

    Raises:
        UserError: a value does not fit the other settings.
    """
    values = to_dict(base)
    for path, value in changes.items():
        group, name = _group(values, path)
        group[name] = value
    try:
        return from_dict(RunConfig, values)
    except UserError as error:
        shown = ", ".join(f"{path}={value}" for path, value in changes.items())
        raise UserError(f"{shown} does not fit the configuration: {error}") from error


def _value(config: RunConfig, path: str) -> Any:
    group, name = _group(to_dict(config), path)
    return group[name]


def _group(values: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *groups, name = path.split(".")
    for group in groups:
        values = values[group]
    return values, name


def chosen(
    names: Iterable[str], base: RunConfig
) -> tuple[dict[str, dict[str, Variant]], list[str]]:
    """The variants of the studies that were asked for.

    Args:
        names: of studies, or `all` for every one that fits the configuration.
        base: configuration in which only a study's settings are changed.

    Returns:
        (name of each study -> its variants, a line for each study that `all` leaves out).

    Raises:
        UserError: a study that is named does not fit, or none of all does.
    """
    names, left_out = list(dict.fromkeys(names)), []
    named = [name for name in names if name != ALL]
    found = {name: variants(STUDIES[name], base) for name in named}
    for name in STUDIES if ALL in names else ():
        try:
            found[name] = variants(STUDIES[name], base)
        except UserError as error:
            left_out.append(f"study {name} is left out: {error}")
    if not found:
        raise UserError(f"no study fits the configuration: {'; '.join(left_out)}")
    return found, left_out


def described() -> str:
    """Every study with its settings, values and the paper's claim, as text."""
    lines = []
    for study in STUDIES.values():
        lines += [
            study.name,
            f"  settings: {', '.join(study.settings)}",
            f"  values:   {'; '.join(study.marked(name) for name in study.values)}",
            f"  paper:    {study.claim}",
        ]
    return "\n".join(lines)
