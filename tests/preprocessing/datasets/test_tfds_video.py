import os

import numpy as np
import pytest

from preprocessing import video
from preprocessing.datasets import load
from preprocessing.errors import UserError
from preprocessing.files import partial_path

NAMES = ["Dark", "Light"]


def _load(source, tmp_path):
    return load.load(source, tmp_path / "videos", seed=0, groups=2, clips_per_group=1, workers=1)


def _clip(label, number, channels=3):
    """Noise of an odd size, dark or light."""
    shape = 4 + number, 17, 23, channels
    return np.random.default_rng(number).integers(0, 128, shape, np.uint8) + 128 * max(label, 0)


def _make(folder, examples, name="TinyActions", **features):
    """Makes a data set of TFDS.

    Args:
        folder: of all its data sets.
        examples: split -> [(label, frames)].
        name: of its builder.
        features: those that are of another kind.

    Returns:
        Its source.
    """
    import tensorflow_datasets as tfds

    features = {
        "video": tfds.features.Video(shape=(None, None, None, 3)),
        "label": tfds.features.ClassLabel(names=NAMES),
        **features,
    }

    def info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def splits(self, dl_manager):
        return {split: self._generate_examples(rows) for split, rows in examples.items()}

    def rows(self, rows):
        for index, (label, frames) in enumerate(rows):
            yield index, {"video": frames, "label": label}

    members = {
        "VERSION": tfds.core.Version("1.0.0"),
        "__doc__": "Noise.",
        "_info": info,
        "_split_generators": splits,
        "_generate_examples": rows,
    }
    bases = (tfds.core.GeneratorBasedBuilder,)
    builder = type(name, bases, members, skip_registration=True)(data_dir=folder)
    builder.download_and_prepare()
    return f"tfds:{builder.data_dir}"


def _examples(counts):
    return {
        split: [(index % 2, _clip(index % 2, index)) for index in range(count)]
        for split, count in counts.items()
    }


def _frames(source):
    """All clips of a source as they are read, in an order that does not depend on TFDS's."""
    return sorted(
        np.stack(list(video.read_frames(v.path))).tolist() for v in source.catalogue.videos
    )


def _expected(*clips):
    return sorted(clip.tolist() for clip in clips)


