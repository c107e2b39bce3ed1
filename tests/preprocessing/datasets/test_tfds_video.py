import os

import numpy as np
import pytest

from preprocessing import video
from preprocessing.errors import UserError
from preprocessing.files import partial_path

NAMES = ["Dark", "Light"]


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


def test_a_tfds_video_data_set(tmp_path, load_source):
    examples = _examples({"train": 3, "test": 2, "validation": 1, "extra": 1})
    name = _make(tmp_path / "tfds", examples)
    source = load_source(name)
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


def test_files_with_the_same_frames_are_kept(tmp_path, capsys, load_source):
    name = _make(tmp_path / "tfds", _examples({"train": 3}))
    source = load_source(name)
    written = _times(tmp_path / "videos")
    kept, *others = written
    for path in others:
        path.unlink()
    assert load_source(name) == source
    now = _times(tmp_path / "videos")
    assert now[kept] == written[kept] and set(now) == set(written)
    assert "written again" not in capsys.readouterr().out


def test_files_with_other_frames_or_cut_off_are_replaced(tmp_path, capsys, load_source):
    clip, other = _clip(0, 6), _clip(0, 1)
    name = _make(tmp_path / "tfds", {"train": [(0, clip), (0, other)]})
    paths = [v.path for v in load_source(name).catalogue.videos]
    kept, path = sorted(paths, key=lambda path: path.stat().st_size)
    whole, written = path.read_bytes(), kept.stat().st_mtime_ns
    for frames in (clip[:-1], np.concatenate([clip, clip[:1]]), np.flip(clip)):
        video.write_lossless(path, frames)
        assert _frames(load_source(name)) == _expected(clip, other)
    for data in (b"", whole[: len(whole) // 2]):
        path.write_bytes(data)
        assert _frames(load_source(name)) == _expected(clip, other)
    assert kept.stat().st_mtime_ns == written
    assert f"had 1 files with other frames than {name[5:]}: wri" in (out := capsys.readouterr().out)
    assert out.count("written again") == 5


def test_what_killed_processes_left_goes(tmp_path, load_source):
    name = _make(tmp_path / "tfds", _examples({"train": 2}))
    left = partial_path(tmp_path / "videos" / "Dark" / "train-000000.mkv")
    left = left.with_name(left.name.replace(f"-{os.getpid()}-", "-9999999-"))
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    load_source(name)
    assert not left.exists()


def test_videos_without_a_label_or_a_frame_are_left_out(tmp_path, load_source):
    examples = {
        "train": [(0, _clip(0, 0)), (1, _clip(1, 1)), (1, _clip(1, 2)[:0])],
        "test": [(-1, _clip(-1, 3)), (-1, _clip(-1, 4))],
    }
    catalogue = load_source(_make(tmp_path / "tfds", examples)).catalogue
    assert sorted(v.class_name for v in catalogue.videos) == ["Dark", "Light"]
    labels, frames = catalogue.left_out
    assert labels == "left out: 2 videos without a label (test-000000)"
    assert frames.startswith("left out: 1 videos without a frame (train-00000")
    assert len(_times(tmp_path / "videos")) == 2
    name = _make(tmp_path / "unlabelled", {"test": examples["test"]})
    with pytest.raises(
        UserError, match=r"no video of a class \(left out: 2 videos without a label"
    ):
        load_source(name)


def test_any_name_of_a_class_is_a_folder_inside(tmp_path, load_source):
    import tensorflow_datasets as tfds

    names = ["/tmp", "Sit/Stand", "geht, läuft"]
    clips = [(label, _clip(0, label)) for label in range(3)]
    label = tfds.features.ClassLabel(names=names)
    source = load_source(_make(tmp_path / "tfds", {"train": clips}, label=label))
    assert source.catalogue.classes == tuple(names)
    folders = {v.class_name: v.path.parent.name for v in source.catalogue.videos}
    assert folders == dict(zip(names, ["_tmp", "Sit_Stand", "geht, läuft"], strict=True))
    assert all(v.path.parents[1] == tmp_path / "videos" for v in source.catalogue.videos)


def test_the_folder_of_a_set_may_be_under_the_home_folder(tmp_path, monkeypatch, load_source):
    _make(tmp_path / "tfds", _examples({"train": 2}))
    monkeypatch.setenv("HOME", str(tmp_path))
    source = load_source("tfds:~/tfds/tiny_actions/1.0.0")
    assert len(source.catalogue.videos) == 2


def test_gray_videos(tmp_path, load_source):
    import tensorflow_datasets as tfds

    clip = _clip(0, 0, channels=1)
    gray = tfds.features.Video(shape=(None, 17, 23, 1))
    source = load_source(_make(tmp_path / "tfds", {"train": [(0, clip)]}, video=gray))
    assert _frames(source) == _expected(np.repeat(clip, 3, axis=3))


def test_other_features_are_refused(tmp_path, load_source):
    import tensorflow_datasets as tfds

    deep = tfds.features.Video(shape=(None, 17, 23, 3), dtype=np.uint16)
    name = _make(tmp_path / "deep", {"train": [(0, _clip(0, 0).astype(np.uint16))]}, video=deep)
    with pytest.raises(UserError, match="3 channels of uint16: 1 or 3 of uint8 are needed"):
        load_source(name)
    number = tfds.features.Scalar(np.int64)
    name = _make(tmp_path / "number", {"train": [(0, _clip(0, 0))]}, label=number)
    with pytest.raises(UserError, match="has features label, video: one video and one class"):
        load_source(name)


def test_a_set_that_is_unknown_or_damaged(tmp_path, load_source):
    with pytest.raises(UserError, match="tensorflow_datasets cannot prepare no_such_set"):
        load_source("tfds:no_such_set")
    name = _make(tmp_path / "tfds", _examples({"train": 2}))
    (records,) = (tmp_path / "tfds").rglob("*.tfrecord-*")
    records.write_bytes(records.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"cannot read train of .*: .* make it again"):
        load_source(name)
