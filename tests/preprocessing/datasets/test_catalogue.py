import os
from pathlib import Path

import pytest

from preprocessing.datasets.catalogue import COLLECTIONS, Catalogue, Video, own_name
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
