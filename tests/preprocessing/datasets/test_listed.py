"""Lists as other projects have them, through the source `list:FILE`."""

import pytest

from preprocessing import splits
from preprocessing.errors import UserError
from preprocessing.video import Segment


@pytest.fixture
def lists(tmp_path, touch, load_source):
    """Function of a list's text and of the videos, which are made, that gives its catalogue."""

    def make(text, *videos, name="train.txt"):
        for video in videos:
            touch(tmp_path / video)
        (tmp_path / name).write_text(text)
        return load_source(f"list:{tmp_path / name}").catalogue

    return make


VIDEOS = ("videos/Archery/v_Archery_g01_c01.avi", "videos/Bow/v_Bow_g02_c01.avi")
LIST = "Archery/v_Archery_g01_c01.avi {}\nBow/v_Bow_g02_c01.avi {}\n"


@pytest.mark.parametrize("numbers", [(0, 1), (1, 2)])
@pytest.mark.parametrize("names", ["1 Archery\n2 Bow\n", "Archery\nBow\n"])
def test_numbers_are_named_by_the_file_beside_from_0_or_1(lists, tmp_path, numbers, names):
    (tmp_path / "classInd.txt").write_text(f"{names}3 Wave\n" if names[0] == "1" else names)
    if names[0] != "1" and numbers == (1, 2):
        with pytest.raises(UserError, match=r"labels from 1 to 2, and .*classInd.txt names those"):
            lists(LIST.format(*numbers), *VIDEOS)
        return
    catalogue = lists(LIST.format(*numbers), *VIDEOS)
    assert catalogue.name == "train" and catalogue.classes == ("Archery", "Bow")
    assert {one.group for one in catalogue.videos} == {"Archery/g01", "Bow/g02"}
    assert not any(one.ungrouped or one.splits for one in catalogue.videos)
    assert catalogue.left_out == (
        f"classes are named by {tmp_path / 'classInd.txt'}",
        f"the paths in train.txt count from {tmp_path / 'videos'}",
    )


def test_numbers_from_1_without_the_first_class_go_by_the_folders(lists, tmp_path):
    (tmp_path / "label_map.txt").write_text("air drumming\nArchery\nBow\nWave\n")
    assert lists(LIST.format(1, 2), *VIDEOS).classes == ("Archery", "Bow")
    (tmp_path / "label_map.txt").write_text("1 air drumming\n2 Archery\n3 Bow\n")
    assert lists(LIST.format(1, 2), *VIDEOS).classes == ("Archery", "Bow")
    with pytest.raises(UserError, match=r"line 2 gives Bow/v.* the label 0, which is air drumming"):
        lists(LIST.format(1, 0), *VIDEOS)


def test_numbers_without_names_are_the_classes_and_class_folders_no_groups(lists):
    catalogue = lists("a/x.mp4 10\nb/y.mp4 2\na/z.mp4 10\n", "a/x.mp4", "b/y.mp4", "a/z.mp4")
    assert catalogue.classes == ("2", "10")
    assert all(one.ungrouped for one in catalogue.videos)
    assert len({one.group for one in catalogue.videos}) == 3
    assert catalogue.left_out[0].startswith("classes are called by their numbers: no classInd.txt")


def test_folders_beyond_the_class_are_groups_in_any_class(lists):
    names = ["train/jump/anna/1.mp4", "train/wave/anna/2.mp4", "val/jump/ben/1.mp4"]
    text = "video,label,split\n" + "".join(
        f"{name},{name.split('/')[1]},{name.split('/')[0]}\n" for name in names
    )
    catalogue = lists(text, *names)
    assert [one.group for one in catalogue.videos] == ["anna", "anna", "ben"]
    assert [one.splits for one in catalogue.videos] == [
        {"1": side} for side in ("train", "train", "val")
    ]
    assert set(splits.assign(catalogue.videos, "official").values()) == {"train", "test"}
    assert "the validation part is the test part: there is no other" in catalogue.left_out
    assert sorted(one.id for one in catalogue.videos) == [
        "2",
        "train/jump/anna/1.mp4",
        "val/jump/ben/1.mp4",
    ]


