import pytest

from preprocessing import splits
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError


def _by_id(catalogue):
    return {video.id: video for video in catalogue.videos}


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


@pytest.fixture
def own(tmp_path):
    for name in (
        "Bow/v_Bow_g01_c01.mp4",
        "Bow/v_Bow_g01_c02.AVI",
        "Wave/deep/a.webm",
        "Wave/b.mpg",
    ):
        _touch(tmp_path / "own" / name)
    for name in ("Bow/.hidden.mp4", "Bow/notes.txt", "Empty/readme.md", "top.mp4"):
        _touch(tmp_path / "own" / name)
    return tmp_path / "own"


def test_a_folder_of_class_folders(own):
    catalogue = class_folders.load(own)
    assert catalogue.name == "own" and catalogue.classes == ("Bow", "Wave")
    videos = _by_id(catalogue)
    assert set(videos) == {"v_Bow_g01_c01", "v_Bow_g01_c02", "a", "b"}
    assert videos["v_Bow_g01_c01"].group == videos["v_Bow_g01_c02"].group == "Bow/g01"
    assert videos["b"].group == "Wave/b" and videos["b"].splits == {}
    assert [videos[name].label for name in ("v_Bow_g01_c01", "b")] == [0, 1]


def test_equal_file_names_are_kept_apart_by_their_folders(tmp_path):
    for name in ("Bow/1.mp4", "Wave/1.mp4", "Wave/2.mp4"):
        _touch(tmp_path / name)
    assert set(_by_id(class_folders.load(tmp_path))) == {"Bow/1.mp4", "Wave/1.mp4", "2"}


def test_folders_between_class_and_clip_name_groups_over_all_classes(tmp_path):
    clips = ("jump/anna/1.mp4", "jump/ben/v_Jump_g01_c01.mp4", "wave/anna/2.mp4")
    for name in (*clips, "wave/3.mp4", "wave/ben/day2/4.mp4", "wave/ben/frames/1.png"):
        _touch(tmp_path / name)
    groups = {
        v.path.relative_to(tmp_path).as_posix(): v.group
        for v in class_folders.load(tmp_path).videos
    }
    assert groups == {
        "jump/anna/1.mp4": "anna",
        "jump/ben/v_Jump_g01_c01.mp4": "ben",
        "wave/anna/2.mp4": "anna",
        "wave/3.mp4": "wave/3",
        "wave/ben/day2/4.mp4": "ben/day2",
        "wave/ben/frames": "ben",
    }


def test_a_split_by_groups_divides_no_person(tmp_path):
    for class_name in ("jump", "wave"):
        for person in ("anna", "ben", "cleo"):
            for clip in ("1", "2"):
                _touch(tmp_path / class_name / person / f"{clip}.mp4")
    catalogue = class_folders.load(tmp_path)
    for seed in range(5):
        assignment = splits.assign(catalogue.videos, "group", seed=seed)
        sides = {(video.group, assignment[video.id]) for video in catalogue.videos}
        assert len(sides) == 3


def test_splits_csv_is_above_the_folders(tmp_path):
    for name in ("jump/anna/1.mp4", "jump/ben/2.mp4"):
        _touch(tmp_path / name)
    (tmp_path / "splits.csv").write_text("video,group\njump/anna/1.mp4,garden\n")
    assert [video.group for video in class_folders.load(tmp_path).videos] == ["garden", "ben"]


def test_a_folder_of_images_counts_as_a_video(tmp_path):
    for name in ("Bow/clip1/001.jpg", "Bow/clip1/002.jpg", "Bow/film.mp4"):
        _touch(tmp_path / name)
    assert [v.path.name for v in class_folders.load(tmp_path).videos] == ["clip1", "film.mp4"]


def test_splits_csv_gives_groups_and_the_official_split(own):
    (own / "splits.csv").write_text(
        "video,class,group,split\n"
        "Bow/v_Bow_g01_c01.mp4,Bow,street,train\n"
        "Wave/deep/a.webm,Wave,street,test\n"
        "Wave/b.mpg,Wave,,\n"
    )
    catalogue = class_folders.load(own)
    videos = _by_id(catalogue)
    assert videos["v_Bow_g01_c01"].group == videos["a"].group == "street"
    assert videos["b"].group == "Wave/b"
    assert splits.assign(catalogue.videos, "official") == {"v_Bow_g01_c01": "train", "a": "test"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "video,split\nBow/gone.mp4,train\n",
            "lists 1 videos that are not there, such as Bow/gone",
        ),
        ("video,class\nWave/b.mpg,Bow\n", "puts Wave/b.mpg into class Bow, its folder into Wave"),
        ("video,split\nWave/b.mpg,validation\n", "line 2 has split 'validation'"),
        ("video\nWave/b.mpg\nWave/b.mpg\n", "lists Wave/b.mpg twice"),
        ("name,split\nWave/b.mpg,test\n", "has columns name, split: it needs `video`"),
    ],
)
def test_a_splits_csv_that_does_not_fit_is_refused(own, text, message):
    (own / "splits.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        class_folders.load(own)
