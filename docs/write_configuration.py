"""Writes docs/reference/settings.md: every setting of a run, from the dataclasses that hold them.

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

PAGE = Path(__file__).with_name("reference") / "settings.md"
# Dataclasses of networks; those that several share stand before them.
_OF_NETWORKS = dict.fromkeys(
    one
    for cls in NETWORKS.values()
    for one in reversed(cls.__mro__)
    if issubclass(one, NetworkConfig)
)
# The tables: what a setting begins with on the command line -> the dataclasses that it is of.
TABLES = {
    "": [RunConfig],
    "model.": list(_OF_NETWORKS),
    "model.clip.": [ClipConfig],
    "training.": [TrainingConfig],
}
GIVEN_BY_RECORDS = {"name", "classes", "num_classes", "model"}
INTRODUCTION = """# Settings

Written by `make docs` from the dataclasses of `stfnet/`: change the text below a field there.

`--config.SETTING=VALUE` changes one setting of the configuration file:
`--config.model.streams=rgb`, `--config.training.max_epochs="(10, 2)"`. In a file of your own,
`defaults.changed(model=dict(network="lrcn"), training=dict(batch_size=4))` does. The defaults are
the paper's where it gives a value ([fidelity.md](../fidelity.md)). The file of `--config` chooses
the network: `paper.py`, `modern.py` and `synthetic.py` the paper's (`stfnet`), `real_videos.py` the
one for little data (`small_data`), `baselines.py:NAME` one of [the others](baselines.md).
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


def having(cls) -> str:
    """Which networks have the settings of a dataclass."""
    names = [name for name, one in NETWORKS.items() if issubclass(one, cls)]
    others = [name for name in NETWORKS if name not in names]
    few, but = (others, "all but ") if len(others) < len(names) else (names, "")
    return but + ", ".join(f"`{name}`" for name in few) if few else "all"


def rows(cls, prefix):
    """A table row for each setting that a dataclass adds to those that it inherits."""
    texts = explanations(cls)
    for field in dataclasses.fields(cls):
        given = dataclasses.is_dataclass(field.type) or field.name in GIVEN_BY_RECORDS
        if given or not texts.get(field.name):
            continue
        of = [having(cls)] if issubclass(cls, NetworkConfig) else []
        cells = (f"`{prefix}{field.name}`", *of, shown(field.default), allowed(field))
        cells = (*cells, texts[field.name])
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page() -> str:
    """The text of docs/reference/settings.md."""
    parts = [INTRODUCTION]
    for prefix, classes in TABLES.items():
        title = f"`{prefix[:-1]}`" if prefix else "The run"
        of = ["networks"] if prefix == "model." else []
        head = ["setting", *of, "default", "may be", "meaning"]
        table = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        table += [row for cls in classes for row in rows(cls, prefix)]
        parts += [f"## {title}\n", "\n".join(table) + "\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
