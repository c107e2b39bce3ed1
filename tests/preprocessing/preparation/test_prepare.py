import dataclasses
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from preprocessing import files, records
from preprocessing.datasets import class_folders as class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, parts, prepare

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
    run = prepare.local_runner(workers, time_limit=60)
    return prepare.prepare(catalogue, output, settings, CLIP | clip, run)


def _files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _features(serialized):
    return tf.train.Example.FromString(serialized).features.feature


def test_the_records_hold_every_video_where_the_metadata_say(videos, tmp_path):
    prepared = _prepare(videos, tmp_path / "records", workers=2)
    record_set = records.load_record_set(tmp_path / "records")
    assert prepared.record_set == record_set
    assert prepared.failures == () and prepared.converted == 5
    assert not (tmp_path / "records" / "parts").exists()
    assert record_set.classes == ("Left", "Right") and record_set.name == "actions"
    assert record_set.counts == {"videos": 5, "classes": 2, "frames": 20, "failed": 0, "shards": 1}
    lengths = {video.id: video.num_frames for video in record_set.videos}
    assert lengths == {
        "v_Left_g00_c01": 2,
        "v_Left_g01_c01": 3,
        "v_Left_g02_c01": 4,
        "v_Right_g00_c01": 5,
        "v_Right_g01_c01": 6,
    }
    for video in record_set.videos:
        record = records.read_bytes(record_set.shard_paths[video.shard], video.offset, video.length)
        feature = _features(record[12:-4])  # without the checksums
        assert feature["video_id"].bytes_list.value == [video.id.encode()]
        assert feature["label"].int64_list.value == [video.label]
        assert video.label == record_set.classes.index(video.class_name)
        assert len(feature["frames"].bytes_list.value) == video.num_frames
        assert len(feature["flow"].bytes_list.value) == video.num_frames - 1
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


def test_labels_of_tensorflow_datasets_fit_whatever_the_classes_are_called(tmp_path, write_video):
    import tensorflow_datasets as tfds

    classes = (" ", "$5", "walk\nrun", "walk run", "歩く")  # as sorted
    for name in classes:
        write_video(tmp_path / "actions" / name / f"of {name}.mp4", 2)
    record_set = _prepare(tmp_path / "actions", tmp_path / "records").record_set
    assert record_set.classes == classes
    labels = tfds.builder_from_directory(tmp_path / "records").info.features["label"].names
    assert labels == ["unnamed", "$5", "walk run (label 2)", "walk run (label 3)", "歩く"]


def test_videos_that_fail_are_listed_and_the_rest_goes_on(videos, tmp_path, write_video):
    (videos / "Left" / "v_Left_g07_c01.mp4").write_bytes(b"no video at all")
    (videos / "Left" / "v_Left_g08_c01.mp4").write_bytes(b"")
    write_video(videos / "Left" / "v_Left_g09_c01.avi", 1, fourcc="MJPG")
    prepared = _prepare(videos, tmp_path / "records")
    assert prepared.record_set.counts["videos"] == 5 and prepared.record_set.counts["failed"] == 3
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

    # Repaired, they join the set, which then is as if they had never failed.
    write_video(videos / "Left" / "v_Left_g07_c01.mp4", 3, seed=5)
    (videos / "Left" / "v_Left_g08_c01.mp4").unlink()
    (videos / "Left" / "v_Left_g09_c01.avi").unlink()
    write_video(videos / "Left" / "v_Left_g08_c01.mp4", 3, seed=6)
    write_video(videos / "Left" / "v_Left_g09_c01.mp4", 3, seed=7)
    repaired = _prepare(videos, tmp_path / "records")
    assert repaired.converted == 3 and repaired.failures == ()
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
    (one,) = (v for v in prepared.record_set.videos if v.id == "v_Right_g08_c01")
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
    assert records.load_record_set(tmp_path / "records").clip["num_frames"] == 9
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
    record_set = _prepare(videos, tmp_path / "records").record_set
    assert [path.name for path in record_set.shard_paths] == [
        f"stfnet-videos.tfrecord-{index:05d}-of-00003" for index in range(3)
    ]
    assert [video.shard for video in record_set.videos] == [0, 0, 1, 1, 2]
    shards = [str(path) for path in record_set.shard_paths]
    ids = [
        _features(record.numpy())["video_id"].bytes_list.value[0].decode()
        for record in tf.data.TFRecordDataset(shards)
    ]
    assert ids == [video.id for video in record_set.videos]


def test_the_digests_are_those_of_the_shards_and_of_the_videos(videos, tmp_path):
    record_set = _prepare(videos, tmp_path / "records").record_set
    (shard,) = (path.read_bytes() for path in record_set.shard_paths)
    lines = ""
    for video in record_set.videos:
        record = shard[video.offset : video.offset + video.length]
        assert video.record_sha256 == hashlib.sha256(record).hexdigest()
        (source,) = videos.rglob(f"{video.id}.*")
        assert video.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
        lines += f"{video.record_sha256}\n"
    assert record_set.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert records.load_record_set(tmp_path / "records").sha256 == record_set.sha256


def test_the_digest_of_a_set_does_not_depend_on_the_workers(videos, tmp_path):
    one, two = (_prepare(videos, tmp_path / str(n), workers=n).record_set for n in (1, 2))
    assert one.sha256 == two.sha256 and one.videos == two.videos


