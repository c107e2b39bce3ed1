import shutil

import pytest

from preprocessing import splits
from preprocessing.datasets import published_totals, ucf101
from preprocessing.errors import UserError


def _by_id(catalogue):
    return {video.id: video for video in catalogue.videos}


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.fixture
def ucf101_miniature(tmp_path, write_video):
    """Two classes of three groups, the official lists' spelling different from a file's."""
    root = tmp_path / "UCF"
    clips = [
        f"{name}/v_{spelt}_g{group:02d}_c0{clip}.avi"
        for name, spelt in (("Archery", "Archery"), ("HandstandPushups", "HandStandPushups"))
        for group in (1, 2, 3)
        for clip in (1, 2)
    ]
    for index, clip in enumerate(clips):
        write_video(root / "UCF-101" / clip, 3, fourcc="XVID", seed=index)
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 HandstandPushups\n\n")
    for fold in (1, 2, 3):
        held = [clip for clip in clips if f"_g{fold:02d}_" in clip]
        lines = [clip.replace("v_HandStand", "v_Handstand") for clip in held]
        (lists / f"testlist0{fold}.txt").write_text("\n".join(lines) + "\n")
        lines = [f"{clip} {1 + ('Push' in clip)}" for clip in clips if clip not in held]
        (lists / f"trainlist0{fold}.txt").write_text("\r\n".join(lines) + "\r\n")
    return root


def test_clips_have_the_lists_classes_groups_and_official_splits(ucf101_miniature):
    catalogue = ucf101.load(ucf101_miniature)
    assert catalogue.name == "ucf101" and catalogue.classes == ("Archery", "HandstandPushups")
    assert len(catalogue.videos) == 12
    one = _by_id(catalogue)["v_HandStandPushups_g02_c01"]
    assert (one.label, one.class_name, one.group) == (1, "HandstandPushups", "HandstandPushups/g02")
    assert one.splits == {"1": "train", "2": "test", "3": "train"}
    assignment = splits.assign(catalogue.videos, "official", fold=2)
    assert sorted(assignment.values()) == ["test"] * 4 + ["train"] * 8
    assert splits.leak(catalogue.videos, assignment) == 0


def test_what_is_missing_or_strange_is_named(ucf101_miniature):
    clips = ucf101_miniature / "UCF-101" / "Archery"
    (clips / "v_Archery_g03_c02.avi").rename(clips / "v_Archery_g09_c02.avi")
    catalogue = ucf101.load(ucf101_miniature)
    assert _by_id(catalogue)["v_Archery_g09_c02"].splits == {}
    assert published_totals.differences(catalogue, ucf101_miniature) == [
        "ucf101: 12 clips found, 13320 published",
        "missing: v_archery_g03_c02",
        "in no official list: v_archery_g09_c02",
    ]
    _touch(clips / "v_Juggling_g01_c01.avi")
    with pytest.raises(UserError, match=r"v_Juggling_g01_c01.avi is of no class"):
        ucf101.load(ucf101_miniature)
    (ucf101_miniature / "ucfTrainTestlist" / "testlist02.txt").unlink()
    with pytest.raises(UserError, match=r"testlist02.txt is missing: unpack UCF101's split lists"):
        ucf101.load(ucf101_miniature)
    shutil.rmtree(ucf101_miniature / "ucfTrainTestlist")
    with pytest.raises(UserError, match=r"has no classInd.txt: unpack UCF101's split lists"):
        ucf101.load(ucf101_miniature)


def test_an_id_that_is_met_twice_is_refused(ucf101_miniature):
    copy = ucf101_miniature / "backup" / "v_Archery_g01_c01.avi"
    _touch(copy)
    with pytest.raises(UserError, match=r"two videos are called v_Archery_g01_c01, .*: remove the"):
        ucf101.load(ucf101_miniature)


def test_lists_without_clips_are_refused(ucf101_miniature):
    shutil.rmtree(ucf101_miniature / "UCF-101")
    with pytest.raises(UserError, match=r"no .avi files: unpack UCF101.rar in it \(UCF-101/<class"):
        ucf101.load(ucf101_miniature)
