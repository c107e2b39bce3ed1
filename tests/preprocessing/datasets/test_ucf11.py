import pytest

from preprocessing import splits
from preprocessing.datasets import ucf11
from preprocessing.errors import UserError


def test_clips_have_their_class_their_group_and_both_kinds_of_folds(touch):
    clips = [
        f"UCF11_updated_mpg/walking/v_walk_dog_{group}/v_walk_dog_{group}_0{clip}.mpg"
        for group in ("01", "07", "25")
        for clip in (1, 2)
    ]
    clips.append("UCF11_updated_mpg/swing/v_swing_03/v_swing_03_01.mpg")
    root = touch(*clips, "UCF11_updated_mpg/walking/Annotation/v_walk_dog_01_01.xgtf")
    catalogue = ucf11.load(root)
    assert len(catalogue.classes) == 11 and sum(ucf11.CLIPS.values()) == 1600
    assert len(catalogue.videos) == 7
    one = {video.id: video for video in catalogue.videos}["v_walk_dog_07_02"]
    assert one.class_name == "walking" and one.group == "walking/g07"
    assert one.label == catalogue.classes.index("walking")
    # Five folds of five groups: g07 is in the second; and each group held out once.
    assert [one.splits[str(fold)] for fold in range(1, 6)] == ["train", "test"] + ["train"] * 3
    held = [name for name, side in one.splits.items() if side == "test"]
    assert held == ["2", "group07"]


def test_every_group_is_tested_by_one_numbered_fold_and_by_its_own(touch):
    root = touch(*(f"diving/v_diving_{group:02d}_01.mpg" for group in range(1, 26)))
    videos = ucf11.load(root).videos
    for names, tested in ((map(str, range(1, 6)), 5), ((f"group{g:02d}" for g in range(1, 26)), 1)):
        held = []
        for name in names:
            assignment = splits.assign(videos, "official", fold=name)
            held += [video for video, side in assignment.items() if side == "test"]
            assert list(assignment.values()).count("test") == tested
        assert sorted(held) == sorted(video.id for video in videos)


@pytest.mark.parametrize("name", ["v_diving_26_01.mpg", "v_diving_00_01.mpg", "diving.mpg"])
def test_a_clip_of_another_naming_is_refused(name, touch):
    with pytest.raises(UserError, match=rf"{name} is not named as UCF11 names its clips.*01 to 25"):
        ucf11.load(touch(f"diving/{name}"))


def test_videos_in_no_folder_of_a_class_are_named(touch):
    dancing = "dancing/v_dancing_01/v_dancing_01_01.mpg"
    catalogue = ucf11.load(touch("diving/v_diving_01_01.mpg", dancing, "v_walk_dog_01_01.mpg"))
    assert [video.id for video in catalogue.videos] == ["v_diving_01_01"]
    assert catalogue.left_out == (
        "left out: 2 videos in no folder of a class (dancing/v_dancing_01/v_dancing_01_01.mpg,"
        " v_walk_dog_01_01.mpg)",
    )


def test_a_folder_without_its_classes_is_refused(tmp_path):
    (tmp_path / "dancing").mkdir()
    with pytest.raises(UserError, match="has none of the folders basketball, biking"):
        ucf11.load(tmp_path)
