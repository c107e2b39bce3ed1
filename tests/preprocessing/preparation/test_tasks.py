"""One video to its record, and records to a shard: their files, and what a stop leaves of them."""

import dataclasses
import hashlib
import pickle
import subprocess

import pytest
import tensorflow as tf

from preprocessing.datasets import class_folders
from preprocessing.datasets.catalogue import Video
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, tasks
from preprocessing.records.record_set import read_bytes
from preprocessing.video import VideoError

SETTINGS = conversion.Settings(image_size=16)


def _silent(amount):
    pass


@pytest.fixture
def convert(videos, tmp_path):
    """Function of a video's id that converts it."""
    folder = tmp_path / "records"
    (folder / tasks.PARTS_FOLDER).mkdir(parents=True)
    by_id = {video.id: video for video in class_folders.load(videos).videos}

    def run(video_id, report=_silent):
        return tasks.Convert(by_id[video_id], SETTINGS, folder)(report)

    return run


def test_a_part_is_a_record_that_tensorflow_reads_and_its_facts(convert, videos, tmp_path):
    pairs = []
    kept = convert("v_Left_g02_c01", pairs.append)
    data = read_bytes(kept.file, 0, kept.length)
    (tmp_path / "one").write_bytes(data)
    (record,) = tf.data.TFRecordDataset(str(tmp_path / "one"))
    example = tf.train.Example.FromString(record.numpy()).features.feature
    assert example["video_id"].bytes_list.value == [b"v_Left_g02_c01"]
    assert example["fps"].float_list.value == [25.0]
    assert len(example["frames"].bytes_list.value) == 4
    assert len(example["flow"].bytes_list.value) == 3 and sum(pairs) >= 3
    assert kept.record_sha256 == hashlib.sha256(data).hexdigest()
    path = videos / "Left" / "v_Left_g02_c01.mp4"
    assert kept.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert kept.stamp == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (kept.label, kept.offset, kept.facts.num_frames) == (0, 0, 4)
    assert tasks.read_part(kept.file) == kept


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[1:],
        lambda content: content[:4],
        lambda content: b"",
        lambda content: content.replace(b'"label": 0', b'"label":-1'),
    ],
)
def test_a_damaged_part_is_none(convert, damage):
    kept = convert("v_Left_g02_c01")
    kept.file.write_bytes(damage(kept.file.read_bytes()))
    with pytest.raises(ValueError):
        tasks.read_part(kept.file)


def test_a_video_that_changes_while_it_is_read_is_no_part(convert, videos, tmp_path):
    path = videos / "Left" / "v_Left_g02_c01.mp4"

    whole = path.read_bytes()

    def copying(amount):
        path.write_bytes(whole + b"\0")

    with pytest.raises(VideoError, match=r"v_Left_g02_c01.mp4 changed while it was read: run the"):
        convert("v_Left_g02_c01", copying)
    assert not list((tmp_path / "records" / "parts").iterdir())


def test_parts_become_a_shard_and_its_facts_and_go(convert, tmp_path):
    some = [convert(f"v_Left_g0{k}_c01") for k in range(3)]
    contents = [read_bytes(kept.file, 0, kept.length) for kept in some]
    row = {"id": "cut", "path": "cut.mp4", "outcome": "truncated", "reason": "cut.mp4 is cut off"}
    rows = tuple((kept.id, kept.label, kept) for kept in some)
    join = tasks.Join(tmp_path / "records", rows, (row,))
    join(_silent)
    assert join.path.read_bytes() == b"".join(contents)
    kept, failures = tasks.read_shard(join.path.with_suffix(tasks.FACTS))
    assert failures == [row] and [one.id for one in kept] == [one.id for one in some]
    for one, before, content in zip(kept, some, contents, strict=True):
        assert read_bytes(one.file, one.offset, one.length) == content
        assert one == dataclasses.replace(before, file=one.file, offset=one.offset)
    assert sorted(path.suffix for path in join.path.parent.iterdir()) == [".json", ".tfrecord"]
    join.path.write_bytes(contents[0])
    with pytest.raises(ValueError, match="cut off"):
        tasks.read_shard(join.path.with_suffix(tasks.FACTS))


def test_a_record_that_was_damaged_on_the_disk_is_not_joined(convert, tmp_path):
    kept = convert("v_Left_g02_c01")
    content = bytearray(kept.file.read_bytes())
    content[kept.length // 2] ^= 1
    kept.file.write_bytes(content)
    join = tasks.Join(tmp_path / "records", ((kept.id, kept.label, kept),), ())
    with pytest.raises(UserError, match=r"the record of v_Left_g02_c01 is damaged: delete this"):
        join(_silent)
    assert not join.path.exists() and kept.file.exists()


def test_what_a_worker_gets_does_not_grow_with_the_number_of_videos(tmp_path):
    sizes = {}
    for count in (2, 50):
        folder = tmp_path / f"{count:02d}"
        for number in range(count):
            path = folder / "Left" / f"{number:03d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        video = class_folders.load(folder).videos[1]
        sizes[count] = len(pickle.dumps(tasks.Convert(video, SETTINGS, folder)))
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
    before = tasks.source_sha256(video, given), tasks.stamp_of(video, given)
    (folder / "flow_x_00001.png").write_bytes((folder / "flow_y_00001.png").read_bytes())
    after = tasks.source_sha256(video, given), tasks.stamp_of(video, given)
    assert before[0] != after[0] and before[1] != after[1]
