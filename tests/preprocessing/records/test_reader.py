"""Records in memory and on this machine's disk hold what the original holds."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import records
from preprocessing.errors import UserError
from preprocessing.records import reader as cache
from stfnet import ClipConfig, input_pipeline, plans
from stfnet.config import TrainingConfig

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


@pytest.fixture
def clips(tiny_records):
    """Function that reads one epoch's training clips from a record set."""
    positions = np.arange(len(tiny_records.videos))
    settings = TrainingConfig(batch_size=4, tau_range=(1, 3))
    plan = plans.plan_training(tiny_records, positions, CLIP, settings, 0, 0)

    def read(record_set, reader=None):
        batches = input_pipeline.clip_dataset(record_set, plan, CLIP, 4, reader=reader)
        return [{name: value.numpy() for name, value in batch.items()} for batch in batches]

    return read


def _assert_equal(found, expected):
    assert len(found) == len(expected) == 6
    for ours, theirs in zip(found, expected, strict=True):
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])


def test_clips_from_memory_are_those_of_the_shards(tiny_records, clips):
    held = cache.RecordReader(tiny_records, range(len(tiny_records.videos)))
    _assert_equal(clips(tiny_records, held), clips(tiny_records))


def test_chosen_images_are_those_that_tensorflow_parses(tiny_records):
    reader = cache.RecordReader(tiny_records)
    video = tiny_records.videos[7]
    path = str(tiny_records.shard_paths[video.shard])
    (record,) = tf.data.Dataset.from_tensors((path, video.offset)).flat_map(records.example_at)
    parsed = records.parse_example(record)
    frames, fields = np.array([[0, 3, 3]]), np.array([[[0, 1], [5, 2], [6, 6]]])

    def decoded(name, k, channels):
        return tf.io.decode_jpeg(parsed[name][k], channels, dct_method="INTEGER_ACCURATE").numpy()

    color = [decoded("frames", k, 3) for k in frames.ravel()]
    gray = [decoded("flow", k, 1) for k in fields.ravel()]
    for _ in range(2):  # with the checksum, then without
        rgb, planes = reader.clips([7], frames, fields)
        assert (rgb.shape, planes.shape) == ((1, 3, 32, 32, 3), (1, 3, 2, 2, 32, 32))
        np.testing.assert_array_equal(rgb[0], color)
        np.testing.assert_array_equal(planes.reshape(6, 64, 32, 1), gray)


def test_a_copy_on_disk_is_whole_shared_and_deleted_by_its_last_reader(
    tiny_records, clips, tmp_path
):
    strangers = [tmp_path / f"{name}-0123456789abcdef" for name in ("not-ours", "records-4321")]
    for stranger in strangers:  # the second is another user's
        stranger.mkdir()
    lock = tmp_path / f".{strangers[1].name}.lock"
    lock.touch()
    with cache.copied_to_disk(tiny_records, tmp_path) as copied:
        assert copied.folder.parent == tmp_path
        _assert_equal(clips(copied), clips(tiny_records))
        assert records.load_record_set(copied.folder).videos == tiny_records.videos
        written = [path.stat().st_mtime_ns for path in copied.shard_paths]
        with cache.copied_to_disk(tiny_records, tmp_path) as again:
            assert [path.stat().st_mtime_ns for path in again.shard_paths] == written
        assert all(path.is_file() for path in copied.shard_paths)
    assert sorted(tmp_path.iterdir()) == [lock, *strangers]


def test_what_a_killed_run_copied_is_completed_or_deleted_by_the_next(tiny_records, tmp_path):
    with cache.copied_to_disk(tiny_records, tmp_path / "a") as copied:
        name = copied.folder.name
    for left in (name, f"other-{os.getuid()}-{name[-16:]}"):
        (tmp_path / "b" / left).mkdir(parents=True)
        (tmp_path / "b" / f".{left}.lock").touch()
        (tmp_path / "b" / left / copied.shard_paths[0].name).write_bytes(b"half")
    with cache.copied_to_disk(tiny_records, tmp_path / "b") as copied:
        assert copied.shard_paths[0].read_bytes() == tiny_records.shard_paths[0].read_bytes()
        assert {path.name for path in (tmp_path / "b").iterdir()} == {name, f".{name}.lock"}


def test_users_of_one_machine_have_copies_of_their_own(tiny_records, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for user in (1000, 1001):
        monkeypatch.setattr("os.getuid", lambda user=user: user)
        with cache.copied_to_disk(tiny_records) as copied:
            assert copied.folder.parent == tmp_path / f"stfnet-records-{user}"


def test_a_full_disk_is_told_before_copying(tiny_records, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with (
        pytest.raises(UserError, match=r"--cache=disk: .* name another folder with --cache_dir"),
        cache.copied_to_disk(tiny_records, tmp_path),
    ):
        pass
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_a_damaged_record_is_named(tiny_records, tmp_path):
    folder = tmp_path / "records"
    shutil.copytree(tiny_records.folder, folder)
    record_set = records.load_record_set(folder)
    video = record_set.videos[2]
    path = record_set.shard_paths[video.shard]
    damaged = bytearray(path.read_bytes())
    damaged[video.offset + video.length // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=rf"record of {video.id} is damaged .*--verify"):
        cache.RecordReader(record_set, [2])
    with pytest.raises(ValueError, match=rf"record of {video.id} is damaged"):
        cache.RecordReader(record_set).clips([2], np.array([[0]]), np.array([[[0]]]))
    cache.RecordReader(record_set, [1, 3])
    plan = plans.plan_evaluation(record_set, np.arange(4), CLIP, 1)
    with (
        pytest.raises(UserError, match=rf"record of {video.id} is damaged .* make anew$"),
        cache.naming_damaged_records(),
    ):
        list(input_pipeline.clip_dataset(record_set, plan, CLIP, 1))
