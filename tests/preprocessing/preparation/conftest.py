import pytest


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