def test_another_pixel_is_another_digest(videos, tmp_path, write_video):
    before = _prepare(videos, tmp_path / "records").record_set
    write_video(videos / "Left" / "v_Left_g00_c01.mp4", 2, seed=7)
    after = _prepare(videos, tmp_path / "others").record_set
    pairs = zip(before.videos, after.videos, strict=True)
    changed = [a.id for a, b in pairs if a.record_sha256 != b.record_sha256]
    assert changed == ["v_Left_g00_c01"] and before.sha256 != after.sha256


def test_another_clip_configuration_keeps_the_digest(videos, tmp_path):
    before = _prepare(videos, tmp_path / "records").record_set
    after = _prepare(videos, tmp_path / "records", num_frames=9).record_set
    assert before.clip != after.clip and before.sha256 == after.sha256 != ""


def _without_digests(path):
    """Makes of a JSON file of this version one of the version before digests."""
    values = json.loads(path.read_text())
    for one in (values, *values.get("videos", [])):
        for name in ("sha256", "record_sha256", "source_sha256"):
            one.pop(name, None)
    path.write_text(json.dumps(values, indent=1) + "\n")


def test_a_set_of_the_version_before_digests_gets_them(videos, tmp_path):
    record_set = _prepare(videos, tmp_path / "records").record_set
    expected = _files(tmp_path / "records")
    _without_digests(tmp_path / "records" / "metadata.json")
    old = records.load_record_set(tmp_path / "records")
    assert old.sha256 == old.videos[0].record_sha256 == old.videos[0].source_sha256 == ""
    again = _prepare(videos, tmp_path / "records")
    assert again.converted == 0 and again.record_set == record_set
    assert _files(tmp_path / "records") == expected


def test_where_a_source_is_gone_its_digest_stays_unknown_and_the_set_has_one(videos, tmp_path):
    record_set = _prepare(videos, tmp_path / "records").record_set
    _without_digests(tmp_path / "records" / "metadata.json")
    catalogue = class_folders.load(videos)
    (videos / "Left" / "v_Left_g00_c01.mp4").unlink()
    run = prepare.local_runner(1, 60)
    again = prepare.prepare(catalogue, tmp_path / "records", SETTINGS, CLIP, run).record_set
    unknown = [video.id for video in again.videos if not video.source_sha256]
    assert unknown == ["v_Left_g00_c01"] and again.sha256 == record_set.sha256


def test_a_damaged_record_of_an_old_set_gets_no_digest(videos, tmp_path):
    record_set = _prepare(videos, tmp_path / "records").record_set
    _without_digests(tmp_path / "records" / "metadata.json")
    shard, video = bytearray(record_set.shard_paths[0].read_bytes()), record_set.videos[2]
    shard[video.offset + video.length // 2] ^= 1
    record_set.shard_paths[0].write_bytes(shard)
    again = _prepare(videos, tmp_path / "records").record_set
    assert [v.id for v in again.videos if not v.record_sha256] == [video.id]
    assert again.sha256 == ""


@pytest.fixture
def stopped(videos, tmp_path):
    """Folder of a preparation that was stopped when three of its five videos were done."""

    def run(made, numbers):
        for count, result in enumerate(prepare.local_runner(1, 60)(made, numbers)):
            if count == 3:
                raise KeyboardInterrupt
            yield result

    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(class_folders.load(videos), tmp_path / "stopped", SETTINGS, CLIP, run)
    # The fourth may have been done at that moment.
    for path in sorted((tmp_path / "stopped" / "parts").glob("0*.json"))[3:]:
        path.unlink()
    return tmp_path / "stopped"


def test_parts_of_the_version_before_digests_are_kept(videos, tmp_path, stopped):
    for path in (stopped / "parts").glob("0*.json"):
        _without_digests(path)
    assert _prepare(videos, stopped).converted == 2
    _prepare(videos, tmp_path / "fresh")
    assert _files(stopped) == _files(tmp_path / "fresh")


@pytest.mark.parametrize("damage", ["", '{"facts": {"num_frames": NaN}}', "[]"])
def test_a_part_whose_facts_are_damaged_is_made_anew(videos, tmp_path, stopped, damage):
    sorted((stopped / "parts").glob("0*.json"))[1].write_text(damage)
    assert _prepare(videos, stopped).converted == 3
    _prepare(videos, tmp_path / "fresh")
    assert _files(stopped) == _files(tmp_path / "fresh")


def test_damaged_facts_of_a_joined_part_name_what_would_be_lost(videos, stopped):
    made = parts.plan(class_folders.load(videos), stopped, SETTINGS)
    done = parts.load_parts(made)
    parts.join_shard(made, 0, done)
    made.facts_path(min(done)).write_text("{")
    with pytest.raises(UserError, match=r"00\d+.json is damaged .* in .*-00000-of-00001 already"):
        _prepare(videos, stopped)
    made.facts_path(min(done)).unlink()
    made.shard_path(0).unlink()
    assert _prepare(videos, stopped).converted == 5


@pytest.mark.parametrize("damage", ['{"name": "act', '{"name": "a"}'])
def test_a_damaged_plan_is_one_line_whose_way_out_keeps_the_parts(videos, stopped, damage):
    plan = stopped / "parts" / "plan.json"
    plan.write_text(damage)
    with pytest.raises(UserError, match=r"plan.json is damaged .*delete this one file") as caught:
        _prepare(videos, stopped)
    assert "\n" not in str(caught.value)
    plan.unlink()
    assert _prepare(videos, stopped).converted == 2


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
    killed, undisturbed = (
        records.load_record_set(tmp_path / name) for name in ("killed", "undisturbed")
    )
    assert len(killed.videos) == 24 and killed.sha256 == undisturbed.sha256 != ""
