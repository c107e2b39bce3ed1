"""The nearest median frame, worked by hand on scenes whose nearest neighbour is known."""

import numpy as np
import pytest

from benchmarks import films
from preprocessing import records
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import prepare
from preprocessing.preparation.conversion import Settings
from preprocessing.preparation.local import local_runner
from stfnet.evaluation import baselines

BRIGHT, DARK = 210, 50


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Records of videos before a wall that is bright left, right, above or below; 3 of 5 frames.

    What moves is in the other frames, and the median does not see it.
    """
    folder = tmp_path_factory.mktemp("scenes")
    half = np.zeros((32, 32, 3), np.uint8) + DARK
    left, above = half.copy(), half.copy()
    left[:, :16] = above[:16] = BRIGHT
    walls = {"left": left, "right": left[:, ::-1], "above": above, "below": above[::-1]}
    videos = (("A", "left"), ("A", "above"), ("B", "right"), ("B", "left"), ("A", "below"))
    for number, (name, wall) in enumerate(videos, 1):
        path = folder / "videos" / name / f"v_{name}_g{number:02d}_c01.avi"
        frames = (walls[wall], 255 - walls[wall], walls[wall], half * 0, walls[wall])
        films.write_video(path, frames, films.MOTION_JPEG, 20)
    prepare.prepare(
        class_folders.load(folder / "videos"),
        folder / "records",
        Settings(image_size=32, flow_quality="fast"),
        local_runner(workers=1, time_limit=60),
    )
    return records.load_record_set(folder / "records")


def test_the_median_frame_is_the_scene_standardised(scenes):
    position = [video.id for video in scenes.videos].index("v_A_g01_c01")
    frame = baselines.median_frame(scenes, position).reshape(32, 32, 3)
    assert frame.mean() == pytest.approx(0, abs=1e-5) and frame.std() == pytest.approx(1, abs=1e-4)
    # Half bright and half dark: one standard deviation above and below the mean, but for JPEG.
    np.testing.assert_allclose(frame[:, :12], 1, atol=0.1)
    np.testing.assert_allclose(frame[:, 20:], -1, atol=0.1)


def test_a_test_video_gets_the_class_of_the_most_similar_scene(scenes):
    positions = {video.id[-7:]: k for k, video in enumerate(scenes.videos)}
    train = [positions[f"g{number:02d}_c01"] for number in (1, 2, 3)]  # A left, A above, B right
    left, below = positions["g04_c01"], positions["g05_c01"]
    # B's left is the scene of A's left: wrong. A's below shares half of the picture with B's left
    # and nothing with A's above: wrong too.
    assert baselines.nearest_neighbour(scenes, train, [left]) == 0.0
    assert baselines.nearest_neighbour(scenes, train, [train[2]]) == 1.0
    assert baselines.nearest_neighbour(scenes, train, [left, train[1]]) == 0.5
    assert baselines.nearest_neighbour(scenes, [positions["g02_c01"], left], [below]) == 0.0


def test_the_nearest_rows_are_those_of_every_distance_in_double_precision():
    rng = np.random.default_rng(0)
    known, asked = (rng.normal(size=(n, 48)).astype(np.float32) for n in (300, 70))
    asked[:20] = known[100:120] + 1e-3 * asked[:20]  # a scene filmed twice
    distances = (asked[:, None].astype(np.float64) - known[None].astype(np.float64)) ** 2
    expected = distances.sum(-1).argmin(1)
    np.testing.assert_array_equal(baselines.nearest_rows(known, asked), expected)
    np.testing.assert_array_equal(expected[:20], np.arange(100, 120))


_AT_SCALE = """
import numpy as np
from stfnet.evaluation import baselines
rng = np.random.default_rng(0)
known, asked = (rng.standard_normal((n, 3072), np.float32) for n in (9537, 400))
print(len(baselines.nearest_rows(known, asked)))
peak = open('/proc/self/status').read().partition('VmHWM:')[2]
print(int(peak.split()[0]) << 10)
"""


def test_the_nearest_rows_among_the_videos_of_ucf101_take_less_than_a_gigabyte(run_python):
    done = run_python("-c", _AT_SCALE)
    assert done.returncode == 0, done.stderr
    rows, peak = map(int, done.stdout.split())
    assert rows == 400 and peak < 1e9


def test_a_damaged_record_is_named_with_the_way_out(damaged_records):
    name = damaged_records.videos[2].id
    with pytest.raises(UserError, match=rf"record of {name} .*checksum.* --verify="):
        baselines.median_frame(damaged_records, 2)
