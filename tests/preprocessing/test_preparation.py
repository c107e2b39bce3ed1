import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from preprocessing import conversion, files, parts, preparation, records
from preprocessing.datasets import folder as class_folders
from preprocessing.errors import UserError

SETTINGS = conversion.Settings(image_size=16)
CLIP = {"num_frames": 17, "flow_length": 4}


@pytest.fixture
def videos(tmp_path, write_video):
    """Two classes of three and two videos, 2 to 6 frames long."""
    folder = tmp_path / "actions"
    for index in range(3):
        write_video(folder / "Left" / f"v_Left_g{index:02d}_c01.mp4", 2 + index, seed=index)
    for index in range(2):
        path = folder / "Right" / f"v_Right_g{index:02d}_c01.avi"
        write_video(path, 5 + index, fourcc="MJPG", seed=9 + index)
    return folder


def _prepare(videos, output, settings=SETTINGS, workers=1, **clip):
    catalogue = class_folders.load(videos)
    run = preparation.local_runner(workers, time_limit=60)
    return preparation.prepare(catalogue, output, settings, CLIP | clip, run)


def _files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_records_hold_every_video_where_the_metadata_say(videos, tmp_path):
    prepared = _prepare(videos, tmp_path / "records", workers=2)
    metadata = records.load_metadata(tmp_path / "records")
    assert prepared.metadata == metadata
    assert prepared.failures == () and prepared.converted == 5
    assert not (tmp_path / "records" / "parts").exists()
    assert metadata.classes == ("Left", "Right") and metadata.name == "actions"
    assert metadata.counts == {"videos": 5, "classes": 2, "frames": 20, "failed": 0, "shards": 1}
    lengths = {video.id: video.num_frames for video in metadata.videos}
    assert lengths == {
        "v_Left_g00_c01": 2,
        "v_Left_g01_c01": 3,
        "v_Left_g02_c01": 4,
        "v_Right_g00_c01": 5,
        "v_Right_g01_c01": 6,
    }
    for video in metadata.videos:
        where = [str(metadata.shard_paths[video.shard])], tf.constant([video.offset], tf.int64)
        (record,) = tf.data.Dataset.from_tensor_slices(where).flat_map(records.example_at)
        parsed = records.parse_example(record)
        assert parsed["video_id"].numpy().decode() == video.id
        assert parsed["label"].numpy() == video.label == metadata.classes.index(video.class_name)
        assert len(parsed["frames"]) == video.num_frames
        assert len(parsed["flow"]) == video.num_frames - 1
        assert video.group == f"{video.class_name}/{video.id.split('_')[2]}"


def test_tensorflow_datasets_loads_the_records(videos, tmp_path):
    import tensorflow_datasets as tfds

    _prepare(videos, tmp_path / "records")
    builder = tfds.builder_from_directory(tmp_path / "records")
    assert builder.info.features["label"].names == ["Left", "Right"]
    assert builder.info.splits["videos"].num_examples == 5
    seen = {}
    for example in builder.as_dataset(split="all"):
        frames, flow = example["frames"], example["flow"]
        assert frames.shape[1:] == (16, 16, 3) and frames.dtype == tf.uint8
        assert flow.shape[1:] == (32, 16, 1)
        assert len(frames) == len(flow) + 1
        seen[example["video_id"].numpy().decode()] = len(frames)
    assert seen["v_Left_g02_c01"] == 4 and len(seen) == 5


