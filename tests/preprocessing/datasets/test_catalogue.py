import os
from pathlib import Path

import pytest

from preprocessing.datasets import hmdb51, ucf11, ucf_sports
from preprocessing.datasets.catalogue import (
    COLLECTIONS,
    PUBLISHED,
    Catalogue,
    Video,
    own_name,
    title,
    titled_name,
)
from preprocessing.errors import UserError


def _video(video_id, path):
    return Video(video_id, Path(path), 0, "Bow", f"Bow/{video_id}", {})


def test_two_videos_of_one_id_are_refused_with_both_paths():
    videos = (_video("a", "x/a.mp4"), _video("b", "b.mp4"), _video("a", "y/a.avi"))
    with pytest.raises(UserError, match=r"two videos are called a, x/a.mp4 and y/a.avi: remove"):
        Catalogue("mine", ("Bow",), videos)


def test_a_path_that_is_not_utf8_is_refused_in_printable_words():
    path = os.fsdecode(b"caf\xe9.mp4")
    with pytest.raises(UserError, match=r"the name caf\\xe9.mp4 is not UTF-8") as refusal:
        Catalogue("mine", ("Bow",), (_video("a", path),))
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_name_of_a_published_collection_is_not_taken_by_another(name):
    assert own_name("folder", name) == f"folder:{name}"


def test_any_other_name_stays():
    assert own_name("tfds", "ucf101_mine") == "ucf101_mine"


@pytest.mark.parametrize(
    ("name", "classes", "clips", "expected"),
    [
        ("ucf101", 13, 1494, "ucf101 (13 of 101 classes, 1494 of 13320 clips)"),
        ("ucf101", 101, 202, "ucf101 (101 of 101 classes, 202 of 13320 clips)"),
        ("ucf101", 101, 13319, "ucf101 (101 of 101 classes, 13319 of 13320 clips)"),
        ("ucf101", 101, 13320, "ucf101"),
        ("ucf11", 10, 1600, "ucf11 (10 of 11 classes, 1600 of 1600 clips)"),
        ("ucf_sports", 10, 150, "ucf_sports"),
        ("hmdb51", 51, 6766, "hmdb51"),
        ("synthetic", 3, 9, "synthetic"),
        ("mine (old)", 3, 9, "mine (old)"),
    ],
)
def test_a_part_of_a_collection_is_called_so(name, classes, clips, expected):
    of_clips = [f"class {k % classes}" for k in range(clips)]
    assert title(name, of_clips) == expected
    assert titled_name(expected) == name


def test_the_totals_are_those_of_the_collections():
    assert PUBLISHED["ucf11"] == (len(ucf11.CLIPS), sum(ucf11.CLIPS.values()))
    assert PUBLISHED["ucf_sports"] == (len(ucf_sports.CLASSES), ucf_sports.CLIPS.total())
    assert PUBLISHED["hmdb51"][0] == len(set(hmdb51.CLASSES))
