import unicodedata

import pytest

from preprocessing import splits
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.video import Segment


def _by_id(catalogue):
    return {video.id: video for video in catalogue.videos}


@pytest.fixture
def own(touch):
    touch("Bow/.hidden.mp4", "Bow/notes.txt", "Empty/readme.md", "top.mp4")
    return touch("Bow/v_Bow_g01_c01.mp4", "Bow/v_Bow_g01_c02.AVI", "Wave/deep/a.webm", "Wave/b.mpg")


def test_a_folder_of_class_folders(own):
    catalogue = class_folders.load(own)
    assert catalogue.name == "own" and catalogue.classes == ("Bow", "Wave")
    videos = _by_id(catalogue)
    assert set(videos) == {"v_Bow_g01_c01", "v_Bow_g01_c02", "a", "b"}
    assert videos["v_Bow_g01_c01"].group == videos["v_Bow_g01_c02"].group == "Bow/g01"
    assert videos["b"].group == "Wave/b" and videos["b"].splits == {}
    assert [videos[name].label for name in ("v_Bow_g01_c01", "b")] == [0, 1]


def test_equal_file_names_are_kept_apart_by_their_folders(touch):
    root = touch("Bow/1.mp4", "Wave/1.mp4", "Wave/2.mp4")
    assert set(_by_id(class_folders.load(root))) == {"Bow/1.mp4", "Wave/1.mp4", "2"}


def test_folders_between_class_and_clip_name_groups_over_all_classes(touch):
    clips = ("jump/anna/1.mp4", "jump/ben/v_Jump_g01_c01.mp4", "wave/anna/2.mp4")
    root = touch(*clips, "wave/3.mp4", "wave/ben/day2/4.mp4", "wave/ben/frames/1.png")
    groups = {v.path.relative_to(root).as_posix(): v.group for v in class_folders.load(root).videos}
    assert groups == {
        "jump/anna/1.mp4": "anna",
        "jump/ben/v_Jump_g01_c01.mp4": "ben",
        "wave/anna/2.mp4": "anna",
        "wave/3.mp4": "wave/3",
        "wave/ben/day2/4.mp4": "ben/day2",
        "wave/ben/frames": "ben",
    }


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
        ("video,class\nWave/b.mpg,bow\n", "classes Bow and bow, which differ only in capitals"),
        ("video,class\nWave/B.mpg,Bow\n", r"not there, such as Wave/B.mpg: .*mean Wave/b.mpg\?"),
        ("video,split\ntop.mp4,train\n", "gives no class for top.mp4: fill in the column class"),
    ],
)
def test_a_splits_csv_that_does_not_fit_is_refused(own, text, message):
    (own / "splits.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        class_folders.load(own)


@pytest.fixture
def cut(touch):
    """Function of the lines of a splits.csv that cuts two recordings, beside one whole clip."""
    root = touch("rec/anna.mp4", "rec/ben.mp4", "Wave/a.mp4", "top.mp4")

    def load(*lines):
        lines = ["video,class,group,split,start,end", *lines]
        if "rec/ben" not in "".join(lines):
            lines.append("rec/ben.mp4,Bow,,,0,1")
        (root / "splits.csv").write_text("\n".join(lines))
        return class_folders.load(root)

    return load


def test_rows_with_times_are_videos_of_their_own(cut):
    catalogue = cut(
        "rec/anna.mp4,Bow,,,12.5,17",
        "rec/anna.mp4,Jump,,,16,20.25",  # they may overlap
        "rec/ben.mp4,Jump,garden,test, 0 ,4.0",
        "top.mp4,Bow,,,1,2",
    )
    assert catalogue.classes == ("Bow", "Jump", "Wave")  # the folder rec is none
    shown = {
        video.id: (video.class_name, video.label, video.group, video.splits, video.segment)
        for video in catalogue.videos
    }
    assert shown == {
        "anna@12.5-17": ("Bow", 0, "rec/anna", {}, Segment(12.5, 17)),
        "anna@16-20.25": ("Jump", 1, "rec/anna", {}, Segment(16, 20.25)),
        "ben@0-4": ("Jump", 1, "garden", {"1": "test"}, Segment(0, 4)),
        "top@1-2": ("Bow", 0, "own/top", {}, Segment(1, 2)),
        "a": ("Wave", 2, "Wave/a", {}, None),
    }
    assert catalogue.left_out == ()


def test_the_class_of_a_row_without_one_is_its_folder(touch):
    root = touch("Bow/anna/1.mp4", "Wave/anna/1.mp4")
    (root / "splits.csv").write_text(
        "video,start,end\nBow/anna/1.mp4,0,2\nBow/anna/1.mp4,2,4\nWave/anna/1.mp4,0,2\n"
    )
    videos = _by_id(class_folders.load(root))
    # Names of files, though both recordings are called 1.mp4.
    assert {name: video.class_name for name, video in videos.items()} == {
        "Bow__anna__1.mp4@0-2": "Bow",
        "Bow__anna__1.mp4@2-4": "Bow",
        "Wave__anna__1.mp4@0-2": "Wave",
    }
    assert {video.group for video in videos.values()} == {"anna"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["top.mp4,Bow,,,0,5"], "has no line for rec/anna.mp4"),
        (["rec/anna.mp4,Bow,,,0,1", "rec/gone.mp4,Bow,,,0,5"], "1 videos that are not there, su"),
        (["top.mp4,,,,0,5", "rec/anna.mp4,Bow,,,0,1"], "no class for top.mp4 from 0 to 5 s: fill"),
        (
            ["rec/anna.mp4,Bow,day1,,0,5", "rec/anna.mp4,Bow,day2,,5,9"],
            "segments of rec/anna.mp4 into the groups day1, day2: parts of one recording",
        ),
        (
            ["rec/anna.mp4,Bow,day1,,0,5", "rec/anna.mp4,Bow,,,5,9"],
            "segments of rec/anna.mp4 into the groups day1, rec/anna: parts",
        ),
        (
            ["rec/anna.mp4,Bow,,train,0,5", "rec/anna.mp4,Bow,,test,5,9"],
            "segments of rec/anna.mp4 into the splits test, train: parts",
        ),
    ],
)
def test_times_that_do_not_fit_are_refused(cut, lines, message):
    with pytest.raises(UserError, match=message):
        cut(*lines)


