"""Features as a person computes and loads them."""

import numpy as np
import pytest
from helpers import read_csv


@pytest.mark.slow
def test_features_of_vgg16_load_with_numpy(run_program, tiny_records, notop, tmp_path):
    command = (
        f"--records={tiny_records.folder}",
        f"--output={tmp_path}",
        f"--weights={notop}",
        "--pooled",
    )
    done = run_program("features", *command)
    assert done.returncode == 0, done.stderr
    without, forecast, written = done.stdout.splitlines()
    assert without.startswith("without fc6: it needs weights with VGG-16's fc1")
    frames = sum(video.num_frames for video in tiny_records.videos)
    assert forecast.startswith(f"features of {frames} frames of 24 videos in {tmp_path}: ")
    assert written == f"written: {tmp_path / 'index.csv'} (24 videos)"
    for row in read_csv(tmp_path / "index.csv"):
        assert np.load(tmp_path / row["rgb"]).shape == (int(row["frames"]), 512)
    again = run_program("features", *command)
    assert again.returncode == 0 and "features of" not in again.stdout
    other = run_program("features", *command[:3])
    assert other.returncode == 1 and "is of other features than these" in other.stderr


def test_a_mistake_is_one_line(check_mistakes, tiny_records, tmp_path):
    new = tmp_path / "new"
    flags = (f"--records={tiny_records.folder}", f"--output={new}", "--weights=nowhere.h5")
    check_mistakes("features", [(flags, "VGG-16 weights file nowhere.h5 is missing")])
    assert not new.exists()


def test_a_network_of_several_levels_gives_the_maps_that_it_has(
    run_program, tiny_records, make_run, tmp_path
):
    network = make_run("small_data", map_levels=(3, 4, 5), map_norm=True, linear_parts=2)
    for pooled, shape in ((["--pooled"], (80,)), ([], (2, 2, 80))):
        output = tmp_path / f"features{len(pooled)}"
        command = (f"--records={tiny_records.folder}", f"--output={output}", f"--network={network}")
        done = run_program("features", *command, *pooled)
        assert done.returncode == 0, done.stderr
        for row in read_csv(output / "index.csv"):
            maps = np.load(output / row["flow"])
            assert maps.shape == (int(row["frames"]), *shape)
