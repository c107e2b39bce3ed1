from pathlib import Path

import pytest

from preprocessing.datasets import published_totals
from preprocessing.datasets.catalogue import Catalogue, Video

# Clips of each class, from the pages of the collections.
UCF11 = {
    **{"basketball": 141, "biking": 145, "diving": 156, "golf_swing": 142, "horse_riding": 198},
    **{"soccer_juggling": 156, "swing": 137, "tennis_swing": 167, "trampoline_jumping": 119},
    **{"volleyball_spiking": 116, "walking": 123},
}
UCF_SPORTS = {
    **{"Diving": 14, "Golf-Swing": 18, "Kicking": 20, "Lifting": 6, "Riding-Horse": 12, "Run": 13},
    **{"SkateBoarding": 12, "Swing-Bench": 20, "Swing-Side": 13, "Walk": 22},
}


def _catalogue(name, counts):
    classes = tuple(counts)
    videos = tuple(
        Video(f"{class_name}-{number}", Path("unused"), label, class_name, str(number), {})
        for label, class_name in enumerate(classes)
        for number in range(counts[class_name])
    )
    return Catalogue(name, classes, videos)


@pytest.mark.parametrize(("name", "counts"), [("ucf11", UCF11), ("ucf_sports", UCF_SPORTS)])
def test_a_whole_collection_has_no_differences(name, counts):
    assert published_totals.differences(_catalogue(name, counts), Path("unused")) == []


def test_each_class_of_another_size_is_a_line_after_the_totals():
    catalogue = _catalogue("ucf11", UCF11 | {"diving": 155, "walking": 0})
    assert published_totals.differences(catalogue, Path("unused")) == [
        "ucf11: 1476 clips found, 1600 published",
        "class diving: 155 clips found, 156 published",
        "class walking: 0 clips found, 123 published",
    ]


def test_another_catalogue_is_compared_with_nothing():
    assert published_totals.differences(_catalogue("mine", {"a": 1}), Path("unused")) == []
