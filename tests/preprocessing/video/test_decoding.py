import struct
import wave

import cv2
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


def test_a_folder_of_images_is_a_video(tmp_path):
    for index in (2, 10, 1):
        image = np.full((8, 8, 3), 20 * index, np.uint8)
        cv2.imwrite(str(tmp_path / f"{index:03d}.png"), image)
    (tmp_path / "notes.txt").write_text("no frame")
    assert [int(frame[0, 0, 0]) for frame in video.read_frames(tmp_path)] == [20, 40, 200]
    assert video.probe(tmp_path).num_frames == 3


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


def test_a_video_marked_as_rotated_comes_upright(tmp_path, write_video):
    content = write_video(tmp_path / "a.mp4").read_bytes()
    # The track header's display matrix of MP4 (ISO 14496-12, 8.3.2): a quarter turn clockwise.
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    position = content.index(identity, content.index(b"tkhd"))
    path = tmp_path / "turned.mp4"
    path.write_bytes(content[:position] + turned + content[position + len(turned) :])
    frame = next(video.read_frames(path))
    assert frame.shape == (64, 48, 3)
    assert frame[3, -3].min() > 220 and frame[3, 3].max() < 150  # the corner went to the right


def test_a_variable_frame_rate_gives_each_stored_frame_once(tmp_path, write_video):
    content = write_video(tmp_path / "a.mp4", num_frames=6).read_bytes()
    # Six frames of one duration become three short and three long ones: a second entry in the
    # time-to-sample table (ISO 14496-12, 8.6.1.2), and no edit list that keeps the old duration.
    content = content.replace(b"edts", b"free")
    position = content.index(b"stts") + 4
    _, entries, count, delta = struct.unpack(">4I", content[position : position + 16])
    assert (entries, count) == (1, 6)
    table = struct.pack(">6I", 0, 2, 3, delta, 3, 10 * delta)
    content = bytearray(content[:position] + table + content[position + 16 :])
    for box in (b"stts", b"stbl", b"minf", b"mdia", b"trak", b"moov"):  # each is 8 bytes longer
        start = content.index(box) - 4
        size = struct.unpack(">I", content[start : start + 4])[0] + 8
        content[start : start + 4] = struct.pack(">I", size)
    path = tmp_path / "variable.mp4"
    path.write_bytes(content)

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    times = []
    while capture.read()[0]:
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    assert np.diff(times).max() > 5 * np.diff(times).min()  # the rate does vary
    assert _count(path) == 6
