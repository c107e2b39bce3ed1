"""The part of one video: its record, its facts, and the states in which a stop can leave them."""

import dataclasses
import hashlib
import json
import pickle
import subprocess

import pytest
import tensorflow as tf

from preprocessing.datasets import class_folders
from preprocessing.datasets.catalogue import Video
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, tasks
from preprocessing.preparation.parts import Preparation
from preprocessing.worker_pool import Failure

SETTINGS = conversion.Settings(image_size=16)


@pytest.fixture
def task(videos, tmp_path):
    """The work on the clip of four frames."""
    preparation = Preparation(class_folders.load(videos), tmp_path / "records", SETTINGS)
    ids = [video.id for video in preparation.videos]
    one = preparation.task(ids.index("v_Left_g02_c01"))
    one.record_path.parent.mkdir(parents=True)
    return one


def test_a_part_is_a_record_that_tensorflow_reads_and_its_facts(task, tmp_path):
    pairs = []
    part = tasks.make_part(task, pairs.append)
    path = tmp_path / "records" / "parts" / f"{task.number:06d}.tfrecord"
    (record,) = tf.data.TFRecordDataset(str(path))
    example = tf.train.Example.FromString(record.numpy()).features.feature
    assert example["video_id"].bytes_list.value == [b"v_Left_g02_c01"]
    assert example["fps"].float_list.value == [25.0]
    assert len(example["frames"].bytes_list.value) == 4
    assert len(example["flow"].bytes_list.value) == 3 and sum(pairs) >= 3
    assert part.length == path.stat().st_size and part.facts.num_frames == 4
    assert part.record_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert part.source_sha256 == hashlib.sha256(task.video.path.read_bytes()).hexdigest()
    assert json.loads(path.with_suffix(".json").read_text()) == {
        "facts": {
            **{"num_frames": 4, "mean_motion": part.facts.mean_motion, "fps": 25.0},
            **{"note": "", "doubt": ""},
        },
        "length": part.length,
        "record_sha256": part.record_sha256,
        "source_sha256": part.source_sha256,
    }
    assert task.load() == part


def test_a_part_is_done_with_its_record_or_its_shard_and_not_with_half_of_it(task):
    assert task.load() is None
    part = tasks.make_part(task)
    record = task.record_path.read_bytes()
    task.record_path.write_bytes(record[:-1])
    assert task.load() is None
    task.record_path.unlink()
    assert task.load() is None
    (task.folder / task.shard).write_bytes(record)
    assert task.load() == part


def test_facts_of_a_newer_version_are_read_without_what_is_unknown(task):
    part = tasks.make_part(task)
    values = json.loads(task.facts_path.read_text())
    values["facts"]["sharpness"] = values["license"] = 1
    task.facts_path.write_text(json.dumps(values))
    assert task.load() == part


def test_damaged_facts_are_no_part_until_the_shard_is_there(task):
    tasks.make_part(task)
    task.facts_path.write_text('{"facts": {"num_frames": -1, "mean_motion": 0}, "length": 1}')
    assert task.load() is None
    (task.folder / task.shard).write_bytes(b"")
    with pytest.raises(UserError, match=r"\.json is damaged \(.*its record lies in .*already"):
        task.load()


def test_a_failure_is_left_for_a_runner_elsewhere(task):
    assert task.load_failure() is None
    failure = Failure("truncated", "it ends after 3 frames")
    task.write_failure(failure)
    assert task.load_failure() == failure and task.load() is None
    task.failure_path.write_text("{")
    assert task.load_failure() is None


def test_what_a_worker_gets_does_not_grow_with_the_number_of_videos(tmp_path):
    sizes = {}
    for count in (2, 50):
        folder = tmp_path / f"{count:02d}"
        for number in range(count):
            path = folder / "Left" / f"{number:03d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        preparation = Preparation(class_folders.load(folder), folder / "records", SETTINGS)
        sizes[count] = len(pickle.dumps(preparation.task(1)))
    assert sizes[2] == sizes[50] < 2000


def test_the_digest_of_a_source_covers_the_flow_that_was_read(dense_flow):
    folder = dense_flow / "jump/a"
    video = Video("a", folder, 0, "jump", "jump/a", {}, flow=(folder, folder))
    computed = conversion.Settings()
    given = dataclasses.replace(computed, flow_method="given")
    names = [
        f"{kind}_{k:05d}.png"
        for kind, n in (("img", 4), ("flow_x", 3), ("flow_y", 3))
        for k in range(1, n + 1)
    ]
    for settings, some in ((computed, names[:4]), (given, names)):
        shell = f"cd {folder} && sha256sum {' '.join(some)} | sha256sum"
        done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=True)
        assert tasks.source_sha256(video, settings) == done.stdout.split()[0]
    before = tasks.source_sha256(video, given)
    (folder / "flow_x_00001.png").write_bytes((folder / "flow_y_00001.png").read_bytes())
    assert tasks.source_sha256(video, given) != before
