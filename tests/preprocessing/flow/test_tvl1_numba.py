"""Fast flow on a machine where Numba finds no folder for what it compiled."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import preprocessing
from preprocessing import flow
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


@pytest.fixture
def without_cache(tmp_path):
    """Runs a program with a copy of the package that has no writable cache folder.

    Root may write anywhere, so the places that Numba would use lie below files.
    """
    package = tmp_path / "installed" / "preprocessing"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(preprocessing.__file__).parent, package, ignore=ignored)
    (package / "flow" / "__pycache__").write_bytes(b"")
    places = {"HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "NUMBA_CACHE_DIR": os.devnull}
    environment = os.environ | places | {"PYTHONPATH": str(package.parent)}

    def run(code, *arguments):
        program = tmp_path / "program.py"
        program.write_text(code)
        command = [sys.executable, "-W", "default", program, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120
        )

    return run


def test_fast_flow_without_a_cache_folder_is_the_same_flow(without_cache, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (2, 24, 24), np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    done = without_cache(
        "import numpy as np\n"
        "from preprocessing import flow\n"
        "np.save('flow.npy', flow.tvl1(np.load('frames.npy'), quality='fast'))\n"
    )
    assert done.returncode == 0, done.stderr
    expected = flow.tvl1(frames, quality="fast")
    np.testing.assert_allclose(np.load(tmp_path / "flow.npy"), expected, atol=1e-4)


def test_preparing_without_a_cache_folder_warns_once_for_all_workers(
    without_cache, tmp_path, write_video
):
    for index in range(4):
        write_video(tmp_path / "actions" / "Bow" / f"{index}.mp4", 3, seed=index)
    done = without_cache(_PREPARE, tmp_path / "actions", tmp_path / "records")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 videos 0 failed\n"
    assert done.stderr.count("NUMBA_CACHE_DIR") == 1
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("name", ["_iterate", "_flow_row", "_dual_row"])
def test_no_constant_is_in_the_code_that_numba_keeps(name):
    names = set(getattr(tvl1_numba, name).py_func.__code__.co_names)
    assert "range" in names and not names & {one for one in vars(constants) if one.isupper()}
