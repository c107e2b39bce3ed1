"""Writes docs/configuration.md: every setting of a run, from the dataclasses that hold them.

    python docs/write_configuration.py

What a setting means is the comment above it in stfnet/config/. `make docs` runs this, and a test
fails where the page lacks what the code says.
"""

import dataclasses
import inspect
import typing
from pathlib import Path

from stfnet.config import (
    ClipConfig,
    DeepLSTMConfig,
    LRCNConfig,
    ModelConfig,
    RunConfig,
    SoftAttentionConfig,
    TrainingConfig,
    TSNConfig,
)

PAGE = Path(__file__).with_name("configuration.md")
# Prefix of a setting on the command line: its dataclass.
GROUPS = {
    "": RunConfig,
    "model.": ModelConfig,
    "model.clip.": ClipConfig,
    "model.lrcn.": LRCNConfig,
    "model.deep_lstm.": DeepLSTMConfig,
    "model.soft_attention.": SoftAttentionConfig,
    "model.tsn.": TSNConfig,
    "training.": TrainingConfig,
}
GIVEN_BY_RECORDS = {"name", "classes", "num_classes"}
INTRODUCTION = """# Settings

Written by `make docs` from `stfnet/config/`: change the comment there.

`--config.SETTING=VALUE` of `experiments.train` and `experiments.ablate` changes one setting of the
configuration file: `--config.model.streams=rgb`, `--config.training.max_epochs="(10, 2)"`. In a
file of your own, `defaults.changed(training=dict(batch_size=4))` does (`experiments/configs/` has
examples). The defaults are the paper's where it gives a value ([fidelity.md](fidelity.md)).
`config.json` in the folder of a run has all values of that run.
"""


def comments(cls) -> dict[str, str]:
    """What the comment above each field of a dataclass says.

    A field without one, right below another, shares that one's.
    """
    texts: dict[str, str] = {}
    names = {field.name for field in dataclasses.fields(cls)}
    lines: list[str] = []
    ended = True  # whether the comment above has been used
    for line in inspect.getsource(cls).splitlines():
        name = line.strip().partition(":")[0]
        if line.startswith("    # "):
            lines = [] if ended else lines
            ended = False
            lines.append(line.removeprefix("    # "))
        elif name in names and line.startswith(f"    {name}:"):
            ended = True
            texts[name] = " ".join(lines)
    return texts


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


def rows(prefix, cls):
    """A table row for each setting of a dataclass that a configuration can have."""
    texts = comments(cls)
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(field.type) or field.name in GIVEN_BY_RECORDS:
            continue
        cells = (f"`{prefix}{field.name}`", shown(field.default), allowed(field), texts[field.name])
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def page() -> str:
    """The text of docs/configuration.md."""
    parts = [INTRODUCTION]
    for prefix, cls in GROUPS.items():
        first = inspect.getdoc(cls).splitlines()[0]
        title = f"`{prefix[:-1]}`" if prefix else "The run"
        parts.append(f"## {title}\n\n{first}\n")
        parts.append("| setting | default | may be | meaning |\n|---|---|---|---|")
        parts.append("\n".join(rows(prefix, cls)) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
