import pytest

from preprocessing import splits, video
from preprocessing.datasets import ucf11
from preprocessing.errors import UserError


def _by_id(catalogue):
    return {video.id: video for video in catalogue.videos}


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_clips_have_their_class_their_group_and_both_kinds_of_folds(tmp_path, write_video):
    root = tmp_path / "UCF11_updated_mpg"
    for group in (1, 7, 25):
        for clip in (1, 2):
            name = f"v_walk_dog_{group:02d}"
            write_video(root / "walking" / name / f"{name}_0{clip}.mpg", 4, fourcc="mpg1")
    write_video(root / "swing" / "v_swing_03" / "v_swing_03_01.mpg", 4, fourcc="mpg1")
    _touch(root / "walking" / "Annotation" / "v_walk_dog_01_01.xgtf")
    catalogue = ucf11.load(tmp_path)
    assert len(catalogue.classes) == 11 and sum(ucf11.CLIPS.values()) == 1600
    assert len(catalogue.videos) == 7
    one = _by_id(catalogue)["v_walk_dog_07_02"]
    assert one.class_name == "walking" and one.group == "walking/g07"
    assert one.label == catalogue.classes.index("walking")
    # Five folds of five groups: g07 is in the second; and each group held out once.
    assert [one.splits[str(fold)] for fold in range(1, 6)] == ["train", "test"] + ["train"] * 3
    held = [name for name, side in one.splits.items() if side == "test"]
    assert held == ["2", "group07"]
    assert sum(1 for _ in video.read_frames(one.path)) == 4


def test_every_group_is_tested_by_one_numbered_fold_and_by_its_own(tmp_path):
    for group in range(1, 26):
        _touch(tmp_path / "diving" / f"v_diving_{group:02d}_01.mpg")
    videos = ucf11.load(tmp_path).videos
    for names, tested in ((map(str, range(1, 6)), 5), ((f"group{g:02d}" for g in range(1, 26)), 1)):
        held = []
        for name in names:
            assignment = splits.assign(videos, "official", fold=name)
            held += [video for video, side in assignment.items() if side == "test"]
            assert list(assignment.values()).count("test") == tested
        assert sorted(held) == sorted(video.id for video in videos)


@pytest.mark.parametrize("name", ["v_diving_26_01.mpg", "v_diving_00_01.mpg", "diving.mpg"])
def test_a_clip_of_another_naming_is_refused(tmp_path, name):
    _touch(tmp_path / "diving" / name)
    with pytest.raises(UserError, match=rf"{name} is not named as UCF11 names its clips.*01 to 25"):
        ucf11.load(tmp_path)


def test_videos_in_no_folder_of_a_class_are_named(tmp_path):
    _touch(tmp_path / "diving" / "v_diving_01_01.mpg")
    _touch(tmp_path / "dancing" / "v_dancing_01" / "v_dancing_01_01.mpg")
    _touch(tmp_path / "v_walk_dog_01_01.mpg")
    catalogue = ucf11.load(tmp_path)
    assert [video.id for video in catalogue.videos] == ["v_diving_01_01"]
    assert catalogue.left_out == (
        "left out: 2 videos in no folder of a class (dancing/v_dancing_01/v_dancing_01_01.mpg,"
        " v_walk_dog_01_01.mpg)",
    )


def test_a_folder_without_its_classes_is_refused(tmp_path):
    (tmp_path / "dancing").mkdir()
    with pytest.raises(UserError, match="has none of the folders basketball, biking"):
        ucf11.load(tmp_path)
