import wave

import av
import numpy as np
import pytest

from preprocessing import video


def _count(path):
    return sum(1 for _ in video.read_frames(path))


def _outcome(path):
    with pytest.raises(video.VideoError) as caught:
        _count(path)
    assert str(path) in str(caught.value)
    return caught.value.outcome


@pytest.mark.parametrize(
    ("name", "fourcc"),
    [("a.avi", "MJPG"), ("a.avi", "XVID"), ("a.mp4", "mp4v"), ("a.mkv", "mp4v"), ("a.mov", "mp4v")],
)
def test_containers_give_every_frame_in_rgb(tmp_path, write_video, name, fourcc):
    path = write_video(tmp_path / name, num_frames=9, fourcc=fourcc)
    frames = list(video.read_frames(path))
    assert len(frames) == 9
    assert all(frame.shape == (48, 64, 3) and frame.dtype == np.uint8 for frame in frames)
    red, green, blue = frames[0][28, 10].astype(int)  # the square was written as BGR 40, 210, 90
    assert abs(red - 90) < 25 and abs(green - 210) < 25 and abs(blue - 40) < 25
    assert video.probe(path) == video.Claim(9, 64, 48, 25.0)


def test_frames_of_an_mpg_are_counted_not_taken_from_the_header(tmp_path, write_video):
    path = write_video(tmp_path / "a.mpg", num_frames=10, fourcc="mpg1")
    assert video.probe(path).num_frames != 10  # a guess from size and bit rate
    assert _count(path) == 10


def test_a_wrong_extension_does_not_matter(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4")
    path.rename(tmp_path / "a.avi")
    assert _count(tmp_path / "a.avi") == 6


def test_each_fault_has_its_name(tmp_path, write_video):
    whole = write_video(tmp_path / "whole.mp4", num_frames=40).read_bytes()
    avi = write_video(tmp_path / "whole.avi", num_frames=40, fourcc="MJPG").read_bytes()
    mkv = write_video(tmp_path / "whole.mkv", num_frames=80, fourcc="mp4v", step=7).read_bytes()
    faults = {
        "zero_bytes": ("empty.mp4", b""),
        "not_video": ("text.avi", b"What is in a name? " * 40),
        "truncated": ("cut.mp4", whole[: len(whole) // 2]),
        "no_video": ("sound.mp4", whole.replace(b"vide", b"soun")),
        "corrupt": ("header.avi", avi[:300] + bytes(4000)),
    }
    for outcome, (name, content) in faults.items():
        (tmp_path / name).write_bytes(content)
        assert _outcome(tmp_path / name) == outcome, name
    for name, content in (("cut.avi", avi), ("cut.mkv", mkv)):
        (tmp_path / name).write_bytes(content[: len(content) * 6 // 10])
        assert _outcome(tmp_path / name) == "truncated", name
    assert _outcome(tmp_path / "nowhere.mp4") == "missing"
    (tmp_path / "no_images").mkdir()
    assert _outcome(tmp_path / "no_images") == "no_frames"

    with wave.open(str(tmp_path / "sound.avi"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(4000))
    assert _outcome(tmp_path / "sound.avi") == "no_video"


@pytest.mark.parametrize(
    ("claimed", "usual"),
    [(24, 24), (1, 1), (240, 240), (0, 25), (90000, 25), (0.5, 25), (float("nan"), 25)],
)
def test_a_frame_rate_that_no_camera_has_counts_as_25(claimed, usual):
    assert video.usual_fps(claimed) == usual


def _times(path):
    """Seconds of each shown frame since the first, as PyAV reads them."""
    with av.open(str(path)) as file:
        times = [float(frame.time) for frame in file.decode(video=0)]
    return np.array(times) - times[0]


def _check_segments(path, ranges):
    whole, times = list(video.read_frames(path)), _times(path)
    assert len(whole) == len(times)
    for start, end in ranges:
        (wanted,) = np.nonzero((times >= start - 1e-6) & (times < end - 1e-6))
        part = list(video.read_timed_frames(path, segment=video.Segment(start, end)))
        np.testing.assert_allclose([seconds for seconds, _ in part], times[wanted], atol=1e-3)
        np.testing.assert_array_equal([f for _, f in part], [whole[k] for k in wanted])


# Beginning late enough to be sought, at its start, and at its end.
RANGES = [(7.03, 7.5), (0, 0.5), (8, 10)]


@pytest.mark.parametrize(
    "name", ["faststart.mp4", "fragments.mp4", "film.mkv", "live.mkv", "web.webm", "divx.avi"]
)
def test_a_segment_is_the_part_of_the_video_at_its_times(name, tmp_path, write_container):
    _check_segments(write_container(tmp_path, name, 250), RANGES)


@pytest.mark.parametrize("slow_first", [True, False])
def test_a_segment_is_found_where_the_frame_rate_varies(tmp_path, encode, slow_first):
    # 2 and 50 frames a second; key frames far apart, so that OpenCV misjudges the distance.
    steps = np.repeat(
        [500, 20] if slow_first else [20, 500], [20, 500] if slow_first else [500, 20]
    )
    stamps = np.concatenate([[0], np.cumsum(steps)])
    noise = np.random.default_rng(0).integers(0, 256, (48, 64 + len(stamps), 3), np.uint8)
    images = [np.ascontiguousarray(noise[:, k : k + 64]) for k in range(len(stamps))]
    path = encode(
        tmp_path / "variable.mp4", images=images, rate=1000, stamps=stamps.tolist(), key_frames=120
    )
    assert np.ptp(np.diff(_times(path))) > 0.4
    _check_segments(path, [(6, 7), (9.1, 11), (12.25, 14), (17, 17.2)])


def test_a_segment_beyond_the_end_is_told_where_the_video_ends(tmp_path, write_container):
    path = write_container(tmp_path, "faststart.mp4", 30)
    # 1.2 s of picture; a little more is taken, as sound may be longer.
    assert len(list(video.read_frames(path, segment=video.Segment(1, 1.25)))) == 5
    for start, end in ((1, 1.5), (20, 30)):
        with pytest.raises(video.VideoError) as caught:
            list(video.read_frames(path, segment=video.Segment(start, end)))
        assert caught.value.outcome == "beyond_end"
        assert f"ends after 1.20 s, and the segment from {start} to {end} s" in str(caught.value)