def test_kinetics(lists, tmp_path):
    catalogue = lists(
        "label,youtube_id,time_start,time_end,split\n"
        "testifying,---QUuC4vJs,84,94,validate\n"
        "air drumming,-3-TPYmYNOs,10,20,train\n"
        "air drumming,-3-TPYmYNOs,40,50,train\n"
        "eating spaghetti,--07WQ2iBlw,1,11,train\n",
        "val/---QUuC4vJs_000084_000094.mp4",
        "train/air_drumming/-3-TPYmYNOs_000010_000020.mp4",
        "train/air_drumming/-3-TPYmYNOs_000040_000050.mp4",
        name="kinetics.csv",
    )
    assert catalogue.classes == ("air drumming", "testifying")
    assert {one.id: (one.group, one.splits["1"], one.segment) for one in catalogue.videos} == {
        "---QUuC4vJs_000084_000094": ("---QUuC4vJs", "val", None),
        "-3-TPYmYNOs_000010_000020": ("-3-TPYmYNOs", "train", None),
        "-3-TPYmYNOs_000040_000050": ("-3-TPYmYNOs", "train", None),
    }
    assert catalogue.left_out[0] == (
        "left out: 1 of 4 videos of the list are not there (--07WQ2iBlw)"
    )


def test_segments_of_one_recording_stay_together(lists):
    text = "video,class,start,end\nday.mp4,jump,0,2\nday.mp4,wave,2,4\nb.mp4,wave,,\n"
    catalogue = lists(text, "day.mp4", "b.mp4")
    assert {one.id: (one.group, one.segment, one.ungrouped) for one in catalogue.videos} == {
        "day@0-2": ("day", Segment(0, 2), False),
        "day@2-4": ("day", Segment(2, 4), False),
        "b": ("b", None, True),
    }
    for column, first, second in (("group", "x", "y"), ("split", "train", "test")):
        text = f"video,class,start,end,{column}\na.mp4,jump,0,2,{first}\na.mp4,jump,2,4,{second}\n"
        with pytest.raises(UserError, match=r"line 3 puts a.mp4 into .*, .* line 2 into .* stay"):
            lists(text, "a.mp4")


def test_two_lists_are_training_and_test(lists, tmp_path, load_source):
    lists("jump/a.mp4 jump\nwave/b.mp4 wave\n", "jump/a.mp4", "wave/b.mp4")
    lists("jump/c.mp4 jump\n", "jump/c.mp4", name="test.txt")
    source = f"list:{tmp_path / 'train.txt'},{tmp_path / 'test.txt'}"
    catalogue = load_source(source).catalogue
    assert catalogue.name == "train+test"
    assert splits.assign(catalogue.videos, "official") == {"a": "train", "b": "train", "c": "test"}
    (tmp_path / "test.txt").write_text("jump/a.mp4 jump\n")
    with pytest.raises(
        UserError, match=r"test.txt line 1 puts jump/a.mp4 into the part test, .*tr"
    ):
        load_source(source)
    with pytest.raises(UserError, match=r"nowhere.txt is no file: name a list"):
        load_source("list:nowhere.txt")


def test_lines_that_repeat_or_contradict(lists):
    catalogue = lists("a.mp4 jump\nb.mp4 wave\na.mp4 jump\n", "a.mp4", "b.mp4")
    assert len(catalogue.videos) == 2
    assert catalogue.left_out == ("left out: 1 lines that repeat another",)
    with pytest.raises(UserError, match=r"line 2 puts a.avi into class wave, .* line 1 into jump"):
        lists("a.mp4 jump\na.avi wave\n")
    with pytest.raises(UserError, match=r"classes Jump and jump, which differ only in capitals"):
        lists("a.mp4 jump\nb.mp4 Jump\n")
