"""Writes docs/configuration.md: every setting of a run, from the dataclasses that hold them.

    python docs/write_configuration.py

What a setting means is the text below it in its dataclass. `make docs` runs this, and a test fails
where the page lacks what the code says.
"""

import ast
import dataclasses
import inspect
import itertools
import typing
from pathlib import Path

from stfnet.config import ClipConfig, TrainingConfig
from stfnet.networks import NETWORKS, NetworkConfig
from stfnet.run.config import RunConfig

PAGE = Path(__file__).with_name("configuration.md")
# Dataclasses of networks; those that several share stand before them.
_OF_NETWORKS = dict.fromkeys(
    one
    for cls in NETWORKS.values()
    for one in reversed(cls.__mro__)
    if issubclass(one, NetworkConfig)
)
# Each dataclass, and the prefix of its settings on the command line.
GROUPS = {
    RunConfig: "",
    NetworkConfig: "model.",
    ClipConfig: "model.clip.",
    **dict.fromkeys(_OF_NETWORKS, "model."),
    TrainingConfig: "training.",
}
GIVEN_BY_RECORDS = {"name", "classes", "num_classes", "model"}
INTRODUCTION = """# Settings

Written by `make docs` from `stfnet/config/`, `stfnet/networks/` and `stfnet/run/config.py`: change
the text there.

`--config.SETTING=VALUE` of `experiments.train` and `experiments.ablate` changes one setting of the
configuration file: `--config.model.streams=rgb`, `--config.training.max_epochs="(10, 2)"`. In a
file of your own, `defaults.changed(training=dict(batch_size=4))` does (`experiments/configs/` has
examples). The defaults are the paper's where it gives a value ([fidelity.md](fidelity.md)).
`config.json` in the folder of a run has all values of that run. The file of `--config` chooses the
network, each of which has its own settings beside those of all: `paper.py`, `modern.py` and
`synthetic.py` the paper's (`stfnet`), `real_videos.py` the one for little data (`small_data`),
`baselines.py:NAME` one of [the others](baselines.md), `defaults.py:NAME` any. In a file of your own
`model=dict(network="lrcn")` does.
"""


def explanations(cls) -> dict[str, str]:
    """What the text below each field of a dataclass says."""
    (body,) = ast.parse(inspect.getsource(cls)).body
    return {
        field.target.id: " ".join(inspect.cleandoc(below.value.value).split())
        for field, below in itertools.pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }


def shown(value) -> str:
    """A default as it is written on the command line."""
    return '`""`' if value == "" else f"`{value}`"


def allowed(field) -> str:
    """What a field may be."""
    values = field.metadata.get("allowed")
    if field.type is bool:
        return "`True`, `False`"
    if isinstance(values, tuple):
        return ", ".join(f"`{value}`" for value in values)
    kind = field.type
    each = ", each" if typing.get_origin(kind) is tuple else ""
    kind = typing.get_args(kind)[0] if each else kind
    name = {int: "whole number", float: "number", str: "text"}[kind]
    return f"{name}s{each} in {values}" if each else f"{name} in {values}" if values else name


def rows(cls):
    """A table row for each setting that a dataclass adds to those that it inherits."""
    texts = explanations(cls)
    for field in dataclasses.fields(cls):
        given = dataclasses.is_dataclass(field.type) or field.name in GIVEN_BY_RECORDS
        if given or not texts.get(field.name):
            continue
        name = f"`{GROUPS[cls]}{field.name}`"
        cells = (name, shown(field.default), allowed(field), texts[field.name])
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page() -> str:
    """The text of docs/configuration.md."""
    parts = [INTRODUCTION]
    for cls, prefix in GROUPS.items():
        if not (table := list(rows(cls))):
            continue
        first = inspect.getdoc(cls).splitlines()[0]
        title = f"`{prefix[:-1]}`" if prefix else "The run"
        if issubclass(cls, NetworkConfig) and cls is not NetworkConfig:
            having = [f"`{name}`" for name, one in NETWORKS.items() if issubclass(one, cls)]
            title += f" of {', '.join(having)}"
        parts.append(f"## {title}\n\n{first}\n")
        parts.append("| setting | default | may be | meaning |\n|---|---|---|---|")
        parts.append("\n".join(table) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