def test_videos_that_fail_are_listed_and_the_rest_goes_on(videos, tmp_path, write_video):
    (videos / "Left" / "v_Left_g07_c01.mp4").write_bytes(b"no video at all")
    (videos / "Left" / "v_Left_g08_c01.mp4").write_bytes(b"")
    write_video(videos / "Left" / "v_Left_g09_c01.avi", 1, fourcc="MJPG")
    prepared = _prepare(videos, tmp_path / "records")
    assert prepared.metadata.counts["videos"] == 5 and prepared.metadata.counts["failed"] == 3
    lines = (tmp_path / "records" / "failures.jsonl").read_text().splitlines()
    listed = {row["id"]: row for row in map(json.loads, lines)}
    assert {name: row["outcome"] for name, row in listed.items()} == {
        "v_Left_g07_c01": "not_video",
        "v_Left_g08_c01": "zero_bytes",
        "v_Left_g09_c01": "too_short",
    }
    assert all(row["path"] in row["reason"] for row in listed.values())
    before = _files(tmp_path / "records")

    # The same again tries them again, and changes nothing.
    again = _prepare(videos, tmp_path / "records")
    assert again.converted == 0 and again.failures == prepared.failures
    assert _files(tmp_path / "records") == before

    # Mended, they join the set, which then is as if they had never failed.
    write_video(videos / "Left" / "v_Left_g07_c01.mp4", 3, seed=5)
    (videos / "Left" / "v_Left_g08_c01.mp4").unlink()
    (videos / "Left" / "v_Left_g09_c01.avi").unlink()
    write_video(videos / "Left" / "v_Left_g08_c01.mp4", 3, seed=6)
    write_video(videos / "Left" / "v_Left_g09_c01.mp4", 3, seed=7)
    mended = _prepare(videos, tmp_path / "records")
    assert mended.converted == 3 and mended.failures == ()
    _prepare(videos, tmp_path / "fresh")
    assert _files(tmp_path / "records") == _files(tmp_path / "fresh")


def _notes(folder):
    path = folder / "notes.jsonl"
    return list(map(json.loads, path.read_text().splitlines())) if path.is_file() else None


@pytest.fixture
def trimmed(videos, write_container, copy_stream):
    """A third video of class Right, which stores 18 frames and shows 10."""
    whole = write_container(videos.parent, "faststart.mp4")
    return copy_stream(whole, videos / "Right" / "v_Right_g08_c01.mov", start=20 / 25)


def test_a_doubtful_video_is_in_the_records_and_in_a_list(videos, trimmed, tmp_path):
    prepared = _prepare(videos, tmp_path / "records")
    (one,) = (v for v in prepared.metadata.videos if v.id == "v_Right_g08_c01")
    assert one.num_frames == 10 and prepared.failures == ()
    (row,) = prepared.notes
    assert (row["id"], row["path"], row["outcome"]) == (one.id, str(trimmed), "fewer_frames")
    assert "declares 18 frames and shows 10" in row["reason"]
    assert _notes(tmp_path / "records") == [row]
    assert _prepare(videos, tmp_path / "records").notes == (row,)  # finished before


def test_a_video_that_joins_later_leaves_the_notes_of_the_others(videos, trimmed, tmp_path):
    good = (videos / "Left" / "v_Left_g00_c01.mp4").read_bytes()
    (videos / "Left" / "v_Left_g00_c01.mp4").write_bytes(b"no video at all")
    before = _prepare(videos, tmp_path / "records")
    (videos / "Left" / "v_Left_g00_c01.mp4").write_bytes(good)
    after = _prepare(videos, tmp_path / "records")
    assert after.converted == 1 and len(after.notes) == 1 and after.notes == before.notes
    _prepare(videos, tmp_path / "fresh")
    assert _files(tmp_path / "records") == _files(tmp_path / "fresh")


