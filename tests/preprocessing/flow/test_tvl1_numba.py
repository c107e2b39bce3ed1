"""Fast flow's warp, and a machine where Numba finds no folder for what it compiled."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
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


def test_the_warp_is_opencvs_inside_at_the_border_and_outside():
    rng = np.random.default_rng(0)
    size = height, width = 21, 33
    planes = rng.uniform(0, 255, (*size, 3)).astype("float32")
    previous = rng.uniform(0, 255, size).astype("float32")
    u1, u2 = rng.uniform(-9, 9, (2, *size)).astype("float32")
    u1[0, :5] = [-2, -1, 1e9, -1e9, 30]
    u2[1, :3] = [1e9, -1e9, height - 1]
    border = constants.CUBIC_BORDER
    pixels = np.pad(planes, ((border, border), (border, border), (0, 1)))
    pixels[border:-border, border:-border, 3] = 7  # what no sum may hold
    gx, gy, constant = np.empty((3, *size), np.float32)
    tvl1_numba._warp(
        pixels, u1, u2, previous, gx, gy, constant, border, np.float32(constants.CUBIC_A)
    )
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    where = (columns + u1).astype("float32"), (rows + u2).astype("float32")
    warped, along_x, along_y = np.moveaxis(cv2.remap(planes, *where, cv2.INTER_CUBIC), -1, 0)
    # OpenCV before 5 rounds positions to 1/32 pixel.
    tolerance = 1e-3 if int(cv2.__version__.split(".")[0]) >= 5 else 12
    np.testing.assert_allclose(gx, along_x, atol=tolerance)
    np.testing.assert_allclose(gy, along_y, atol=tolerance)
    np.testing.assert_allclose(
        constant + gx * u1 + gy * u2 + previous, warped, atol=tolerance, rtol=1e-5
    )


@pytest.mark.parametrize("name", ["_iterate", "_flow_row", "_dual_row", "_warp", "_cubic_weights"])
def test_no_constant_is_in_the_code_that_numba_keeps(name):
    names = set(getattr(tvl1_numba, name).py_func.__code__.co_names)
    assert names & {"range", "float32"} and not names & {
        one for one in vars(constants) if one.isupper()
    }
