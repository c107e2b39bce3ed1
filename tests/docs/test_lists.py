"""What the pages list of the code is what the code has."""

import ast
import dataclasses
import re
from pathlib import Path

from stfnet import complexity
from stfnet.config import ClipConfig, TrainingConfig
from stfnet.networks import BASELINES, NETWORKS, ModelConfig

ROOT = Path(__file__).parents[2]
SETUP = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))


def _page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def _first_cells(text):
    return re.findall(r"^\| (.+?) \|", text, re.MULTILINE)


def test_every_program_that_is_installed_has_a_row():
    (names,) = (
        ast.literal_eval(node.value)
        for node in SETUP.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PROGRAMS"
    )
    table = _page("reference/programs.md").partition("| program |")[2].partition("\n\n")[0]
    named = {re.match(r"`(\w+)`", cell)[1] for cell in _first_cells(table) if cell[0] == "`"}
    assert named == {*names, "inspect_records"}


def test_every_extra_has_a_row():
    (extras,) = (
        node.value
        for node in ast.walk(SETUP)
        if isinstance(node, ast.keyword) and node.arg == "extras_require"
    )
    table = _page("guide/start.md").partition("| extra |")[2].partition("\n\n")[0]
    named = re.findall(r"`\[(\w+)\]`", " ".join(_first_cells(table)))
    assert sorted(named) == sorted(key.value for key in extras.keys)


def test_a_reading_of_the_paper_stands_with_its_default_first_and_all_its_choices():
    groups = {"clip": ClipConfig, "model": ModelConfig, "training": TrainingConfig}
    choice = re.compile(r"`(clip|model|training)\.(\w+) = (\w+)`((?:, `\w+`)*)")
    found = choice.findall(_page("fidelity.md"))
    assert len(found) > 9
    for group, name, first, others in found:
        (field,) = (one for one in dataclasses.fields(groups[group]) if one.name == name)
        choices = {first, *re.findall(r"\w+", others)}
        assert first == field.default and choices == set(field.metadata["allowed"]), name


def test_the_defaults_of_a_server_are_those_of_its_flags():
    program = (ROOT / "experiments" / "serve.py").read_text(encoding="utf-8")
    flags = dict(re.findall(r"DEFINE_\w+\(\s*\"(\w+)\",\s*\"?([\w.]+)", program))
    table = _page("guide/elsewhere.md").partition("| flag |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`--.+?) \| (.+?) \|", table, re.MULTILINE)
    assert len(rows) > 6
    for names, values in rows:
        names = re.findall(r"--(\w+)", names)
        for name, value in zip(names, values.split(", ", len(names) - 1), strict=True):
            shown = re.match(r"[\w.]+", value.strip("`"))[0]
            given = flags[name].removesuffix(".0")
            assert shown == given or (given == "None" and value == "that of the records"), name


def test_every_room_is_named_and_every_module_of_rooms_whose_modules_are_listed():
    page = _page("architecture.md")
    for package in ("preprocessing", "stfnet", "experiments"):
        for path in (ROOT / package).glob("[!_]*"):
            forms = (f"{path.stem}.py`", f"`{path.stem}`", f"`{path.name}/")
            code = path.suffix == ".py" or path.is_dir()
            assert not code or any(form in page for form in forms), path
    for room in ("clips", "evaluation", "explanation", "serving", "training"):
        for path in (ROOT / "stfnet" / room).glob("[!_]*.py"):
            assert f"`{path.stem}`" in page, path


def test_the_multiply_adds_of_the_networks_are_those_that_are_counted():
    row = re.compile(r"^\| `(\w+)` \| .+? \| [\d.]+.*? \| ([\d.]+).*? \| (\w+)", re.MULTILINE)
    rows = row.findall(_page("reference/baselines.md"))
    assert sorted(name for name, *_ in rows) == sorted({"stfnet", *BASELINES})
    for name, shown, reads in rows:
        config = NETWORKS[name](num_classes=101)
        assert config.streams == {"frames": "rgb", "both": "both"}[reads]
        assert f"{complexity.forward_multiply_adds(config) / 1e9:.1f}" == shown, name
