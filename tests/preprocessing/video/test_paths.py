import os
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from preprocessing import video


def _count(path):
    return sum(1 for _ in video.read_frames(path))


def _write_gray(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", np.full((8, 8, 3), level, np.uint8))[1].tobytes())


def test_images_come_in_the_order_of_their_numbers(tmp_path):
    names = ["1.png", "2.png", "03.png", "9.PNG", "10.png", "11.png", "12.png", "100.png"]
    for position, name in enumerate(names):
        _write_gray(tmp_path / name, 20 * position)
    (tmp_path / "notes.txt").write_text("no frame")
    levels = [int(frame[0, 0, 0]) for frame in video.read_frames(tmp_path)]
    assert levels == [20 * position for position in range(len(names))]
    assert video.probe(tmp_path).num_frames == len(names)


def test_hidden_files_are_no_frames(tmp_path):
    _write_gray(tmp_path / "1.png", 50)
    (tmp_path / "._1.png").write_bytes(b"what another system keeps beside a file")
    assert _count(tmp_path) == 1


def test_a_name_that_is_not_utf8_is_refused_before_opencv_sees_it(tmp_path):
    # OpenCV's reader ends the whole process with a segmentation fault here.
    name = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(name)
    with open(name + b"/1.png", "wb") as file:
        file.write(cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    os.mkdir(tmp_path / "clip")
    os.link(name + b"/1.png", os.fsencode(tmp_path) + b"/clip/\xe9.png")
    os.link(name + b"/1.png", name + b".mp4")
    for bad in (name, name + b".mp4", os.fsencode(tmp_path) + b"/clip"):
        for read in (_count, video.probe):
            with pytest.raises(video.VideoError, match=r"\\xe9\S* is not UTF-8: rename") as caught:
                read(Path(os.fsdecode(bad)))
            assert caught.value.outcome == "bad_name" and str(caught.value).isprintable()


def _shell(command, folder):
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
    return done.stdout.split()[0]


def test_the_digest_of_a_folder_of_images_is_that_of_the_list_of_sha256sum(tmp_path):
    for name, level in (("b.jpg", 10), ("a.jpg", 200), ("note.txt", 0)):
        (tmp_path / name).write_bytes(bytes([level]) * 100)
    assert video.sha256(tmp_path) == _shell("sha256sum *.jpg | sha256sum", tmp_path)


def test_segments_of_one_file_have_digests_that_a_shell_gives_too(tmp_path):
    path = tmp_path / "long.mp4"
    path.write_bytes(bytes(range(256)) * 5)
    digest = _shell("sha256sum long.mp4", tmp_path)
    assert video.sha256(path) == digest
    line = _shell(f"printf '%s  %s\\n' {digest} 12.5-17 | sha256sum", tmp_path)
    assert video.sha256(path, segment=video.Segment(12.5, 17)) == line
    assert video.sha256(path, segment=video.Segment(12.5, 17.001)) != line
    # And the file is read once for all of them, until it changes.
    reads = []
    video.sha256(path, reads.append, video.Segment(1, 2))
    assert not reads
    path.write_bytes(b"another")
    assert video.sha256(path, reads.append, video.Segment(12.5, 17)) != line
    assert reads


def test_pictures_of_flow_are_no_frames(tmp_path):
    for name in ("img_2.png", "img_10.png", "flow_x_2.png", "flow_x_10.png", "flow_y_2.png"):
        _write_gray(tmp_path / name, 9)
    assert [path.name for path in video.image_files(tmp_path)] == ["img_2.png", "img_10.png"]
    assert _count(tmp_path) == 2
    x_files, y_files = video.flow_files(tmp_path, tmp_path)
    assert [path.name for path in x_files] == ["flow_x_2.png", "flow_x_10.png"]
    assert [path.name for path in y_files] == ["flow_y_2.png"]
    assert video.flow_files(tmp_path / "gone", tmp_path)[0] == []
    for name in ("img_2.png", "img_10.png"):
        (tmp_path / name).unlink()
    with pytest.raises(video.VideoError, match="holds pictures of flow and no frames"):
        video.image_files(tmp_path)


def test_images_of_several_videos_in_one_folder_are_refused(tmp_path):
    for name in ("a_001.png", "a_002.png", "b_001.png", "b_002.png"):
        (tmp_path / name).touch()
    with pytest.raises(video.VideoError, match="2 series") as caught:
        video.image_files(tmp_path)
    assert caught.value.outcome == "several_series"