def test_no_usable_video_is_an_error_and_no_set(tmp_path):
    (tmp_path / "actions" / "Left").mkdir(parents=True)
    (tmp_path / "actions" / "Left" / "a.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match="none of the 1 videos could be used"):
        _prepare(tmp_path / "actions", tmp_path / "records")
    assert not (tmp_path / "records" / "metadata.json").exists()


def test_another_clip_configuration_rewrites_the_metadata_alone(videos, tmp_path):
    _prepare(videos, tmp_path / "records")
    before = _files(tmp_path / "records")
    shards = [path for path in (tmp_path / "records").iterdir() if "tfrecord" in path.name]
    times = [path.stat().st_mtime_ns for path in shards]
    again = _prepare(videos, tmp_path / "records", num_frames=9)
    assert again.converted == 0
    assert records.load_metadata(tmp_path / "records").clip["num_frames"] == 9
    assert [path.stat().st_mtime_ns for path in shards] == times
    _prepare(videos, tmp_path / "records")
    assert _files(tmp_path / "records") == before


def test_other_settings_or_videos_are_refused_with_both_values(videos, tmp_path, write_video):
    _prepare(videos, tmp_path / "records")
    larger = dataclasses.replace(SETTINGS, image_size=32)
    with pytest.raises(UserError, match="prepared with image_size=16, now image_size=32 is asked"):
        _prepare(videos, tmp_path / "records", larger)
    write_video(videos / "Left" / "v_Left_g30_c01.mp4")
    with pytest.raises(UserError, match=r"5 videos of actions, now it has 6 .*v_Left_g30_c01"):
        _prepare(videos, tmp_path / "records")
    shutil.copytree(videos, tmp_path / "others")
    with pytest.raises(UserError, match="prepared from actions, now others is asked"):
        _prepare(tmp_path / "others", tmp_path / "records")


def test_two_preparations_of_one_folder_do_not_mix(videos, tmp_path):
    (tmp_path / "records").mkdir()
    with (
        files.locked(tmp_path / "records", "preparation"),
        pytest.raises(UserError, match="another preparation is writing"),
    ):
        _prepare(videos, tmp_path / "records")


def test_shards_take_their_share_of_the_videos(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_VIDEOS_PER_SHARD", 2)
    metadata = _prepare(videos, tmp_path / "records").metadata
    assert [path.name for path in metadata.shard_paths] == [
        f"stfnet-videos.tfrecord-{index:05d}-of-00003" for index in range(3)
    ]
    assert [video.shard for video in metadata.videos] == [0, 0, 1, 1, 2]
    shards = [str(path) for path in metadata.shard_paths]
    ids = [
        records.parse_example(record)["video_id"].numpy().decode()
        for record in tf.data.TFRecordDataset(shards)
    ]
    assert ids == [video.id for video in metadata.videos]


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path, write_video):
    videos = tmp_path / "actions"
    for index in range(24):
        path = videos / f"Class{index % 3}" / f"v_Class{index % 3}_g{index:02d}_c01.mp4"
        write_video(path, 8, seed=index)
    (videos / "Class0" / "v_Class0_g90_c01.mp4").write_bytes(b"cut")
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from preprocessing import conversion, parts, preparation\n"
        "from preprocessing.datasets import folder\n"
        "if __name__ == '__main__':\n"
        "    parts._VIDEOS_PER_SHARD = 5\n"
        "    print('begun', flush=True)\n"
        "    preparation.prepare(folder.load(sys.argv[1]), sys.argv[2],\n"
        "        conversion.Settings(image_size=16), {'num_frames': 17, 'flow_length': 4},\n"
        "        preparation.local_runner(2, 60))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def start(output):
        command = [sys.executable, program, videos, output]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        process.stdout.readline()
        return process

    begun = time.monotonic()
    with start(tmp_path / "undisturbed") as process:
        assert process.wait() == 0
    whole = time.monotonic() - begun

    generator = random.Random(0)
    kills, longest = 0, 0.6 * whole
    while True:
        with start(tmp_path / "killed") as process:
            try:
                # Later kills come later, so that the last stages are hit as well.
                status = process.wait(generator.uniform(0.1, longest * (1 + kills / 12)))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
                continue
        assert status == 0
        if kills >= 10:
            break
        shutil.rmtree(tmp_path / "killed")  # came through too soon: from the start again
    assert _files(tmp_path / "killed") == _files(tmp_path / "undisturbed")
    assert not (tmp_path / "killed" / "parts").exists()
    assert len(records.load_metadata(tmp_path / "killed").videos) == 24
