import shutil

import cv2
import numpy as np
import pytest

from experiments import paper
from preprocessing import splits, video
from preprocessing.datasets import class_folders, load, ucf11, ucf101, ucf_sports
from preprocessing.errors import UserError


def _load(source, tmp_path):
    return load.load(source, tmp_path / "videos", seed=0, groups=2, clips_per_group=1, workers=1)


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


def test_equal_file_names_are_told_apart(tmp_path):
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


@pytest.mark.parametrize("name", ["ucf101", "ucf11", "ucf_sports", "synthetic"])
def test_a_folder_called_as_a_collection_is_not_compared_with_it(tmp_path, name):
    _touch(tmp_path / name / "Bow" / "a.mp4")
    source = _load(f"folder:{tmp_path / name}", tmp_path)
    assert source.catalogue.name == f"folder:{name}" and source.differences == ()
    assert paper.comparison({"dataset": source.catalogue.name}) == ""


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


def test_an_id_that_is_met_twice_is_refused(ucf101_miniature):
    copy = ucf101_miniature / "backup" / "v_Archery_g01_c01.avi"
    _touch(copy)
    with pytest.raises(UserError, match=r"two videos are called v_Archery_g01_c01, .*: remove the"):
        ucf101.load(ucf101_miniature)


def test_missing_folders_and_sources_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist"):
        _load(f"folder:{tmp_path / 'nowhere'}", tmp_path)
    _touch(tmp_path / "flat" / "a.mp4")
    with pytest.raises(UserError, match="no videos in class folders: it needs"):
        _load(f"folder:{tmp_path / 'flat'}", tmp_path)
    for source in ("kinetics:DIR", "folder", "ucf101:"):
        with pytest.raises(UserError, match="is unknown: it is one of synthetic"):
            _load(source, tmp_path)


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


def test_ucf101(ucf101_miniature, tmp_path):
    catalogue = ucf101.load(ucf101_miniature)
    assert catalogue.name == "ucf101" and catalogue.classes == ("Archery", "HandstandPushups")
    assert len(catalogue.videos) == 12
    one = _by_id(catalogue)["v_HandStandPushups_g02_c01"]
    assert (one.label, one.class_name, one.group) == (1, "HandstandPushups", "HandstandPushups/g02")
    assert one.splits == {"1": "train", "2": "test", "3": "train"}
    assignment = splits.assign(catalogue.videos, "official", fold=2)
    assert sorted(assignment.values()) == ["test"] * 4 + ["train"] * 8
    assert splits.leak(catalogue.videos, assignment) == 0


def test_ucf101_names_what_is_missing_or_strange(ucf101_miniature, tmp_path):
    clips = ucf101_miniature / "UCF-101" / "Archery"
    (clips / "v_Archery_g03_c02.avi").rename(clips / "v_Archery_g09_c02.avi")
    source = _load(f"ucf101:{ucf101_miniature}", tmp_path)
    assert source.differences == (
        "ucf101: 12 clips found, 13320 published",
        "missing: v_archery_g03_c02",
        "in no official list: v_archery_g09_c02",
    )
    _touch(clips / "v_Juggling_g01_c01.avi")
    with pytest.raises(UserError, match=r"v_Juggling_g01_c01.avi is of no class"):
        ucf101.load(ucf101_miniature)
    shutil.rmtree(ucf101_miniature / "ucfTrainTestlist")
    with pytest.raises(UserError, match=r"has no classInd.txt: unpack UCF101's split lists"):
        ucf101.load(ucf101_miniature)


def test_ucf11(tmp_path, write_video):
    root = tmp_path / "UCF11_updated_mpg"
    for group in (1, 7, 25):
        for clip in (1, 2):
            name = f"v_walk_dog_{group:02d}"
            write_video(root / "walking" / name / f"{name}_0{clip}.mpg", 4, fourcc="mpg1")
    write_video(root / "swing" / "v_swing_03" / "v_swing_03_01.mpg", 4, fourcc="mpg1")
    _touch(root / "walking" / "Annotation" / "v_walk_dog_01_01.xgtf")
    source = _load(f"ucf11:{tmp_path}", tmp_path)
    catalogue = source.catalogue
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
    assert "class walking: 6 clips found, 123 published" in source.differences
    assert "class diving: 0 clips found, 156 published" in source.differences


def test_ucf_sports(tmp_path, write_video):
    root = tmp_path / "ucf_sports_actions" / "ucf action"
    for number in range(1, 8):
        clip = root / "Walk-Front" / f"{number:03d}"
        write_video(clip / f"{number}-film.avi", 4, fourcc="XVID")
        _touch(clip / "gt" / "boxes.txt")
    clip = root / "Golf-Swing-Back" / "001"
    clip.mkdir(parents=True)
    for index in range(3):
        cv2.imwrite(str(clip / f"frame{index}.jpg"), np.full((8, 8, 3), 50 * index, np.uint8))
    source = _load(f"ucf_sports:{tmp_path}", tmp_path)
    catalogue = source.catalogue
    assert len(catalogue.classes) == 10
    assert sum(count for _, count in ucf_sports.FOLDERS.values()) == 150
    videos = _by_id(catalogue)
    golf = videos["Golf-Swing-Back_001"]
    assert golf.class_name == "Golf-Swing" and golf.path.is_dir()
    assert sum(1 for _ in video.read_frames(golf.path)) == 3
    # The first third of each class, rounded down, is the test part; and each clip once alone.
    assert [v.id for v in catalogue.videos if v.splits["1"] == "test"] == [
        "Walk-Front_001",
        "Walk-Front_002",
    ]
    assert [v.id for v in catalogue.videos if v.splits["clip002"] == "test"] == ["Walk-Front_001"]
    assert "class Walk: 7 clips found, 22 published" in source.differences


def test_the_first_thirds_of_ucf_sports_are_the_103_and_47_of_the_literature():
    assert sum(count // 3 for count in ucf_sports.CLIPS.values()) == 47


def test_a_tfds_video_data_set(tmp_path):
    import tensorflow_datasets as tfds

    class TinyActions(tfds.core.GeneratorBasedBuilder):
        """Grey clips whose brightness tells the class."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "video": tfds.features.Video(shape=(None, 16, 16, 3)),
                "label": tfds.features.ClassLabel(names=["Dark", "Light"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(3), "test": self._generate_examples(2)}

        def _generate_examples(self, count):
            for index in range(count):
                label = index % 2
                frames = np.full((4 + index, 16, 16, 3), 200 * label, np.uint8)
                frames[:, :, :, 0] += np.arange(4 + index, dtype=np.uint8)[:, None, None]
                yield index, {"video": frames, "label": label}

    builder = TinyActions(data_dir=tmp_path / "tfds")
    builder.download_and_prepare()
    source = _load(f"tfds:{builder.data_dir}", tmp_path)
    assert source.catalogue.classes == ("Dark", "Light")
    videos = source.catalogue.videos
    assert sorted(v.splits["1"] for v in videos) == ["test"] * 2 + ["train"] * 3
    for listed in videos:
        frames = list(video.read_frames(listed.path))
        assert frames[0].tolist() == np.full((16, 16, 3), 200 * listed.label).tolist()
        assert frames[-1][0, 0].tolist() == [
            200 * listed.label + len(frames) - 1,
            *[200 * listed.label] * 2,
        ]
    assert _load(f"tfds:{builder.data_dir}", tmp_path) == source
    with pytest.raises(UserError, match="tensorflow_datasets cannot prepare no_such_set"):
        _load("tfds:no_such_set", tmp_path)
