"""Every public name has an example in its docstring, and every example runs."""

import doctest
import importlib
import inspect
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
SLOW = ("stfnet.clips.keras_dataset",)  # fits a network
MODULES = [
    pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW))
    for package in ("preprocessing", "stfnet")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
    for name in [".".join(path.relative_to(ROOT).with_suffix("").parts)]
]


def _public():
    """{name: object} of what the page lists, and of what is public in the modules that it lists."""
    found = {}
    for name in re.findall(r"^::: (\S+)", PAGE, re.MULTILINE):
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:  # the name of an object
            home, _, own = name.rpartition(".")
            found[name] = getattr(importlib.import_module(home), own)
            continue
        for own in getattr(module, "__all__", dir(module)):
            one = getattr(module, own)
            here = hasattr(module, "__all__") or getattr(one, "__module__", "") == name
            if here and own[0] != "_" and (inspect.isfunction(one) or inspect.isclass(one)):
                found[f"{name}.{own}"] = one
    return found


def test_every_public_name_has_an_example():
    public, parser = _public(), doctest.DocTestParser()
    assert len(public) > 30
    assert not [name for name, one in public.items() if not parser.get_examples(one.__doc__ or "")]


def test_what_the_package_exports_is_listed():
    import stfnet

    listed = list(_public().values())
    exported = {name: getattr(stfnet, name) for name in stfnet.__all__}
    missing = [name for name, one in exported.items() if one not in listed]
    assert missing == ["layers", "sampling"]  # modules, whose contents are


@pytest.fixture(scope="module")
def place(make_run, tiny_records, moving_square, notop, tmp_path_factory):
    """Folder with what the examples name: records, a run on them, a video, VGG-16's weights."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "records").symlink_to(tiny_records.folder)
    shutil.copy(moving_square, folder / "a.mp4")
    (folder / "vgg16.h5").symlink_to(notop)
    (folder / "run").symlink_to(make_run(record_set=tiny_records))
    return folder


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(place, monkeypatch, name):
    import keras
    import numpy as np

    import stfnet

    monkeypatch.chdir(place)
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner, shown = doctest.DocTestRunner(optionflags=options), []
    module = importlib.import_module(name)
    usual = {"keras": keras, "np": np, "stfnet": stfnet}
    for example in doctest.DocTestFinder().find(module, extraglobs=usual):
        runner.run(example, out=shown.append)
    result = runner.summarize(verbose=False)
    assert result.attempted and not result.failed, "".join(shown)
