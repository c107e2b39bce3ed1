import pytest

from preprocessing.datasets import ucf_sports
from preprocessing.errors import UserError


def test_clips_are_films_or_folders_of_images_with_their_splits(touch):
    names = [f"Golf-Swing-Back/001/frame{index}.jpg" for index in range(3)]
    for number in range(1, 8):
        names.append(f"Walk-Front/{number:03d}/{number}-film{('.mp4', '.avi')[number % 2]}")
        names.append(f"Walk-Front/{number:03d}/gt/boxes.txt")
    root = touch(*(f"ucf_sports_actions/ucf action/{name}" for name in names))
    catalogue = ucf_sports.load(root)
    assert len(catalogue.classes) == 10 and not catalogue.left_out
    assert sum(count for _, count in ucf_sports.FOLDERS.values()) == 150
    videos = {video.id: video for video in catalogue.videos}
    golf = videos["Golf-Swing-Back_001"]
    assert golf.class_name == "Golf-Swing" and golf.path.is_dir()
    # The first third of each class, rounded down, is the test part; and each clip once alone.
    assert [v.id for v in catalogue.videos if v.splits["1"] == "test"] == [
        "Walk-Front_001",
        "Walk-Front_002",
    ]
    assert [v.id for v in catalogue.videos if v.splits["clip002"] == "test"] == ["Walk-Front_001"]


def test_the_first_thirds_of_ucf_sports_are_the_103_and_47_of_the_literature():
    assert sum(count // 3 for count in ucf_sports.CLIPS.values()) == 47


def test_videos_that_are_no_clip_of_a_class_are_named(touch):
    names = ("Lifting/001/a.avi", "Lifting/loose.avi", "Rowing/001/b.avi", "Lifting/._x.avi")
    root = touch(*names, "Run-Side/1.jpg", "Run-Side/2.jpg")
    catalogue = ucf_sports.load(root)
    assert [video.id for video in catalogue.videos] == ["Lifting_001"]
    assert catalogue.left_out == (
        "left out: 3 videos in no folder of a clip of a class (Lifting/loose.avi,"
        " Rowing/001/b.avi, ...)",
    )


def test_a_collection_without_clips_is_refused(touch):
    with pytest.raises(UserError, match=r"has no clips: each is a folder with a film or images"):
        ucf_sports.load(touch("Lifting/001/gt/boxes.txt"))
