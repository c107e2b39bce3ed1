import cv2
import numpy as np
import pytest

from preprocessing import video
from preprocessing.datasets import ucf_sports
from preprocessing.errors import UserError


def _by_id(catalogue):
    return {video.id: video for video in catalogue.videos}


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_clips_are_films_or_folders_of_images_with_their_splits(tmp_path, write_video):
    root = tmp_path / "ucf_sports_actions" / "ucf action"
    for number in range(1, 8):
        clip = root / "Walk-Front" / f"{number:03d}"
        if number % 2:
            write_video(clip / f"{number}-film.avi", 4, fourcc="XVID")
        else:
            write_video(clip / f"{number}-film.mp4", 4)
        _touch(clip / "gt" / "boxes.txt")
    clip = root / "Golf-Swing-Back" / "001"
    clip.mkdir(parents=True)
    for index in range(3):
        cv2.imwrite(str(clip / f"frame{index}.jpg"), np.full((8, 8, 3), 50 * index, np.uint8))
    catalogue = ucf_sports.load(tmp_path)
    assert len(catalogue.classes) == 10 and not catalogue.left_out
    assert sum(count for _, count in ucf_sports.FOLDERS.values()) == 150
    videos = _by_id(catalogue)
    golf = videos["Golf-Swing-Back_001"]
    assert golf.class_name == "Golf-Swing" and golf.path.is_dir()
    assert sum(1 for _ in video.read_frames(golf.path)) == 3
    # The first third of each class, rounded down, is the test part; and each clip once alone.
    assert [v.id for v in catalogue.videos if v.splits["1"] == "test"] == [
        "Walk-Front_001",
        "Walk-Front_002",
    ]
    assert [v.id for v in catalogue.videos if v.splits["clip002"] == "test"] == ["Walk-Front_001"]


def test_the_first_thirds_of_ucf_sports_are_the_103_and_47_of_the_literature():
    assert sum(count // 3 for count in ucf_sports.CLIPS.values()) == 47


def test_videos_that_are_no_clip_of_a_class_are_named(tmp_path):
    names = ("Lifting/001/a.avi", "Lifting/loose.avi", "Rowing/001/b.avi", "Lifting/._x.avi")
    for name in (*names, "Run-Side/1.jpg", "Run-Side/2.jpg"):
        _touch(tmp_path / name)
    catalogue = ucf_sports.load(tmp_path)
    assert [video.id for video in catalogue.videos] == ["Lifting_001"]
    assert catalogue.left_out == (
        "left out: 3 videos in no folder of a clip of a class (Lifting/loose.avi,"
        " Rowing/001/b.avi, ...)",
    )


def test_a_collection_without_clips_is_refused(tmp_path):
    _touch(tmp_path / "Lifting" / "001" / "gt" / "boxes.txt")
    with pytest.raises(UserError, match=r"has no clips: each is a folder with a film or images"):
        ucf_sports.load(tmp_path)
