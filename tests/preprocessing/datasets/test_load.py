from pathlib import Path

import pytest

from experiments.studies import paper
from preprocessing.datasets import load, ucf11, ucf_sports
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.errors import UserError


@pytest.mark.parametrize("name", ["ucf101", "ucf11", "ucf_sports", "synthetic"])
def test_a_folder_called_as_a_collection_is_not_compared_with_it(name, touch, load_source):
    source = load_source(f"folder:{touch(f'{name}/Bow/a.mp4', f'{name}/Wave/b.mp4') / name}")
    assert source.catalogue.name == f"folder:{name}" and source.differences == ()
    assert paper.comparison({"dataset": source.catalogue.name}) == ""


def test_missing_folders_and_sources_are_refused(tmp_path, touch, load_source):
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        load_source(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(UserError, match="no videos in class folders: it needs"):
        load_source(f"folder:{touch('a.mp4')}")
    for source in ("kinetics:DIR", "folder", "ucf101:"):
        with pytest.raises(UserError, match="is unknown: it is one of synthetic"):
            load_source(source)


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
    assert load.limit_per_class(catalogue, None) == catalogue


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


def test_a_collection_has_the_classes_of_its_clips_alone(touch, load_source):
    root = touch("Bowling/v_Bowling_g01_c01.avi", "Biking/v_Biking_g01_c01.avi")
    (root / "classInd.txt").write_text("1 Archery\n2 Biking\n3 Bowling\n4 YoYo\n")
    source = load_source(f"ucf101:{root}")
    assert source.catalogue.classes == ("Biking", "Bowling")
    assert [one.label for one in source.catalogue.videos] == [0, 1]


def test_synthetic_videos_are_written_to_their_folder(tmp_path, load_source):
    source = load_source("synthetic")
    assert source.catalogue.name == "synthetic" and len(source.catalogue.classes) == 12
    assert {video.path for video in source.catalogue.videos} == set(tmp_path.glob("*/*/*.mp4"))
    assert source.differences == ()


def _published(name, counts):
    classes = tuple(counts)
    videos = tuple(
        Video(f"{class_name}-{number}", Path("unused"), label, class_name, str(number), {})
        for label, class_name in enumerate(classes)
        for number in range(counts[class_name])
    )
    return Catalogue(name, classes, videos)


@pytest.mark.parametrize(
    ("name", "counts"),
    [("ucf11", ucf11.CLIPS), ("ucf_sports", ucf_sports.CLIPS), ("mine", {"a": 1})],
)
def test_a_whole_collection_and_any_other_catalogue_have_no_differences(name, counts):
    assert load.differences(_published(name, counts), Path("unused")) == []


def test_each_class_of_another_size_is_a_line_after_the_totals():
    catalogue = _published("ucf11", ucf11.CLIPS | {"diving": 155, "walking": 0})
    assert load.differences(catalogue, Path("unused")) == [
        "ucf11: 1476 clips found, 1600 published",
        "class diving: 155 clips found, 156 published",
        "class walking: 0 clips found, 123 published",
    ]
