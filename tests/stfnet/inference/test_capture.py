import numpy as np
import pytest
from helpers import wait_until

from preprocessing import video
from preprocessing.errors import UserError
from stfnet.inference import capture


def test_a_file_gives_every_frame_and_drops_none(moving_square):
    source = capture.open_capture(str(moving_square))
    assert isinstance(source, capture.FileCapture)
    times, frames = zip(*source, strict=True)
    np.testing.assert_array_equal(frames, list(video.read_frames(moving_square)))
    assert sorted(times) == list(times)
    assert (source.fps, source.dropped) == (20, 0)
    source.close()


def test_what_of_a_file_was_repaired_is_known_at_its_end(interlaced_video):
    source = capture.open_capture(str(interlaced_video))
    assert len(list(source)) == 6
    (note,) = source.notes
    assert note == f"{interlaced_video} is interlaced: its frames were deinterlaced"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.mp4 does not exist"):
        capture.open_capture(str(tmp_path / "gone.mp4"))


def test_a_camera_gives_its_frames_in_rgb_until_it_is_switched_off(camera):
    source = capture.open_capture(camera)
    frames = []
    with pytest.raises(UserError, match=r"camera\.mjpeg ended after 12 frames: it was disconn"):
        for _, frame in source:
            frames.append(frame)
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in frames)
    # Grey k is 20 k in all channels; none is dropped, 12 being less than the queue holds.
    levels = np.stack(frames).mean((1, 2))
    np.testing.assert_allclose(levels, np.tile(20 * np.arange(12)[:, None], 3), atol=2)
    assert source.dropped == 0


def test_slow_work_drops_frames_and_not_time(camera, monkeypatch):
    monkeypatch.setattr(capture, "QUEUED_FRAMES", 4)
    source = capture.open_capture(camera)
    frames = []
    wait_until(lambda: source.dropped >= 8)  # all 12 have come
    with pytest.raises(UserError):
        for _, frame in source:
            frames.append(int(frame.mean()))
    assert source.dropped == 8
    np.testing.assert_allclose(frames, [160, 180, 200, 220], atol=2)  # the last 4 of 12


@pytest.mark.parametrize("number", ["97", "9" * 20])
def test_a_camera_that_is_not_there_is_named_in_one_line(number, capfd):
    with pytest.raises(UserError, match=f"camera {number} cannot be opened"):
        capture.open_capture(number)
    assert capfd.readouterr().err == ""  # OpenCV's own complaint


def test_a_closed_camera_is_no_longer_read(camera):
    source = capture.open_capture(camera)
    source.close()
    assert not source._reader.is_alive()
