import csv
import itertools
import tracemalloc

import av
import numpy as np
import pytest

from benchmarks import films
from preprocessing import flow, video
from preprocessing.errors import UserError
from stfnet import ClipConfig, sampling
from stfnet.config import RecordsConfig
from stfnet.inference import prediction, timeline
from stfnet.inference.clip import stack, stored_field, stored_frame


def _write(path, count, fps=20):
    """A video of `count` frames of 64 x 48 pixels."""
    films.write_video(path, films.moving_textures(count, 64, 48), films.MPEG_4, fps)
    return path


@pytest.fixture
def solved(monkeypatch):
    """Pairs of grey frames that TV-L1 was solved for, by the solver itself, in order."""
    pairs, fast_solver = [], flow.solver.fast_solver

    def counting():
        solve = fast_solver()

        def counted(first, second):
            pairs.append((first, second))
            return solve(first, second)

        return counted

    monkeypatch.setattr(flow.solver, "fast_solver", counting)
    return pairs


def _clip_of(frames, numbers, clip):
    """The clip of these frame numbers, every field of the video solved beforehand."""
    small = np.stack([video.resize(frame, clip.image_size, clip.resize) for frame in frames])
    gray = np.stack([video.grayscale(frame) for frame in small])
    fields = flow.encode(flow.tvl1(gray, quality="fast"), clip.flow_bound)
    small = np.stack([stored_frame(frame, RecordsConfig()) for frame in small])
    fields = np.stack([stored_field(field, RecordsConfig()) for field in fields])
    rows = sampling.flow_indices(numbers, len(frames), clip.flow_length)
    return {"rgb": small[numbers], "flow": np.stack([stack(fields[row]) for row in rows])}


def _answers(model, config, path, firsts):
    """The network's, for clips of every second frame of a video from each of the first ones on."""
    frames, clip = list(video.read_frames(path)), config.model.clip
    numbers = [np.array([first, first + 2, first + 4]) for first in firsts]
    return [prediction.predict_clip(model, _clip_of(frames, row, clip)) for row in numbers]


def test_windows_are_the_clips_of_their_frames_and_flow_is_solved_once_a_pair(
    tiny_run, tmp_path, solved
):
    model, config = prediction.load_run(tiny_run)
    path = _write(tmp_path / "long.mp4", 24)
    lines = []
    # T = 3 of every second frame, a window every 4 frames.
    times = timeline.recognise(model, config, path, interval=2, stride=4, show=lines.append)
    assert len(solved) == 23
    for first, second in itertools.pairwise(solved):
        np.testing.assert_array_equal(first[1], second[0])
    # The last window ends with the last sampled frame, 22.
    expected = _answers(model, config, path, [0, 4, 8, 12, 16, 18])
    np.testing.assert_allclose(times.probabilities, expected, atol=1e-6)
    # Centres are the frames 2, 6, 10, 14, 18, 20 at 20 frames/s; the video lasts 1.2 s.
    np.testing.assert_allclose(times.edges, [0, 0.2, 0.4, 0.6, 0.8, 0.95, 1.2], atol=1e-9)
    assert lines[0].startswith("windows of 3 frames, one of every 2: 0.30 s; from one to the next")
    assert lines[-1].startswith("00:01 of video, 24 frames in 6 windows: took 00:")


