import cv2
import numpy as np
import pytest

from preprocessing.preparation import layout


@pytest.fixture
def videos(tmp_path, write_video):
    """Two classes of three and two videos, 2 to 6 frames long."""
    folder = tmp_path / "actions"
    for index in range(3):
        write_video(folder / "Left" / f"v_Left_g{index:02d}_c01.mp4", 2 + index, seed=index)
    for index in range(2):
        path = folder / "Right" / f"v_Right_g{index:02d}_c01.avi"
        write_video(path, 5 + index, fourcc="MJPG", seed=9 + index)
    return folder


@pytest.fixture
def dense_flow(tmp_path):
    """Two classes of one clip of 4 frames of 64 x 48 with 3 ready-made flow fields.

    All move 2 pixels to the right and 1 up in each of their own 64 x 48 pixels: as dense_flow
    writes it, 255 * (2 + 20) / 40 is 140 and 255 * (-1 + 20) / 40 is 121.
    """
    folder = tmp_path / "dense"
    noise = np.random.default_rng(0).integers(0, 255, (52, 72, 3), np.uint8)
    for clip in ("jump/a", "wave/b"):
        path = folder / clip
        path.mkdir(parents=True)
        for k in range(4):
            frame = noise[k : k + 48, 6 - 2 * k : 70 - 2 * k]
            cv2.imwrite(str(path / f"img_{k + 1:05d}.png"), frame)
        for k in range(3):
            for axis, level in (("x", 140), ("y", 121)):
                picture = np.full((48, 64), level, np.uint8)
                picture[0, 0] = 128
                cv2.imwrite(str(path / f"flow_{axis}_{k + 1:05d}.png"), picture)
    return folder


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of at most two videos."""
    monkeypatch.setattr(layout, "VIDEOS_PER_SHARD", 2)
