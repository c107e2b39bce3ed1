import re

import numpy as np
import pytest

from preprocessing import video

FRAMES = 200
# Their headers or indices say how long they are.
MEASURED = [
    "faststart.mp4",
    "faststart.m4v",
    "faststart.mov",
    "faststart.3gp",
    "fragments.mp4",
    "camera.avi",
    "divx.avi",
    "film.mkv",
    "web.webm",
    "flash.flv",
    "windows.wmv",
]
BROADCASTS = ["disc.mpg", "disc.vob", "television.ts", "camcorder.MTS"]


def _read(path):
    """(outcome or `whole`, frames, notes of damage)."""
    notes = []
    try:
        frames = sum(1 for _ in video.read_frames(path, lambda *note: notes.append(note)))
    except video.VideoError as error:
        assert str(path) in str(error) and "\n" not in str(error)
        return error.outcome, 0, []
    assert all(kind == "damaged" for kind, _ in notes)
    return "whole", frames, [reason for _, reason in notes]


def _with_bytes(path, change):
    """A copy of a file whose bytes were changed: `change(bytearray, length)`."""
    content = bytearray(path.read_bytes())
    content = change(content, len(content)) or content
    damaged = path.with_name(f"damaged-{path.name}")
    damaged.write_bytes(content)
    return damaged


def _zeroed(begin, end):
    def change(content, length):
        content[int(begin * length) : int(end * length)] = bytes(
            int(end * length) - int(begin * length)
        )

    return change


@pytest.fixture(scope="module")
def make(tmp_path_factory, write_container):
    return lambda name: write_container(tmp_path_factory.mktemp("damage"), name, FRAMES)


# Without GIF: FFmpeg ends one without a word where its blocks end.
@pytest.fixture(scope="module", params=[*MEASURED, *BROADCASTS, "live.mkv"])
def whole(request, make):
    return make(request.param)


def test_a_whole_file_gives_every_frame_without_a_note(whole):
    assert _read(whole) == ("whole", FRAMES, [])
    assert whole.suffix.lower() in video.EXTENSIONS


