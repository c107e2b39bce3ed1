"""A miniature of HMDB51: clips of the collection's names, two films in two classes each."""

import pytest

from preprocessing import splits
from preprocessing.datasets import hmdb51
from preprocessing.errors import UserError

# Name, and what split 1 says of it.
CLIPS = {
    "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi": 1,
    "brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_1.avi": 1,
    "brush_hair/Slave_brush_my_hair_brush_hair_u_cm_np2_le_goo_2.avi": 2,
    "shake_hands/A_Beautiful_Mind_1_shake_hands_u_nm_np2_le_med_1.avi": 2,
    "shake_hands/A_Beautiful_Mind_2_shake_hands_u_nm_np2_le_med_0.avi": 0,
    "sword_exercise/(Rad)Schlag_die_Bank!_sword_exercise_f_cm_np1_le_med_0.avi": 1,
    "kick_ball/A_Beautiful_Mind_5_kick_ball_f_cm_np1_ba_bad_8.avi": 1,
    "kick/kick_like_jump_kick_f_cm_np1_ba_med_3.avi": 2,
}


@pytest.fixture
def miniature(tmp_path, touch):
    root = tmp_path / "hmdb"
    lists = root / "testTrainMulti_7030_splits"
    lists.mkdir(parents=True)
    touch(*(root / "videos" / clip for clip in CLIPS))
    for clip, part in CLIPS.items():
        class_name, name = clip.split("/")
        for fold in (1, 2, 3):
            with (lists / f"{class_name}_test_split{fold}.txt").open("a") as file:
                file.write(f"{name} {part if fold == 1 else (part + fold) % 3} \n")
    return root


def test_clips_have_the_classes_films_and_splits(miniature):
    catalogue = hmdb51.load(miniature)
    assert catalogue.name == "hmdb51" and catalogue.classes == hmdb51.CLASSES
    assert not catalogue.left_out
    by_id = {one.id: one for one in catalogue.videos}
    assert len(by_id) == len(CLIPS)
    for clip, part in CLIPS.items():
        class_name, name = clip.removesuffix(".avi").split("/")
        assert by_id[name].class_name == class_name
        assert by_id[name].splits.get("1") == (None, "train", "test")[part]
    assert by_id["April_09_brush_hair_u_nm_np1_ba_goo_0"].splits == {"1": "train", "3": "train"}
    # A film is one group in all its classes and all the files that it was cut into.
    assert {one.group for one in catalogue.videos} == {
        "april",
        "slave_brush_my_hair",
        "a_beautiful_mind",
        "(rad)schlag_die_bank!",
        "kick_like_jump",
    }
    films = {one.class_name for one in catalogue.videos if one.group == "a_beautiful_mind"}
    assert films == {"kick_ball", "shake_hands"}


def test_no_film_is_divided_and_the_leak_is_counted(miniature):
    videos = hmdb51.load(miniature).videos
    one = next(video for video in videos if video.id.startswith("April_09") and video.id[-1] == "1")
    assignment = splits.assign(videos, "official", 1) | {one.id: "test"}
    # The other is of a film that trains in another class.
    assert splits.leak(videos, assignment) == 2 / 4


def test_frames_flat_folders_and_partial_lists(miniature, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for clip in (miniature / "videos").glob("*/*.avi"):
        clip.rename(flat / clip.with_suffix(".mp4").name)
    (flat / "notes.mp4").write_bytes(b"")
    catalogue = hmdb51.load(flat)
    assert sorted(one.class_name for one in catalogue.videos) == sorted(
        clip.split("/")[0] for clip in CLIPS
    )
    left_out, no_splits = catalogue.left_out
    assert left_out == "left out: 1 named otherwise than the clips (notes.mp4)"
    assert no_splits.startswith("no official splits: ")


def test_what_is_there_is_compared_with_the_lists(miniature, load_source):
    (miniature / "videos" / "kick" / "kick_like_jump_kick_f_cm_np1_ba_med_3.avi").unlink()
    (clip,) = (miniature / "videos" / "sword_exercise").iterdir()
    clip.rename(clip.with_stem(clip.stem[:-1] + "7"))
    source = load_source(f"hmdb51:{miniature}")
    total, absent, missing, extra = source.differences
    assert total == "hmdb51: 7 clips found, 6766 published"
    assert absent.startswith("no clips of 47 of 51 classes: cartwheel, ")
    assert missing == "missing: (rad)schlag_die_bank!_sword_exercise_f_cm_np1_le_med_0"
    assert extra == "in no official list: (rad)schlag_die_bank!_sword_exercise_f_cm_np1_le_med_7"
    assert source.catalogue.classes == ("brush_hair", "kick_ball", "shake_hands", "sword_exercise")


def test_strange_lists_and_missing_clips_are_refused(miniature, tmp_path):
    path = miniature / "testTrainMulti_7030_splits" / "kick_test_split1.txt"
    line = path.read_text()
    path.write_text(line + line.replace(" 2", " 1"))
    with pytest.raises(UserError, match=r"kick_test_split1.txt line 2 puts kick_like_jump_kick_f"):
        hmdb51.load(miniature)
    path.write_text(line.replace(" 2", " 3"))
    with pytest.raises(UserError, match=r"line 1 is 'kick_like.* needs the name of a clip and 1"):
        hmdb51.load(miniature)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no clips of HMDB51.* unpack hmdb51_org.rar"):
        hmdb51.load(tmp_path / "empty")
