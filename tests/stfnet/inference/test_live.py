import http.server
import itertools
import threading
import time

import cv2
import numpy as np
import pytest

from preprocessing import flow, video
from preprocessing.errors import UserError
from stfnet.inference import capture, live, prediction


@pytest.fixture
def computed(monkeypatch):
    """Pairs of gray frames that flow was computed of, in order."""
    pairs, tvl1 = [], flow.tvl1

    def counted(frames, *args, **kwargs):
        pairs.append(frames)
        return tvl1(frames, *args, **kwargs)

    monkeypatch.setattr(flow, "tvl1", counted)
    return pairs


def _fill(window, path):
    for frame in video.read_frames(path):
        window.add(frame)
    return window


def test_a_window_over_a_whole_video_is_its_test_clip(tiny_run, moving_square, computed):
    config = prediction.load_run(tiny_run)[1]
    clip = config.model.clip
    expected = prediction.read_clip(moving_square, clip)  # frames 0, 3, 6
    computed.clear()
    window = live.SlidingWindow(clip, "both", 3, "reference")
    found = _fill(window, moving_square).clip_inputs()
    assert [number for number, *_ in window.samples] == [0, 3, 6]
    for stream in ("rgb", "flow"):
        np.testing.assert_array_equal(found[stream], expected[stream])
    # Once a pair, in the order of the frames.
    assert len(computed) == 10
    for first, second in itertools.pairwise(computed):
        np.testing.assert_array_equal(first[1], second[0])


def test_only_fields_of_a_stack_are_computed(tiny_run, moving_square, computed):
    clip = prediction.load_run(tiny_run)[1].model.clip
    window = _fill(live.SlidingWindow(clip, "both", 6), moving_square)
    # Of 10 fields, frame 0 takes 0 and 1, frame 6 takes 4 to 7; 10 begins the stack of frame 12.
    assert len(computed) == 2 + 4
    assert [number for number, *_ in window.samples] == [0, 6]
    computed.clear()
    _fill(live.SlidingWindow(clip, "rgb", 6), moving_square)
    assert not computed


def test_a_file_is_followed_to_its_end(tiny_run, moving_square, tmp_path):
    model, config = prediction.load_run(tiny_run)
    lines, path = [], tmp_path / "live.mp4"
    stream = capture.open_stream(str(moving_square))
    ranking = live.watch(model, config, stream, path, interval=2, show=lines.append)
    assert ranking[0][0] in config.classes
    # T = 3, every second frame: windows end at the samples 4, 6 and 8, whose stacks need 2 more.
    assert [line.split()[1] for line in lines[:-1]] == ["7", "9", "11"]
    assert "frames/s" in lines[0] and "latency" in lines[0]
    assert lines[-1].startswith("11 frames at") and "3 predictions" in lines[-1]
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 11
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_shorter_than_the_window_gets_a_label(tiny_run, moving_square):
    model, config = prediction.load_run(tiny_run)
    lines = []
    stream = capture.open_stream(str(moving_square))
    assert live.watch(model, config, stream, interval=10, show=lines.append)
    assert len(lines) == 2


@pytest.fixture
def camera():
    """Address of a camera on the network that is switched off after 12 frames."""

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for k in range(12):
                image = cv2.imencode(".jpg", np.full((48, 64, 3), 20 * k, np.uint8))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}"
                self.wfile.write(head.encode() + b"\r\n\r\n" + image + b"\r\n")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/camera.mjpeg"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_camera_that_disappears_is_named_and_its_video_kept(tiny_run, camera, tmp_path):
    model, config = prediction.load_run(tiny_run)
    path, lines = tmp_path / "live.mp4", []
    stream = capture.open_stream(camera)
    with pytest.raises(UserError, match=r"camera\.mjpeg ended after 12 frames: it was disconn"):
        live.watch(model, config, stream, path, interval=2, show=lines.append)
    assert lines[-1].startswith("12 frames at")
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 12


@pytest.mark.parametrize("path", ["new/live.mp4", None])
def test_a_stop_before_the_first_frame_is_one_line_and_leaves_nothing(tiny_run, tmp_path, path):
    class Stopped:
        fps, dropped = 25.0, 0

        def __iter__(self):
            raise KeyboardInterrupt

        def close(self):
            pass

    model, config = prediction.load_run(tiny_run)
    with pytest.raises(UserError, match="stopped before the first frame"):
        live.watch(model, config, Stopped(), path and tmp_path / path, interval=2)
    assert not list(tmp_path.iterdir())


def test_slow_work_drops_frames_and_not_time(camera, monkeypatch):
    monkeypatch.setattr(capture, "QUEUED_FRAMES", 4)
    stream = capture.open_stream(camera)
    frames, begun = [], time.monotonic()
    while stream.dropped < 8 and time.monotonic() < begun + 10:
        time.sleep(0.01)  # until all 12 have come
    with pytest.raises(UserError):
        for _, frame in stream:
            frames.append(int(frame.mean()))
    assert stream.dropped == 8
    np.testing.assert_allclose(frames, [160, 180, 200, 220], atol=2)  # the last 4 of 12


@pytest.mark.parametrize("number", ["97", "9" * 20])
def test_a_camera_that_is_not_there_is_named(number):
    with pytest.raises(UserError, match=f"camera {number} cannot be opened"):
        capture.open_stream(number)


def test_a_closed_camera_is_no_longer_read(camera):
    stream = capture.open_stream(camera)
    stream.close()
    assert not stream._reader.is_alive()