# Without live.mkv: a recording without length may end at any picture.
@pytest.mark.parametrize("name", [*MEASURED, *BROADCASTS, "loop.gif"])
@pytest.mark.parametrize("kept", [0.6, 0.95])
def test_a_file_that_was_cut_is_truncated(make, name, kept):
    whole = make(name)
    # Not between two packets of a transport stream, where it could have been recorded so.
    cut = _with_bytes(whole, lambda content, length: content[: int(kept * length) // 188 * 188 + 7])
    outcome, *_ = _read(cut)
    assert outcome == "truncated"


def _without_a_fifth(content, length):
    return content[: int(0.4 * length)] + content[int(0.6 * length) :]


# The last: a program that keeps the space of a download first leaves zeros.
@pytest.mark.parametrize("change", [_zeroed(0.4, 0.6), _without_a_fifth, _zeroed(0.6, 1)])
def test_a_fifth_of_zeros_or_missing_or_an_end_that_was_never_copied_is_damage(whole, change):
    outcome, *_ = _read(_with_bytes(whole, change))
    assert outcome in ("corrupt", "truncated")


def test_a_hundredth_of_zeros_is_a_note_that_says_where(whole):
    outcome, frames, notes = _read(_with_bytes(whole, _zeroed(0.4, 0.41)))
    assert outcome == "whole" and FRAMES * 0.95 <= frames <= FRAMES
    (note,) = notes
    assert "frames are damaged or missing" in note


@pytest.mark.parametrize("name", ["faststart.mp4", "divx.avi", "flash.flv", "disc.mpg", "film.mkv"])
def test_flipped_bits_that_the_decoder_notices_are_damage(tmp_path, write_container, name):
    generator = np.random.default_rng(1)

    def flip(content, length):
        for position in generator.integers(length // 10, length * 9 // 10, 200).tolist():
            content[position] ^= 1 << int(generator.integers(8))

    outcome, *_ = _read(_with_bytes(write_container(tmp_path, name, FRAMES), flip))
    assert outcome in ("corrupt", "truncated")


def test_sound_longer_than_the_picture_is_no_damage(tmp_path, write_container):
    for name in ("film.mkv", "web.webm", "fragments.mp4"):
        path = write_container(tmp_path, name, 30, sound_seconds=3)
        assert _read(path) == ("whole", 30, [])


def test_what_an_edit_list_hides_is_no_damage(tmp_path, write_container, copy_stream):
    # The key frames are 0, 12 and 24; the frames from 12 on are stored, those from 20 on shown.
    whole = write_container(tmp_path, "faststart.mp4")
    path = copy_stream(whole, tmp_path / "trimmed.mov", start=20 / 25)
    assert b"elst" in path.read_bytes()
    assert _read(path) == ("whole", 10, [])
    cut = _with_bytes(path, lambda content, length: content[: length * 6 // 10])
    assert _read(cut)[0] == "truncated"


def test_an_mp4_copied_to_avi_is_whole(tmp_path, write_container, copy_stream):
    path = copy_stream(write_container(tmp_path, "faststart.m4v"), tmp_path / "copied.avi")
    assert video.probe(path).num_frames > 500  # the finer clock's ticks
    assert _read(path) == ("whole", 30, [])


def test_a_header_that_counts_more_frames_than_the_index_is_no_damage(tmp_path, write_container):
    content = bytearray(write_container(tmp_path, "camera.avi", 30).read_bytes())
    position = content.index(b"strh") + 8 + 32  # the stream's dwLength
    assert content[position] == 30
    content[position] = 250
    path = tmp_path / "miscounted.avi"
    path.write_bytes(content)
    assert _read(path) == ("whole", 30, [])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.flv"])
@pytest.mark.parametrize(
    "stamps",
    [
        [*range(0, 500, 50), *range(500, 3000, 250)],  # 20 and 4 frames a second
        [*range(0, 1000, 40), *range(1000, 5000, 400)],  # 25 and 2.5
        np.cumsum(1 + np.random.default_rng(0).integers(20, 200, 60)).tolist(),
    ],
    ids=["halves", "slow end", "random"],
)
def test_a_variable_frame_rate_is_no_damage(tmp_path, encode, name, stamps):
    options = {"rate": 1000}
    if name == "a.flv":
        options = {"codec": "flv", "rate": 30, "options": {"g": "10"}}
        stamps = [int(stamp * 30 / 1000) + k for k, stamp in enumerate(stamps)]
    path = encode(tmp_path / name, num_frames=len(stamps), stamps=stamps, **options)
    assert _read(path) == ("whole", len(stamps), [])


def test_a_late_start_is_no_damage(tmp_path, encode):
    for name in ("a.mkv", "a.ts", "a.mp4"):
        path = encode(tmp_path / name, stamps=[125 + k for k in range(10)])
        assert _read(path) == ("whole", 10, [])
        times = [seconds for seconds, _ in video.read_timed_frames(path)]
        np.testing.assert_allclose(times, np.arange(10) / 25, atol=1e-3)


def test_frames_that_a_camera_dropped_into_an_avi_are_no_damage(tmp_path, write_container):
    # An AVI stores a frame that was dropped as an empty chunk; many clips of UCF101 have some.
    content = write_container(tmp_path, "camera.avi", 60).read_bytes()
    index = content.index(b"idx1")
    entries = content[index + 8 : index + 8 + 16 * 60]
    empty = entries[16 * 30 : 16 * 30 + 12] + bytes(4)
    path = tmp_path / "dropped.avi"
    size = (16 * 61).to_bytes(4, "little")
    path.write_bytes(content[: index + 4] + size + entries[: 16 * 30] + empty + entries[16 * 30 :])
    assert _read(path) == ("whole", 60, [])


def test_damage_in_front_of_a_segment_is_not_its_own(tmp_path, write_container):
    path = _with_bytes(write_container(tmp_path, "film.mkv", FRAMES), _zeroed(0.4, 0.6))
    assert _read(path)[0] == "corrupt"
    assert len(list(video.read_frames(path, segment=video.Segment(0, 2)))) == 50
    assert len(list(video.read_frames(path, segment=video.Segment(6, 8)))) == 50
    with pytest.raises(video.VideoError, match="damaged or missing"):
        list(video.read_frames(path, segment=video.Segment(2, 6)))


def test_a_hole_at_an_end_of_a_segment_is_seen_and_told_by_the_time_of_the_video(
    tmp_path, write_container
):
    path = _with_bytes(write_container(tmp_path, "television.ts", 2 * FRAMES), _zeroed(0.4, 0.5))
    seconds = [time for time, _ in video.read_timed_frames(path, segment=video.Segment(0, 5))]
    with pytest.raises(video.VideoError, match="damaged or missing") as caught:
        list(video.read_frames(path))
    (hole,) = re.findall(r"at ([0-9.]+)", str(caught.value))
    hole = float(hole)
    assert seconds[-1] < hole and 5 < hole < 9
    for begin, end in ((hole - 1, hole + 0.8), (hole + 0.5, hole + 2.5)):
        with pytest.raises(video.VideoError, match="damaged or missing") as caught:
            list(video.read_frames(path, segment=video.Segment(begin, end)))
        (told,) = re.findall(r"at ([0-9.]+)", str(caught.value))
        assert abs(float(told) - max(hole, begin)) < 0.15