@pytest.mark.parametrize(("interval", "stride", "windows"), [(0, 0, 10), (1, 1, 22), (3, 100, 2)])
def test_the_stride_is_half_a_window_unless_it_is_given(
    tiny_run, tmp_path, interval, stride, windows
):
    model, config = prediction.load_run(tiny_run)
    tau = sum(config.training.tau_range) // 2
    path = _write(tmp_path / "long.mp4", 24)
    times = timeline.recognise(model, config, path, interval, stride, show=lambda line: None)
    if not interval:  # T // 2 = 1 sampled frame, and 24 frames have this many windows
        windows = (23 // tau) + 1 - 2
    assert len(times.probabilities) == windows
    assert times.edges[0] == 0 and times.edges[-1] == pytest.approx(1.2)


def test_a_video_shorter_than_a_window_is_one(tiny_run, moving_square):
    model, config = prediction.load_run(tiny_run)
    times = timeline.recognise(model, config, moving_square, interval=8, show=lambda line: None)
    frames = list(video.read_frames(moving_square))
    expected = prediction.predict_clip(
        model, _clip_of(frames, np.array([0, 8, 8]), config.model.clip)
    )
    np.testing.assert_allclose(times.probabilities, [expected], atol=1e-6)
    np.testing.assert_allclose(times.edges, [0, 11 / 20])


@pytest.mark.parametrize("flow_length", [1, 2, 6])
def test_stacks_that_reach_beyond_the_end_are_cut_there(make_run, tmp_path, flow_length):
    run = make_run(clip=ClipConfig(num_frames=3, flow_length=flow_length, image_size=16))
    model, config = prediction.load_run(run)
    path = _write(tmp_path / "long.mp4", 9)
    times = timeline.recognise(model, config, path, interval=2, stride=2, show=lambda line: None)
    # The only field of frame 8 in a stack of one would be that from frame 8 to 9: none.
    expected = _answers(model, config, path, [0, 2] if flow_length == 1 else [0, 2, 4])
    np.testing.assert_allclose(times.probabilities, expected, atol=1e-6)


def test_a_network_of_frames_alone_solves_no_flow(make_run, tmp_path, solved):
    model, config = prediction.load_run(make_run(streams="rgb"))
    path = _write(tmp_path / "long.mp4", 10)
    times = timeline.recognise(model, config, path, interval=3, stride=3, show=lambda line: None)
    assert len(times.probabilities) == 2 and not solved  # frames 0, 3, 6 and 3, 6, 9


def test_a_network_of_a_lower_rate_reads_a_video_at_that_rate(make_run, tmp_path):
    clip = ClipConfig(num_frames=3, flow_length=4, image_size=32, fps=5.0)
    model, config = prediction.load_run(make_run(streams="rgb", clip=clip))
    path = _write(tmp_path / "long.mp4", 50, fps=25)
    lines = []
    times = timeline.recognise(model, config, path, interval=1, stride=3, show=lines.append)
    assert lines[0].startswith("windows of 3 frames, one of every 1: 0.60 s;")
    # Frames 0, 5, 10, ...: two seconds have ten of them.
    assert times.edges[-1] == pytest.approx(2.0) and "10 frames in" in lines[-1]


def test_times_are_those_of_the_frames_where_the_rate_varies(tiny_run, tmp_path):
    path = tmp_path / "variable.mp4"
    stamps = [0, 100, 200, 300, 400, 1400, 2400, 3400, 4400]  # milliseconds
    with av.open(str(path), "w") as file:
        picture = file.add_stream("libx264", rate=1000)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        for stamp, image in zip(stamps, films.moving_textures(9, 64, 48), strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts = stamp
            file.mux(picture.encode(frame))
        file.mux(picture.encode())
    model, config = prediction.load_run(tiny_run)
    times = timeline.recognise(model, config, path, interval=2, stride=4, show=lambda line: None)
    # Frames 0, 2, 4 and 4, 6, 8: from 0 to 0.4 s and from 0.4 to 4.4 s; the last takes a second.
    np.testing.assert_allclose(times.edges, [0, (0.2 + 2.4) / 2, 5.4], atol=1e-3)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(tiny_run, tmp_path):
    model, config = prediction.load_run(tiny_run)
    peaks = {}
    for count in (100, 200, 2000):  # the first warms up what is loaded and compiled once
        path = _write(tmp_path / f"{count}.mp4", count)
        tracemalloc.start()
        timeline.recognise(model, config, path, 10, 100, show=lambda line: None)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # 1,800 more frames of 9 kB would be 16 MB, resized to 32 x 32 pixels 5 MB.
    assert peaks[2000] < peaks[200] + 200_000


def test_a_video_of_one_frame_has_no_flow(tiny_run, tmp_path):
    model, config = prediction.load_run(tiny_run)
    path = _write(tmp_path / "one.mp4", 1)
    with pytest.raises(UserError, match=r"one\.mp4 has 1 frame, and flow needs two"):
        timeline.recognise(model, config, path, show=lambda line: None)


def test_progress_says_how_far_it_is_and_what_is_left(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(timeline, "PROGRESS_SECONDS", 0)
    model, config = prediction.load_run(tiny_run)
    lines = []
    timeline.recognise(model, config, _write(tmp_path / "long.mp4", 40), 2, 4, show=lines.append)
    assert len(lines) == 42
    assert (
        lines[30].startswith("00:01 of 00:02  ") and "s of video a second, about 00:" in lines[30]
    )
    assert any(name in lines[30] for name in config.classes)


EDGES = np.array([0, 1, 2.5, 4, 3600.4])
# Bow, Bow, Jump, Bow.
PROBABILITIES = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.7, 0.3]], np.float32)
TIMES = timeline.Timeline(("Bow", "Jump, high\n"), EDGES, PROBABILITIES)


def test_neighbouring_windows_of_one_class_are_one_row():
    rows = TIMES.rows()
    assert [(row.start, row.end, row.class_name) for row in rows] == [
        (0, 2.5, "Bow"),
        (2.5, 4, "Jump, high\n"),
        (4, 3600.4, "Bow"),
    ]
    np.testing.assert_allclose([row.probability for row in rows], [0.7, 0.9, 0.7], rtol=1e-6)


def test_windows_share_the_time_between_their_centres():
    np.testing.assert_allclose(timeline.edges_between([1, 2, 5], 7), [0, 1.5, 3.5, 7])
    np.testing.assert_allclose(timeline.edges_between([0.5], 1), [0, 1])


def test_the_files_are_what_csv_and_ffmpeg_read(tmp_path):
    paths = timeline.write(tmp_path / "new", TIMES)
    assert sorted((tmp_path / "new").iterdir()) == sorted(paths)
    with paths[0].open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["start", "end", "class", "probability"],
        ["0.000", "2.500", "Bow", "0.7000"],
        ["2.500", "4.000", "Jump, high\n", "0.9000"],
        ["4.000", "3600.400", "Bow", "0.7000"],
    ]
    with av.open(str(paths[1])) as file:
        (stream,) = file.streams.subtitles
        shown = [
            (
                float(packet.pts * packet.time_base),
                float(packet.duration * packet.time_base),
                bytes(packet).decode(),
            )
            for packet in file.demux(stream)
            if packet.pts is not None
        ]
    assert shown == [(0, 2.5, "Bow 70%"), (2.5, 1.5, "Jump, high 90%"), (4, 3596.4, "Bow 70%")]
