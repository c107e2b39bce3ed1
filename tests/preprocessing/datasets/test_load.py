from pathlib import Path

import pytest

from experiments.studies import paper
from preprocessing.datasets import load
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.errors import UserError


def _load(source, tmp_path):
    return load.load(source, tmp_path / "videos", seed=0, groups=2, clips_per_group=1, workers=1)


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("name", ["ucf101", "ucf11", "ucf_sports", "synthetic"])
def test_a_folder_called_as_a_collection_is_not_compared_with_it(tmp_path, name):
    _touch(tmp_path / name / "Bow" / "a.mp4")
    _touch(tmp_path / name / "Wave" / "b.mp4")
    source = _load(f"folder:{tmp_path / name}", tmp_path)
    assert source.catalogue.name == f"folder:{name}" and source.differences == ()
    assert paper.comparison({"dataset": source.catalogue.name}) == ""


def test_missing_folders_and_sources_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        _load(f"folder:{tmp_path / 'nowhere'}", tmp_path)
    _touch(tmp_path / "flat" / "a.mp4")
    with pytest.raises(UserError, match="no videos in class folders: it needs"):
        _load(f"folder:{tmp_path / 'flat'}", tmp_path)
    for source in ("kinetics:DIR", "folder", "ucf101:"):
        with pytest.raises(UserError, match="is unknown: it is one of synthetic"):
            _load(source, tmp_path)


def _clips(*names):
    """A catalogue of clips `CLASS/GROUP/ID`."""
    classes = tuple(sorted({name.split("/")[0] for name in names}))
    videos = []
    for name in names:
        class_name, group, video_id = name.split("/")
        label = classes.index(class_name)
        videos.append(Video(video_id, Path(name), label, class_name, group, {}))
    return Catalogue("some", classes, tuple(videos))


def test_a_limit_takes_a_video_of_each_group_before_the_second_of_one():
    catalogue = _clips("A/g1/1", "A/g1/2", "A/g1/3", "A/g2/4", "A/g3/5", "B/g1/6", "B/g1/7")
    limited = load.limit_per_class(catalogue, 2)
    assert {video.id for video in limited.videos} == {"1", "4", "6", "7"}
    limited = load.limit_per_class(catalogue, 4)
    assert {video.id for video in limited.videos} == {"1", "2", "4", "5", "6", "7"}
    assert limited.classes == catalogue.classes


def test_classes_are_chosen_by_name_without_case_and_keep_their_order():
    catalogue = _clips("Archery/g/1", "Bow/g/2", "Wave/g/3", "bow/g/4")
    chosen = load.choose_classes(catalogue, ["WAVE", " archery"])
    assert chosen.classes == ("Archery", "Wave")
    assert [(one.id, one.label, one.class_name) for one in chosen.videos] == [
        ("1", 0, "Archery"),
        ("3", 1, "Wave"),
    ]
    assert load.choose_classes(catalogue, []) == catalogue
    assert load.choose_classes(catalogue, ["Bow"]).classes == ("Bow",)
    assert set(load.choose_classes(catalogue, ["BOW"]).classes) == {"Bow", "bow"}
    with pytest.raises(UserError, match=r"--classes names 'archer', and some .* mean Archery\?"):
        load.choose_classes(catalogue, ["Wave", "archer"])


def test_a_collection_has_the_classes_of_its_clips_alone(tmp_path):
    _touch(tmp_path / "UCF-101" / "Bowling" / "v_Bowling_g01_c01.avi")
    _touch(tmp_path / "UCF-101" / "Biking" / "v_Biking_g01_c01.avi")
    (tmp_path / "classInd.txt").write_text("1 Archery\n2 Biking\n3 Bowling\n4 YoYo\n")
    source = _load(f"ucf101:{tmp_path}", tmp_path)
    assert source.catalogue.classes == ("Biking", "Bowling")
    assert [one.label for one in source.catalogue.videos] == [0, 1]


def test_without_a_limit_every_video_stays():
    catalogue = _clips("B/g1/2", "A/g1/1")
    assert load.limit_per_class(catalogue, None) == catalogue


def test_synthetic_videos_are_written_to_their_folder(tmp_path):
    source = load.load("synthetic", tmp_path, seed=1, groups=1, clips_per_group=1, workers=2)
    assert source.catalogue.name == "synthetic" and len(source.catalogue.classes) == 12
    assert {video.path for video in source.catalogue.videos} == set(tmp_path.glob("*/*.mp4"))
    assert source.differences == ()


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


def _published(name, counts):
    classes = tuple(counts)
    videos = tuple(
        Video(f"{class_name}-{number}", Path("unused"), label, class_name, str(number), {})
        for label, class_name in enumerate(classes)
        for number in range(counts[class_name])
    )
    return Catalogue(name, classes, videos)


@pytest.mark.parametrize(("name", "counts"), [("ucf11", UCF11), ("ucf_sports", UCF_SPORTS)])
def test_a_whole_collection_has_no_differences(name, counts):
    assert load.differences(_published(name, counts), Path("unused")) == []


def test_each_class_of_another_size_is_a_line_after_the_totals():
    catalogue = _published("ucf11", UCF11 | {"diving": 155, "walking": 0})
    assert load.differences(catalogue, Path("unused")) == [
        "ucf11: 1476 clips found, 1600 published",
        "class diving: 155 clips found, 156 published",
        "class walking: 0 clips found, 123 published",
    ]


def test_another_catalogue_is_compared_with_nothing():
    assert load.differences(_published("mine", {"a": 1}), Path("unused")) == []
