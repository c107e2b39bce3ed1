import functools
import itertools

import av
import numpy as np
import pytest

from preprocessing import video
from preprocessing.video import film
from preprocessing.video.damage import Damage


def _refused(path):
    with pytest.raises(video.VideoError) as caught:
        list(video.read_frames(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return caught.value


def test_av1_is_decoded(tmp_path, encode):
    path = encode(tmp_path / "a.mp4", "libsvtav1", num_frames=6)
    assert len(list(video.read_frames(path))) == 6


@pytest.mark.parametrize("tag", [b"evc1", b"zzz1"])
def test_a_codec_without_decoder_is_named_with_the_way_out(tmp_path, encode, tag):
    path = encode(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", tag))
    error = _refused(path)
    assert error.outcome == "unknown_codec"
    assert tag.decode() in str(error) and "ffmpeg -i FILE" in str(error)


def _with_cover(path, picture_first, film_too=True):
    """An MP4 with a cover picture and, if asked for, a film."""
    with av.open(str(path), "w") as file:

        def cover():
            stream = file.add_stream("mjpeg", rate=1)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            stream.disposition = av.stream.Disposition.attached_pic
            return stream

        def moving():
            stream = file.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            return stream

        counts = {cover: 1, moving: 12 * film_too}
        makers = [cover, moving] if picture_first else [moving, cover]
        streams = {maker: maker() for maker in makers if counts[maker]}
        for maker, stream in streams.items():
            for number in range(counts[maker]):
                image = np.full((48, 64, 3), 10 * number, np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(stream.encode())
    return path


@pytest.mark.parametrize("picture_first", [True, False])
def test_a_cover_picture_is_no_video(tmp_path, picture_first):
    path = _with_cover(tmp_path / "a.mp4", picture_first)
    assert len(list(video.read_frames(path))) == 12
    assert video.probe(path).num_frames == 12


def test_sound_with_a_cover_picture_is_no_video(tmp_path):
    error = _refused(_with_cover(tmp_path / "a.mp4", True, film_too=False))
    assert error.outcome == "no_video" and "a cover picture and sound" in str(error)
    with pytest.raises(video.VideoError):
        video.probe(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["a.mp4", "a.m3u8", "a.avi", "a.txt"])
def test_a_playlist_is_no_video_and_opens_nothing(tmp_path, encode, name):
    other = encode(tmp_path / "other.ts", "mpeg2video")
    for content in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{other}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{other}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    ):
        path = tmp_path / name
        path.write_text(content)
        assert _refused(path).outcome == "not_video"


@pytest.mark.parametrize(
    "name", ["a 100%d.mp4", "a:b?.mp4", "ünï — 日本.mp4", "-a.mp4", "a'b\".mp4"]
)
def test_no_name_is_taken_for_a_pattern_or_an_address(tmp_path, encode, name, monkeypatch):
    encode(tmp_path / "plain.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(list(video.read_frames(name))) == 10


# Files with and without an index of times; the second are 200 s long.
@pytest.mark.parametrize(
    ("name", "num_frames", "start"),
    [
        *((name, 400, 12) for name in ("disc.vob", "camcorder.MTS", "flash.flv", "windows.wmv")),
        *((name, 400, 12) for name in ("film.mkv", "faststart.mp4", "divx.avi")),
        *((name, 5000, 190) for name in ("television.ts", "disc.mpg", "disc.vob", "divx.avi")),
    ],
)
def test_a_segment_is_decoded_from_the_key_frame_before_it_and_little_else_is_read(
    tmp_path, write_container, name, num_frames, start, monkeypatch
):
    path = write_container(tmp_path, name, num_frames)
    segment = video.Segment(start, start + 0.4)
    expected = [
        (round(seconds, 3), frame)
        for seconds, frame in video.read_timed_frames(path)
        if not segment.begins_after(seconds) and not segment.ended_at(seconds)
    ]
    decoded, read, skipped = [], [], []
    add, time = Damage.add_frame, film._time
    monkeypatch.setattr(Damage, "add_frame", lambda *frame: decoded.append(1) or add(*frame))
    monkeypatch.setattr(film, "_time", lambda packet: read.append(1) or time(packet))
    waiting = functools.partial(skipped.append, 1)
    part = list(video.read_timed_frames(path, waiting=waiting, segment=segment))
    assert [round(seconds, 3) for seconds, _ in part] == [seconds for seconds, _ in expected]
    np.testing.assert_array_equal([f for _, f in part], [f for _, f in expected])
    assert len(skipped) < len(decoded) < 50  # a group of pictures is 12 frames long
    assert len(read) < 2 * 1000  # 30 s of packets are 750


def test_reordered_frames_in_an_avi_keep_their_times_in_a_segment(tmp_path, encode):
    path = encode(tmp_path / "a.avi", "mpeg4", num_frames=200, options={"bf": "2", "g": "12"})
    whole = list(video.read_frames(path))
    part = list(video.read_frames(path, segment=video.Segment(4, 5)))
    assert len(part) == 25
    starts = [k for k in range(len(whole) - 24) if np.array_equal(whole[k], part[0])]
    assert any(
        all(np.array_equal(a, b) for a, b in zip(part, whole[k : k + 25], strict=True))
        for k in starts
    )


def test_a_reader_uses_one_thread(tmp_path, encode):
    with film.Film(encode(tmp_path / "a.mp4")) as opened:
        assert opened._stream.codec_context.thread_count == 1


def test_memory_does_not_grow_with_the_number_of_frames(tmp_path, encode):
    import tracemalloc

    path = encode(tmp_path / "a.mp4", num_frames=300)
    tracemalloc.start()
    try:
        for _ in itertools.islice(video.read_frames(path), 20):
            pass
        before = tracemalloc.get_traced_memory()[0]
        for _ in video.read_frames(path):
            pass
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
    finally:
        tracemalloc.stop()
