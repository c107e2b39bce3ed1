"""Miniatures of the collections, in their own layouts and formats, through the whole program."""

import cv2
import numpy as np
import pytest

from preprocessing import records, splits

pytestmark = pytest.mark.slow

NUM_FRAMES = (3, 4, 5)


def _frames(index):
    """Noise that moves to the right; clip number `index` has 3, 4 or 5 frames."""
    noise = np.random.default_rng(index).integers(0, 255, (24, 64, 3), np.uint8)
    noise = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return [
        np.ascontiguousarray(noise[:, 20 - 2 * k : 52 - 2 * k])
        for k in range(NUM_FRAMES[index % 3])
    ]


def _film(path, index, fourcc):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*fourcc), 25, (32, 24)
    )
    assert writer.isOpened(), path
    for frame in _frames(index):
        writer.write(frame)
    writer.release()


@pytest.fixture
def prepare(run_program):
    """Function of a source and a folder: what the program printed, and the record set it made."""

    def run(source, output):
        make = [f"--source={source}", f"--output={output}", "--image_size=16"]
        printed = ""
        for flags in (make, [f"--verify={output}"]):
            done = run_program("prepare", "--workers=2", *flags)
            assert done.returncode == 0, done.stderr
            printed += done.stdout
        record_set = records.load_record_set(output)
        assert f"{len(record_set.videos)} videos read back, all whole" in printed
        return printed, record_set

    return run


def _lengths(record_set):
    return {video.id: video.num_frames for video in record_set.videos}


def test_ucf101(prepare, tmp_path):
    # Two classes of three groups of two clips; the lists spell one class differently.
    root = tmp_path / "UCF"
    clips = [
        f"{name}/v_{spelt}_g{group:02d}_c{clip:02d}.avi"
        for name, spelt in (("Archery", "Archery"), ("HandstandPushups", "HandStandPushups"))
        for group in (1, 2, 3)
        for clip in (1, 2)
    ]
    for index, clip in enumerate(clips):
        _film(root / "UCF-101" / clip, index, "XVID")
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Archery\n2 HandstandPushups\n")
    for fold in (1, 2, 3):
        held = [clip for clip in clips if f"_g{fold:02d}_" in clip]
        lines = [clip.replace("v_HandStand", "v_Handstand") for clip in held]
        (lists / f"testlist0{fold}.txt").write_text("\n".join(lines) + "\n")
        lines = [f"{clip} 1" for clip in clips if clip not in held]
        (lists / f"trainlist0{fold}.txt").write_text("\n".join(lines) + "\n")

    printed, record_set = prepare(f"ucf101:{root}", tmp_path / "records")
    assert "ucf101: 12 clips found, 13320 published" in printed
    assert "missing:" not in printed  # every name in the lists is there
    assert "official 3       8       4     0.0 %" in printed
    assert record_set.classes == ("Archery", "HandstandPushups") and len(record_set.videos) == 12
    assert _lengths(record_set) == {
        clip.split("/")[1].removesuffix(".avi"): NUM_FRAMES[index % 3]
        for index, clip in enumerate(clips)
    }
    tested = splits.assign(record_set.videos, "official", fold=2)
    assert {name for name, side in tested.items() if side == "test"} == {
        name for name in tested if "_g02_" in name
    }


def test_ucf11(prepare, tmp_path):
    root = tmp_path / "UCF11_updated_mpg"
    names = []
    for folder, name in (("walking", "v_walk_dog"), ("tennis_swing", "v_tennis")):
        for group in (1, 7, 25):
            for clip in (1, 2):
                names.append(f"{name}_{group:02d}_{clip:02d}")
                path = root / folder / f"{name}_{group:02d}" / f"{names[-1]}.mpg"
                _film(path, len(names) - 1, "mpg1")
    (root / "walking" / "Annotation").mkdir()
    (root / "walking" / "Annotation" / "v_walk_dog_01_01.xgtf").write_text("<viper/>")

    printed, record_set = prepare(f"ucf11:{root}", tmp_path / "records")
    assert "ucf11: 12 clips found, 1600 published" in printed
    assert "class walking: 6 clips found, 123 published" in printed
    assert record_set.classes == ("tennis_swing", "walking")
    assert record_set.title == "ucf11 (2 of 11 classes, 12 of 1600 clips)"
    # The header of an mpg only guesses; these were counted.
    assert _lengths(record_set) == {name: NUM_FRAMES[k % 3] for k, name in enumerate(names)}
    one = splits.assign(record_set.videos, "official", fold="group25")
    assert sorted(name for name, side in one.items() if side == "test") == [
        f"{name}_25_{clip}" for name in ("v_tennis", "v_walk_dog") for clip in ("01", "02")
    ]
    assert splits.leak(record_set.videos, one) == 0