def test_images_have_no_times(cut, touch):
    touch("rec/frames/1.png")
    with pytest.raises(UserError, match=r"line 2: .*rec/frames is a folder of images, which have"):
        cut("rec/frames,Bow,,,0,5", "rec/anna.mp4,Bow,,,0,1")


def test_the_class_of_a_list_goes_before_the_folders(own):
    (own / "splits.csv").write_text("video,class\nWave/b.mpg,Bow\nWave/deep/a.webm,Clap\n")
    catalogue = class_folders.load(own)
    assert catalogue.classes == ("Bow", "Clap")
    videos = _by_id(catalogue)
    assert (videos["b"].class_name, videos["a"].class_name) == ("Bow", "Clap")
    assert videos["b"].group == "Wave/b" and videos["b"].ungrouped  # its file is where it was
    assert catalogue.left_out[-1] == (
        "splits.csv puts 2 videos into another class than their folder (b, ...)"
    )


def test_videos_without_class_folders_have_the_classes_of_the_list(touch):
    root = touch("a.mp4", "b, c.mp4", "d.mp4", "film/1.jpg", "film/2.jpg")
    (root / "splits.csv").write_bytes(
        'Video;CLASS\r\n.\\a.mp4;jump\r\n"b, c.mp4";wave\r\nfilm;wave\r\n'.encode("utf-16")
    )
    catalogue = class_folders.load(root)
    classes = {video.id: video.class_name for video in catalogue.videos}
    assert classes == {"a": "jump", "b, c": "wave", "film": "wave"}
    assert catalogue.left_out == ("left out: 1 .mp4 (d.mp4)",)


