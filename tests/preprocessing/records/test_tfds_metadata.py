"""The metadata for TensorFlow Datasets, as TensorFlow Datasets reads them."""

import dataclasses
import shutil

import pytest
import tensorflow_datasets as tfds

from preprocessing import records
from preprocessing.records import grid, tfds_metadata


@pytest.fixture
def record_set(tiny_records, tmp_path):
    """The shards of a record set, without any metadata of TensorFlow Datasets."""
    for path in tiny_records.shard_paths:
        shutil.copy(path, tmp_path / path.name)
    return dataclasses.replace(tiny_records, folder=tmp_path)


def test_tensorflow_datasets_finds_every_image_of_every_video(record_set):
    tfds_metadata.write(record_set)
    builder = tfds.builder_from_directory(record_set.folder)
    assert list(builder.info.splits) == [records.SPLIT_NAME]
    assert builder.info.features["label"].names == ["Left", "Right", "Still"]
    encoded = {name: tfds.decode.SkipDecoding() for name in ("frames", "flow")}
    examples = list(builder.as_dataset("videos", decoders=encoded, shuffle_files=False))
    split = builder.info.splits["videos"]
    assert len(examples) == split.num_examples == 24 and split.shard_lengths == [24]
    assert split.num_bytes == sum(path.stat().st_size for path in record_set.shard_paths)
    (decoded,) = builder.as_dataset("videos", shuffle_files=False).take(1)
    count = record_set.videos[0].num_frames
    assert decoded["frames"].shape == (count, 32, 32, 3)
    assert decoded["flow"].shape == (count - 1, 64, 32, 1)
    for video, example in zip(record_set.videos, examples, strict=True):
        assert example["video_id"].numpy().decode() == video.id
        assert example["label"].numpy() == video.label
        stored = records.read_video(record_set, video)
        assert list(example["frames"].numpy()) == stored["frames"]
        assert list(example["flow"].numpy()) == stored["flow"]


def test_of_a_grid_the_numbers_are_read_too(grid_records):
    builder = tfds.builder_from_directory(grid_records.folder)  # as prepared
    for video, one in zip(
        grid_records.videos, builder.as_dataset("videos", shuffle_files=False), strict=True
    ):
        frames, fields = grid.stored(video.num_frames, 3, 2)
        assert one["frame_numbers"].numpy().tolist() == frames.tolist()
        assert one["field_numbers"].numpy().tolist() == fields.tolist()
        assert one["frames"].shape == (3, 32, 32, 3) and len(one["flow"]) == len(fields)


def test_class_names_that_tensorflow_datasets_cannot_keep_are_changed_and_stay_apart():
    names = tfds_metadata.label_names(["Bow", "a\nb", "", "Jump", "Jump", " "])
    assert names[0] == "Bow" and names[3:5] == ["Jump (label 3)", "Jump (label 4)"]
    assert all("\n" not in name and name.strip() for name in names)
    assert len(set(names)) == 6
    assert tfds.features.ClassLabel(names=names).num_classes == 6
