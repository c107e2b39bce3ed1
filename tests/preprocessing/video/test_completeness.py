import struct

import pytest

from preprocessing import video
from preprocessing.video import completeness

KNOWN = [
    *("faststart.mp4", "faststart.m4v", "faststart.mov", "faststart.3gp", "fragments.mp4"),
    *("camera.avi", "divx.avi", "film.mkv", "web.webm", "windows.wmv", "windows.asf"),
    *("flash.flv", "loop.gif"),
]
UNKNOWN = ["disc.mpg", "disc.vob", "television.ts", "camcorder.MTS"]


def _cut(path, length):
    cut = path.with_name(f"cut-{path.name}")
    cut.write_bytes(path.read_bytes()[:length])
    return cut


def _outcome(path):
    with pytest.raises(video.VideoError) as caught:
        list(video.read_frames(path))
    return caught.value.outcome


def _noted(path):
    """(frames that decode, notes)."""
    notes = []
    return sum(1 for _ in video.read_frames(path, notes.append)), notes


@pytest.mark.parametrize("name", [*KNOWN, *UNKNOWN, "live.mkv"])
def test_a_whole_file_of_each_container_gives_every_frame(tmp_path, write_container, name):
    path = write_container(tmp_path, name)
    assert completeness.missing_bytes(path) is None
    assert _noted(path) == (30, [])
    assert path.suffix.lower() in video.EXTENSIONS


@pytest.mark.parametrize("name", KNOWN)
def test_a_file_cut_at_60_percent_is_truncated(tmp_path, write_container, name):
    whole = write_container(tmp_path, name)
    cut = _cut(whole, whole.stat().st_size * 6 // 10)
    assert f"{cut} has {cut.stat().st_size} bytes and needs" in completeness.missing_bytes(cut)
    assert _outcome(cut) == "truncated"


@pytest.mark.parametrize("name", UNKNOWN)
def test_of_a_broadcast_stream_it_cannot_be_known(tmp_path, write_container, name):
    whole = write_container(tmp_path, name)
    cut = _cut(whole, whole.stat().st_size * 6 // 10)
    assert completeness.missing_bytes(cut) is None
    assert 0 < _noted(cut)[0] < 30


@pytest.mark.parametrize("name", ["faststart.mp4", "film.mkv", "web.webm"])
def test_the_last_byte_of_the_last_frame_is_missed(tmp_path, write_container, name):
    whole = write_container(tmp_path, name)
    size = whole.stat().st_size
    assert f"needs at least {size}" in completeness.missing_bytes(_cut(whole, size - 1))


def test_of_flash_video_every_cut_inside_the_last_tag_is_known(tmp_path, write_container):
    whole = write_container(tmp_path, "flash.flv")
    content = whole.read_bytes()
    # Adobe's FLV, annex E: the length of the tag before it stands in the last 4 bytes.
    tag = int.from_bytes(content[-4:], "big")
    for missing in (1, 3, 5, tag // 2, tag, tag + 3):
        assert completeness.missing_bytes(_cut(whole, len(content) - missing)), missing
    for missing in (0, 4, tag + 4):  # whole, without that length, and one tag less
        assert not completeness.missing_bytes(_cut(whole, len(content) - missing)), missing


def test_samples_are_missed_where_their_box_has_no_size(tmp_path, write_container):
    # ISO 14496-12, 4.2: size 0 is "to the end of the file", wherever that is now.
    content = write_container(tmp_path, "faststart.mp4").read_bytes()
    box = content.index(b"mdat") - 4
    path = tmp_path / "open.mp4"
    path.write_bytes(content[:box] + bytes(4) + content[box + 4 :])
    assert completeness.missing_bytes(path) is None
    assert f"needs at least {len(content)}" in completeness.missing_bytes(
        _cut(path, len(content) - 1)
    )


def test_a_box_that_counts_otherwise_is_no_missing_byte(tmp_path, write_container):
    content = write_container(tmp_path, "faststart.mp4").read_bytes()
    box = content.index(b"mdat") - 4
    (size,) = struct.unpack(">I", content[box : box + 4])
    path = tmp_path / "large.mp4"
    path.write_bytes(content[:box] + struct.pack(">I", size + 1000) + content[box + 4 :])
    assert completeness.missing_bytes(path) is None
    assert _noted(path) == (30, [])


def test_an_avi_whose_writer_did_not_finish_is_not_judged_by_its_sizes(tmp_path, write_container):
    content = bytearray(write_container(tmp_path, "camera.avi").read_bytes())
    for position in (4, content.index(b"movi") - 4):
        content[position : position + 4] = bytes(4)
    path = tmp_path / "unfinished.avi"
    path.write_bytes(content)
    assert completeness.missing_bytes(path) is None


def test_a_file_trimmed_by_an_edit_list_is_whole_and_noted(tmp_path, write_container, copy_stream):
    # The key frames are 0, 12 and 24; the frames from 12 on are stored, those from 20 on shown.
    whole = write_container(tmp_path, "faststart.mp4")
    path = copy_stream(whole, tmp_path / "trimmed.mov", start=20 / 25)
    assert b"elst" in path.read_bytes()
    frames, notes = _noted(path)
    assert frames == 10
    assert notes == [f"{path} declares 18 frames and shows 10 frames, all of them whole"]


@pytest.mark.parametrize("name", ["film.mkv", "web.webm", "fragments.mp4"])
def test_sound_longer_than_the_picture_is_whole_and_noted(tmp_path, write_container, name):
    path = write_container(tmp_path, name, sound_seconds=3)
    frames, (note,) = _noted(path)
    assert frames == 30 and "declares 3." in note and "s and shows 30 frames" in note


def test_an_mp4_copied_to_avi_is_whole_and_noted(tmp_path, write_container, copy_stream):
    path = copy_stream(write_container(tmp_path, "faststart.m4v"), tmp_path / "copied.avi")
    assert video.probe(path).num_frames > 500  # the finer clock's ticks
    frames, (note,) = _noted(path)
    assert frames == 30 and "shows 30 frames" in note


def test_a_trimmed_file_that_is_cut_is_truncated(tmp_path, write_container, copy_stream):
    whole = write_container(tmp_path, "faststart.mp4", num_frames=60)
    path = copy_stream(whole, tmp_path / "trimmed.mov", start=1.0, movflags="faststart")
    assert _outcome(_cut(path, path.stat().st_size * 6 // 10)) == "truncated"


@pytest.mark.parametrize("name", ["faststart.mp4", "divx.avi", "film.mkv"])
def test_an_end_that_was_never_copied_is_no_note(tmp_path, write_container, name):
    # A program that keeps the space of a download first leaves zeros.
    content = write_container(tmp_path, name).read_bytes()
    kept = len(content) * 6 // 10
    path = tmp_path / f"half-{name}"
    path.write_bytes(content[:kept] + bytes(len(content) - kept))
    assert _outcome(path) == "corrupt"


def test_frames_that_do_not_decode_are_no_note(tmp_path, write_container):
    content = bytearray(write_container(tmp_path, "divx.avi").read_bytes())
    first, last = content.index(b"movi") + 4, content.index(b"idx1")
    third = (last - first) // 3
    content[first + third : last] = b"\xff" * (last - first - third)
    path = tmp_path / "damaged.avi"
    path.write_bytes(content)
    assert _outcome(path) == "corrupt"
