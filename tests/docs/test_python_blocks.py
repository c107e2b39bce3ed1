"""The Python of the README, run in a folder that has what it names."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_python_of_the_readme_runs(
    tiny_run, tiny_records, moving_square, tmp_path, monkeypatch, capsys
):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shutil.copytree(tiny_run, tmp_path / "run")
    shutil.copytree(tiny_records.folder, tmp_path / "records")
    shutil.copy(moving_square, tmp_path / "some.mp4")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    shown = capsys.readouterr().out
    assert len(re.findall(r"\('(?:Bow|Jump|Wave)', 0\.\d+\)", shown)) == 3
    assert names["model"].history.history["val_accuracy"]