def test_ucf_sports(prepare, tmp_path):
    root = tmp_path / "ucf_sports_actions" / "ucf action"
    expected = {}
    for index in range(12):
        folder = ("Walk-Front", "Golf-Swing-Back", "Golf-Swing-Side", "Diving-Side")[index % 4]
        clip = root / folder / f"{index:03d}"
        if index < 6:
            _film(clip / f"{index}-film_10.avi", index, "MJPG")
        else:  # as the collection has it where no film was kept
            (clip / "jpeg").mkdir(parents=True)
            for number, frame in enumerate(_frames(index)):
                cv2.imwrite(str(clip / "jpeg" / f"{index}_{number:04d}.jpg"), frame)
        (clip / "gt").mkdir()
        (clip / "gt" / "boxes.txt").write_text("0 0 8 8")
        expected[f"{folder}_{index:03d}"] = NUM_FRAMES[index % 3]

    printed, record_set = prepare(f"ucf_sports:{root.parent}", tmp_path / "records")
    assert "ucf_sports: 12 clips found, 150 published" in printed
    assert len(record_set.classes) == 3 and _lengths(record_set) == expected
    golf = [video for video in record_set.videos if video.class_name == "Golf-Swing"]
    assert len(golf) == 6  # of two folders
    assert sum(video.splits["1"] == "test" for video in golf) == 2
    # Films and folders of images hold the same motion: 2 of 32 pixels, in 16 one.
    assert all(video.mean_motion > 0.3 for video in record_set.videos)


def test_hmdb51(prepare, tmp_path):
    root = tmp_path / "hmdb51"
    names = [
        f"{film}_{action}_f_nm_np1_ba_goo_{clip}"
        for action in ("brush_hair", "kick_ball")
        for film in ("April_09", "A_Beautiful_Mind_1", "Wanted")
        for clip in (0, 1)
    ]
    for index, name in enumerate(names):
        action = "brush_hair" if "brush" in name else "kick_ball"
        _film(root / action / f"{name}.avi", index, "MJPG")
        (root / "splits").mkdir(exist_ok=True)
        with (root / "splits" / f"{action}_test_split1.txt").open("a") as file:
            file.write(f"{name}.avi {2 if 'Wanted' in name else 1} \n")

    printed, record_set = prepare(f"hmdb51:{root}", tmp_path / "records")
    assert "hmdb51: 12 clips found, 6766 published" in printed and "missing:" not in printed
    assert "official         8       4     0.0 %" in printed
    assert record_set.title == "hmdb51 (2 of 51 classes, 12 of 6766 clips)"
    assert _lengths(record_set) == {name: NUM_FRAMES[k % 3] for k, name in enumerate(names)}
    assert {video.group for video in record_set.videos} == {"april", "a_beautiful_mind", "wanted"}


def test_a_list(prepare, tmp_path):
    names = [f"clip{k}" for k in range(8)]
    for index, name in enumerate(names):
        _film(tmp_path / "videos" / f"{name}.mp4", index, "mp4v")
    lines = [f"{name}.mp4 {index % 2}\n" for index, name in enumerate(names)]
    (tmp_path / "train.txt").write_text("".join(lines[:6]))
    (tmp_path / "val.txt").write_text("".join(lines[6:]))
    (tmp_path / "label_map.txt").write_text("Even\nOdd\n")
    lists = f"{tmp_path / 'train.txt'},{tmp_path / 'val.txt'}"
    printed, record_set = prepare(f"list:{lists}", tmp_path / "records")
    assert f"the paths in train.txt count from {tmp_path / 'videos'}" in printed
    assert "official         6       2" in printed
    assert record_set.classes == ("Even", "Odd") and record_set.title == "train+val"
    assert _lengths(record_set) == {name: NUM_FRAMES[k % 3] for k, name in enumerate(names)}


def test_tfds(prepare, tmp_path):
    import tensorflow_datasets as tfds

    class Drifts(tfds.core.GeneratorBasedBuilder):
        """Moving noise in a class by the parity of the clip's number."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "video": tfds.features.Video(shape=(None, 24, 32, 3)),
                "label": tfds.features.ClassLabel(names=["Even", "Odd"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {
                "train": self._generate_examples(range(8)),
                "test": self._generate_examples(range(8, 12)),
            }

        def _generate_examples(self, numbers):
            for index in numbers:
                yield index, {"video": np.stack(_frames(index)), "label": index % 2}

    builder = Drifts(data_dir=tmp_path / "tfds")
    builder.download_and_prepare()
    printed, record_set = prepare(f"tfds:{builder.data_dir}", tmp_path / "records")
    assert "drifts: 12 videos of 2 classes" in printed and "official         8       4" in printed
    assert record_set.classes == ("Even", "Odd")
    assert sorted(_lengths(record_set).values()) == sorted(NUM_FRAMES * 4)
    assert sum(video.splits["1"] == "test" for video in record_set.videos) == 4

    # And out again: the records are a data set of TFDS themselves.
    again = tfds.builder_from_directory(tmp_path / "records").as_dataset(split="all")
    counts = {row["video_id"].decode(): len(row["frames"]) for row in tfds.as_numpy(again)}
    assert counts == _lengths(record_set)
