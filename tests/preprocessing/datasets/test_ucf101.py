import shutil

import pytest

from preprocessing import splits
from preprocessing.datasets import load, ucf101
from preprocessing.errors import UserError


@pytest.fixture
def ucf101_miniature(tmp_path, touch):
    """Two classes of three groups, the official lists' spelling different from a file's."""
    root = tmp_path / "UCF"
    clips = [
        f"{name}/v_{spelt}_g{group:02d}_c0{clip}.avi"
        for name, spelt in (("Archery", "Archery"), ("HandstandPushups", "HandStandPushups"))
        for group in (1, 2, 3)
        for clip in (1, 2)
    ]
    touch(*(root / "UCF-101" / clip for clip in clips))
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
    one = {one.id: one for one in catalogue.videos}["v_HandStandPushups_g02_c01"]
    assert (one.label, one.class_name, one.group) == (1, "HandstandPushups", "HandstandPushups/g02")
    assert one.splits == {"1": "train", "2": "test", "3": "train"}
    assignment = splits.assign(catalogue.videos, "official", fold=2)
    assert sorted(assignment.values()) == ["test"] * 4 + ["train"] * 8
    assert splits.leak(catalogue.videos, assignment) == 0


def test_what_is_missing_or_strange_is_named(ucf101_miniature, touch):
    clips = ucf101_miniature / "UCF-101" / "Archery"
    (clips / "v_Archery_g03_c02.avi").rename(clips / "v_Archery_g09_c02.avi")
    catalogue = ucf101.load(ucf101_miniature)
    assert {one.id: one for one in catalogue.videos}["v_Archery_g09_c02"].splits == {}
    assert load.differences(catalogue, ucf101_miniature) == [
        "ucf101: 12 clips found, 13320 published",
        "missing: v_archery_g03_c02",
        "in no official list: v_archery_g09_c02",
    ]
    touch(clips / "v_Juggling_g01_c01.avi")
    with pytest.raises(UserError, match=r"v_Juggling_g01_c01.avi is of no class in .*classInd.txt"):
        ucf101.load(ucf101_miniature)


def test_an_id_that_is_met_twice_is_refused(ucf101_miniature, touch):
    copy = ucf101_miniature / "backup" / "v_Archery_g01_c01.avi"
    touch(copy)
    with pytest.raises(UserError, match=r"two videos are called v_Archery_g01_c01, .*: remove the"):
        ucf101.load(ucf101_miniature)


def test_without_clips_it_is_said_how_they_are_called(ucf101_miniature, touch):
    shutil.rmtree(ucf101_miniature / "UCF-101")
    touch(ucf101_miniature / "film.mp4")
    with pytest.raises(UserError, match=r"v_<class>_gGG_cCC: unpack UCF101.rar in it \(UCF-101/<"):
        ucf101.load(ucf101_miniature)


@pytest.mark.parametrize("ending", [".mp4", ".MKV", ""])
def test_clips_are_of_any_format_or_folders_of_frames(ucf101_miniature, touch, ending):
    for clip in sorted((ucf101_miniature / "UCF-101").glob("*/*.avi")):
        clip.unlink()
        touch(clip.with_suffix(ending) if ending else clip.with_suffix("") / "00001.jpg")
    touch(ucf101_miniature / "results" / "demo.mp4")
    catalogue = ucf101.load(ucf101_miniature)
    assert len(catalogue.videos) == 12 and {one.path.suffix for one in catalogue.videos} == {ending}
    assert load.differences(catalogue, ucf101_miniature) == [
        "ucf101: 12 clips found, 13320 published"
    ]
    assert all(len(one.splits) == 3 for one in catalogue.videos)
    assert catalogue.left_out == ("left out: 1 named otherwise than the clips (results/demo.mp4)",)


def test_lists_of_whichever_folds_there_are(ucf101_miniature):
    lists = ucf101_miniature / "ucfTrainTestlist"
    for fold in (1, 2):
        for path in lists.glob(f"*0{fold}.txt"):
            path.unlink()
    assert {tuple(one.splits) for one in ucf101.load(ucf101_miniature).videos} == {("3",)}
    (lists / "testlist03.txt").unlink()
    with pytest.raises(UserError, match=r"trainlist03.txt has no testlist03.txt beside it"):
        ucf101.load(ucf101_miniature)


def test_lists_as_they_are_written_elsewhere(ucf101_miniature):
    lists = ucf101_miniature / "ucfTrainTestlist"
    expected = ucf101.load(ucf101_miniature)
    for path in lists.glob("t*list*.txt"):
        lines = [line.replace("/", "\\").split()[0] for line in path.read_text().splitlines()]
        path.write_bytes("".join(f"{line}\t7\r\n" for line in lines).encode("utf-8-sig"))
    (lists / "classInd.txt").write_bytes("Archery\r\nHandstandPushups\r\n".encode("utf-8-sig"))
    assert ucf101.load(ucf101_miniature) == expected
    (lists / "classInd.txt").write_text("2 HandstandPushups\n1 Archery\n")
    assert ucf101.load(ucf101_miniature) == expected


def test_a_clip_on_both_sides_of_a_fold_is_refused_by_name(ucf101_miniature):
    path = ucf101_miniature / "ucfTrainTestlist" / "testlist02.txt"
    path.write_text(path.read_text() + "Archery/v_Archery_g01_c02.avi\n")
    with pytest.raises(
        UserError, match=r"list02.txt line .* puts v_archery_g01_c02 into .* fold 2"
    ):
        ucf101.load(ucf101_miniature)


def test_without_any_lists_the_clips_are_read_by_their_names(ucf101_miniature):
    shutil.rmtree(ucf101_miniature / "ucfTrainTestlist")
    catalogue = ucf101.load(ucf101_miniature)
    assert catalogue.classes == ("Archery", "HandstandPushups")  # as the folders
    assert {one.group for one in catalogue.videos if one.label == 0} == {
        f"Archery/g0{k}" for k in (1, 2, 3)
    }
    assert not any(one.splits for one in catalogue.videos)
    (line,) = catalogue.left_out
    assert line.startswith("no official splits: ") and "trainlist01.txt" in line
    assert load.differences(catalogue, ucf101_miniature) == [
        "ucf101: 12 clips found, 13320 published"
    ]


def test_classes_without_clips_are_one_line_of_the_differences(ucf101_miniature):
    shutil.rmtree(ucf101_miniature / "UCF-101" / "Archery")
    catalogue = ucf101.load(ucf101_miniature)
    assert load.differences(catalogue, ucf101_miniature) == [
        "ucf101: 6 clips found, 13320 published",
        "no clips of 1 of 2 classes: Archery",
    ]