def _times(folder):
    """Path -> time of change of all files."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_tfds_video_data_set(tmp_path):
    examples = _examples({"train": 3, "test": 2, "validation": 1, "extra": 1})
    name = _make(tmp_path / "tfds", examples)
    source = _load(name, tmp_path)
    assert source.catalogue.classes == ("Dark", "Light") and not source.catalogue.left_out
    videos = source.catalogue.videos
    sides = sorted(v.splits.get("1", "") for v in videos)
    assert sides == ["", "test", "test", "train", "train", "train", "val"]
    assert all(v.ungrouped for v in videos)
    assert _frames(source) == _expected(*(clip for rows in examples.values() for _, clip in rows))
    for listed in videos:
        assert listed.path == tmp_path / "videos" / listed.class_name / f"{listed.id}.mkv"
        frames = next(iter(video.read_frames(listed.path)))
        assert (frames.min() >= 128) == (listed.class_name == "Light")
    assert set(_times(tmp_path / "videos")) == {v.path for v in videos}  # one file a clip


def test_files_with_the_same_frames_are_kept(tmp_path, capsys):
    name = _make(tmp_path / "tfds", _examples({"train": 3}))
    source = _load(name, tmp_path)
    written = _times(tmp_path / "videos")
    kept, *others = written
    for path in others:
        path.unlink()
    assert _load(name, tmp_path) == source
    now = _times(tmp_path / "videos")
    assert now[kept] == written[kept] and set(now) == set(written)
    assert "written again" not in capsys.readouterr().out


def test_files_with_other_frames_are_replaced(tmp_path, capsys):
    ours, others = ([(0, _clip(0, number)), (0, _clip(0, 9))] for number in (0, 1))
    others[0] = 0, np.flip(ours[0][1])  # as many frames, of the same size
    _load(_make(tmp_path / "tfds", {"train": others}, "OtherActions"), tmp_path)
    name = _make(tmp_path / "tfds", {"train": ours})
    written = _times(tmp_path / "videos")
    source = _load(name, tmp_path)
    assert _frames(source) == _expected(*(clip for _, clip in ours))
    kept = [p for p, time in _times(tmp_path / "videos").items() if time == written[p]]
    assert len(kept) == 1
    assert f"had 1 files with other frames than {name[5:]}: written" in capsys.readouterr().out


def test_files_of_more_or_fewer_frames_or_cut_off_are_replaced(tmp_path, capsys):
    clip = _clip(0, 6)
    name = _make(tmp_path / "tfds", {"train": [(0, clip)]})
    source = _load(name, tmp_path)
    path = source.catalogue.videos[0].path
    whole = path.read_bytes()
    for frames in (clip[:-1], np.concatenate([clip, clip[:1]])):
        video.write_lossless(path, frames)
        assert _frames(_load(name, tmp_path)) == _expected(clip)
    for data in (b"", whole[: len(whole) // 2]):
        path.write_bytes(data)
        assert _frames(_load(name, tmp_path)) == _expected(clip)
    assert capsys.readouterr().out.count("written again") == 4


def test_what_killed_processes_left_goes(tmp_path):
    name = _make(tmp_path / "tfds", _examples({"train": 2}))
    left = partial_path(tmp_path / "videos" / "Dark" / "train-000000.mkv")
    left = left.with_name(left.name.replace(f"-{os.getpid()}-", "-9999999-"))
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    _load(name, tmp_path)
    assert not left.exists()


def test_videos_without_a_label_or_a_frame_are_left_out(tmp_path):
    examples = {
        "train": [(0, _clip(0, 0)), (1, _clip(1, 1)), (1, _clip(1, 2)[:0])],
        "test": [(-1, _clip(-1, 3)), (-1, _clip(-1, 4))],
    }
    catalogue = _load(_make(tmp_path / "tfds", examples), tmp_path).catalogue
    assert sorted(v.class_name for v in catalogue.videos) == ["Dark", "Light"]
    labels, frames = catalogue.left_out
    assert labels == "left out: 2 videos without a label (test-000000)"
    assert frames.startswith("left out: 1 videos without a frame (train-00000")
    assert len(_times(tmp_path / "videos")) == 2
    name = _make(tmp_path / "unlabelled", {"test": examples["test"]})
    with pytest.raises(
        UserError, match=r"no video of a class \(left out: 2 videos without a label"
    ):
        _load(name, tmp_path)


def test_any_name_of_a_class_is_a_folder_inside(tmp_path):
    import tensorflow_datasets as tfds

    names = ["/tmp", "Sit/Stand", "geht, läuft"]
    clips = [(label, _clip(0, label)) for label in range(3)]
    label = tfds.features.ClassLabel(names=names)
    source = _load(_make(tmp_path / "tfds", {"train": clips}, label=label), tmp_path)
    assert source.catalogue.classes == tuple(names)
    folders = {v.class_name: v.path.parent.name for v in source.catalogue.videos}
    assert folders == dict(zip(names, ["_tmp", "Sit_Stand", "geht, läuft"], strict=True))
    assert all(v.path.parents[1] == tmp_path / "videos" for v in source.catalogue.videos)


def test_the_folder_of_a_set_may_be_under_the_home_folder(tmp_path, monkeypatch):
    _make(tmp_path / "tfds", _examples({"train": 2}))
    monkeypatch.setenv("HOME", str(tmp_path))
    source = _load("tfds:~/tfds/tiny_actions/1.0.0", tmp_path)
    assert len(source.catalogue.videos) == 2


def test_gray_videos(tmp_path):
    import tensorflow_datasets as tfds

    clip = _clip(0, 0, channels=1)
    gray = tfds.features.Video(shape=(None, 17, 23, 1))
    source = _load(_make(tmp_path / "tfds", {"train": [(0, clip)]}, video=gray), tmp_path)
    assert _frames(source) == _expected(np.repeat(clip, 3, axis=3))
    written = _times(tmp_path / "videos")
    _load(f"tfds:{tmp_path}/tfds/tiny_actions/1.0.0", tmp_path)
    assert _times(tmp_path / "videos") == written


def test_other_features_are_refused(tmp_path):
    import tensorflow_datasets as tfds

    deep = tfds.features.Video(shape=(None, 17, 23, 3), dtype=np.uint16)
    name = _make(tmp_path / "deep", {"train": [(0, _clip(0, 0).astype(np.uint16))]}, video=deep)
    with pytest.raises(UserError, match="3 channels of uint16: 1 or 3 of uint8 are needed"):
        _load(name, tmp_path)
    number = tfds.features.Scalar(np.int64)
    name = _make(tmp_path / "number", {"train": [(0, _clip(0, 0))]}, label=number)
    with pytest.raises(UserError, match="has features label, video: one video and one class"):
        _load(name, tmp_path)


def test_a_set_that_is_unknown_or_damaged(tmp_path):
    with pytest.raises(UserError, match="tensorflow_datasets cannot prepare no_such_set"):
        _load("tfds:no_such_set", tmp_path)
    name = _make(tmp_path / "tfds", _examples({"train": 2}))
    (records,) = (tmp_path / "tfds").rglob("*.tfrecord-*")
    records.write_bytes(records.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cannot read train of .*: .* make it again"):
        _load(name, tmp_path)
