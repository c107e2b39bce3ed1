"""Fast flow on a machine where Numba finds no folder for what it compiled."""

import os
import shutil
from pathlib import Path

import pytest

import preprocessing
from preprocessing.flow import constants, tvl1_numba

_PREPARE = """
import sys
from preprocessing.datasets import class_folders
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner

if __name__ == "__main__":
    settings = conversion.Settings(image_size=16, flow_quality="fast")
    run = local_runner(2, 60)
    done = prepare.prepare(class_folders.load(sys.argv[1]), sys.argv[2], settings, run)
    print(len(done.record_set.videos), "videos", len(done.failures), "failed")
"""


def test_preparing_without_a_cache_folder_warns_once_for_all_workers(
    run_python, tmp_path, write_video
):
    # Root may write anywhere, so the places that Numba would use lie below files.
    package = tmp_path / "installed" / "preprocessing"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(preprocessing.__file__).parent, package, ignore=ignored)
    (package / "flow" / "__pycache__").write_bytes(b"")
    places = {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "NUMBA_CACHE_DIR": os.devnull}
    for index in range(4):
        write_video(tmp_path / "actions" / "Bow" / f"{index}.mp4", 3, seed=index)
    (tmp_path / "program.py").write_text(_PREPARE)
    command = ("-W", "default", "program.py", "actions", "records")
    done = run_python(*command, folder=tmp_path, PYTHONPATH=package.parent, **places)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 videos 0 failed\n"
    assert done.stderr.count("NUMBA_CACHE_DIR") == 1
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("name", ["_iterate", "_flow_row", "_dual_row"])
def test_no_constant_is_in_the_code_that_numba_keeps(name):
    names = set(getattr(tvl1_numba, name).py_func.__code__.co_names)
    assert "range" in names and not names & {one for one in vars(constants) if one.isupper()}
