import pytest

from preprocessing.datasets import hmdb51, ucf11, ucf_sports
from preprocessing.datasets.titles import PUBLISHED, title


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


def test_the_totals_are_those_of_the_collections():
    assert PUBLISHED["ucf11"] == (len(ucf11.CLIPS), sum(ucf11.CLIPS.values()))
    assert PUBLISHED["ucf_sports"] == (len(ucf_sports.CLASSES), ucf_sports.CLIPS.total())
    assert PUBLISHED["hmdb51"][0] == len(set(hmdb51.CLASSES))