@pytest.mark.parametrize(("on_disk", "listed"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_letters_may_be_coded_otherwise_in_the_list(tmp_path, on_disk, listed, touch):
    def coded(form, text):
        return unicodedata.normalize(form, text)

    for name in ("Grüße/André/é.mp4", "Wave/b.mp4"):
        touch(tmp_path / coded(on_disk, name))
    (tmp_path / "splits.csv").write_text(
        "video,class,group\n" + coded(listed, "Grüße/André/é.mp4,,\nWave/b.mp4,Grüße,André\n")
    )
    catalogue = class_folders.load(tmp_path)
    assert catalogue.classes == (coded(on_disk, "Grüße"),)
    assert {video.group for video in catalogue.videos} == {"André"}


def test_two_files_that_a_list_cannot_tell_apart_are_refused(tmp_path, touch):
    for form in ("NFC", "NFD"):
        touch(tmp_path / "Bow" / unicodedata.normalize(form, "é.mp4"))
    with pytest.raises(UserError, match=r"differ only in how their letters or blanks are coded"):
        class_folders.load(tmp_path)


def test_a_group_is_unknown_where_nothing_names_it(own, touch):
    touch(own / "Wave" / "c.mp4")
    (own / "splits.csv").write_text(
        "video,class,group,start,end\nWave/b.mpg,,street,,\nWave/c.mp4,,,0,1\n"
    )
    unknown = {name: video.ungrouped for name, video in _by_id(class_folders.load(own)).items()}
    # A recording is the group of its parts.
    assert unknown == dict.fromkeys(("v_Bow_g01_c01", "v_Bow_g01_c02", "a", "b", "c@0-1"), False)
    (own / "splits.csv").unlink()
    assert _by_id(class_folders.load(own))["b"].ungrouped


def test_folders_without_videos_are_told_and_are_no_classes(touch):
    root = touch("Bow/a.mp4", "Wave/b.mp4", "Old/c.rm", "Old/d.txt", "Loose/1.jpg", "Loose/2.jpg")
    for name in ("Empty", "Hidden", "More"):
        (root / name).mkdir()
    touch(root / "Hidden" / ".DS_Store")
    catalogue = class_folders.load(root)
    assert catalogue.classes == ("Bow", "Wave")
    assert catalogue.left_out == (
        "left out: 2 .jpg (Loose/1.jpg, Loose/2.jpg)",
        "left out: 1 .rm (Old/c.rm)",
        "left out: 1 .txt (Old/d.txt)",
        "no class: 3 empty folders (Empty, Hidden, ...)",
        "no class: 1 folders of loose images, which need a folder for each video (Loose)",
        "no class: 1 folders without a video (Old)",
    )


def test_empty_classes_of_a_side_are_told(touch):
    root = touch("train/Bow/a.mp4", "train/Wave/b.mp4", "test/Bow/c.mp4")
    (root / "test" / "Wave").mkdir()
    assert "no class: 1 empty folders (test/Wave)" in class_folders.load(root).left_out


def test_an_archive_alone_is_to_be_unpacked(touch):
    with pytest.raises(UserError, match=r"has no videos in class folders: .*: unpack clips.zip fi"):
        class_folders.load(touch("clips.zip"))


@pytest.mark.parametrize("by", ["folders", "list"])
def test_without_a_test_part_validation_is_the_test_part(by, touch):
    sides = {"train": "train", "val": "val"} if by == "folders" else {"train": "a", "val": "b"}
    root = touch(
        *(f"{side}/{name}/{side}.mp4" for name in ("jump", "wave") for side in sides.values())
    )
    if by == "list":
        rows = [
            f"{folder}/{name}/{folder}.mp4,{name},{side}"
            for side, folder in sides.items()
            for name in ("jump", "wave")
        ]
        (root / "splits.csv").write_text("\n".join(["video,class,split", *rows]))
    catalogue = class_folders.load(root)
    parts = splits.assign(catalogue.videos, "official").values()
    assert sorted(parts) == ["test", "test", "train", "train"]
    assert "the validation part is the test part: there is no other" in catalogue.left_out


def test_a_video_that_a_list_forgets_is_not_of_its_folders_class(touch):
    root = touch(*(f"all/{number}.mp4" for number in range(4)))
    table = root / "splits.csv"
    table.write_text("video,class\nall/0.mp4,jump\nall/1.mp4,wave\nall/2.mp4,wave\n")
    with pytest.raises(
        UserError, match=r"puts videos in .*/all into other .* no line for all/3.mp4"
    ):
        class_folders.load(root)
    table.write_text("video,class\nall/0.mp4,jump\n")  # a correction
    assert class_folders.load(root).classes == ("all", "jump")
