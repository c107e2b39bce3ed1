"""Preparations that were stopped, killed, damaged or begun by an earlier version."""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import records
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, parts, prepare
from preprocessing.preparation.local import local_runner
from preprocessing.records import tfds_metadata

SETTINGS = conversion.Settings(image_size=16)


def _prepare(videos, output, settings=SETTINGS, workers=1):
    catalogue = class_folders.load(videos)
    run = local_runner(workers, time_limit=60)
    return prepare.prepare(catalogue, output, settings, run)


def _files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_what_is_not_of_a_preparation_stays_in_the_folder_of_parts(videos, tmp_path, capsys):
    theirs = {tmp_path / "records" / "parts" / name for name in ("engine/a.mp4", "000000.mp4", "7")}
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    _prepare(videos, tmp_path / "records")
    there = {p for p in (tmp_path / "records" / "parts").rglob("*") if p.is_file()}
    assert there == theirs
    assert "records/parts holds files that are not of the preparation" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["failures.jsonl", "notes.jsonl", *tfds_metadata.FILES])
def test_a_file_of_something_else_is_not_replaced_by_a_new_preparation(videos, tmp_path, name):
    theirs = tmp_path / "records" / name
    theirs.parent.mkdir()
    theirs.write_text("mine")
    with pytest.raises(UserError, match=f"{name} is there and of something else than a prepara"):
        _prepare(videos, tmp_path / "records")
    assert theirs.read_text() == "mine"
    assert not list(theirs.parent.glob("*.tfrecord*"))
    theirs.unlink()
    written = {path.name for path in _prepare(videos, theirs.parent).record_set.folder.iterdir()}
    assert set(tfds_metadata.FILES) < written


def test_each_shard_takes_as_many_videos_as_it_may(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_VIDEOS_PER_SHARD", 2)
    record_set = _prepare(videos, tmp_path / "records").record_set
    assert [path.name for path in record_set.shard_paths] == [
        f"stfnet-videos.tfrecord-{index:05d}-of-00003" for index in range(3)
    ]
    assert [video.shard for video in record_set.videos] == [0, 0, 1, 1, 2]
    shards = [str(path) for path in record_set.shard_paths]
    examples = map(tf.train.Example.FromString, tf.data.TFRecordDataset(shards).as_numpy_iterator())
    ids = [one.features.feature["video_id"].bytes_list.value[0].decode() for one in examples]
    assert ids == [video.id for video in record_set.videos]


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
    run = local_runner(1, 60)
    again = prepare.prepare(catalogue, tmp_path / "records", SETTINGS, run).record_set
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

    def run(preparation, numbers):
        for count, result in enumerate(local_runner(1, 60)(preparation, numbers)):
            if count == 3:
                raise KeyboardInterrupt
            yield result

    with pytest.raises(KeyboardInterrupt):
        prepare.prepare(class_folders.load(videos), tmp_path / "stopped", SETTINGS, run)
    # The fourth may have been done at that moment.
    for path in sorted((tmp_path / "stopped" / "parts").glob("0*.json"))[3:]:
        path.unlink()
    return tmp_path / "stopped"


def test_the_files_of_an_unfinished_preparation_are_those_of_earlier_versions(stopped):
    names = sorted(path.name for path in (stopped / "parts").iterdir())
    assert names[-1] == "plan.json" and all(name[:6].isdigit() for name in names[:-1])
    assert {name.partition(".")[2] for name in names[:-1]} == {"tfrecord", "json"}
    assert json.loads((stopped / "parts" / "plan.json").read_text()) == {
        "name": "actions",
        "settings": {
            **{"image_size": 16, "resize": "stretch", "fps": 0.0, "repeats": "keep"},
            "image_format": "jpeg",
            **{"jpeg_quality": 95, "flow_bound": 20.0},
            **{"flow_method": "opencv", "flow_quality": "fast"},
            **{"frame_grid": 0, "flow_length": 4},
        },
        "labels": {
            **{"v_Left_g00_c01": 0, "v_Left_g01_c01": 0, "v_Left_g02_c01": 0},
            **{"v_Right_g00_c01": 1, "v_Right_g01_c01": 1},
        },
    }


def test_a_preparation_goes_on_with_its_own_grid_alone(videos, stopped, tmp_path):
    """`stopped` was begun without one."""
    grid = dataclasses.replace(SETTINGS, frame_grid=2, flow_length=3)
    with pytest.raises(UserError, match="with frame_grid=0, now frame_grid=2 is asked"):
        _prepare(videos, stopped, grid)
    plan = stopped / "parts" / "plan.json"
    values = json.loads(plan.read_text())
    for name in ("frame_grid", "flow_length"):  # as of an earlier version
        del values["settings"][name]
    plan.write_text(json.dumps(values))
    assert 0 < _prepare(videos, stopped).converted < 5
    assert _prepare(videos, stopped, dataclasses.replace(SETTINGS, flow_length=9)).converted == 0

    prepared = _prepare(videos, tmp_path / "grid", grid).record_set
    assert (prepared.clip["frame_grid"], prepared.clip["flow_length"]) == (2, 3)
    assert records.load_record_set(tmp_path / "grid") == prepared
    assert _prepare(videos, tmp_path / "grid", grid).converted == 0
    for other, message in (
        (SETTINGS, "with frame_grid=2, now frame_grid=0 is asked"),
        (dataclasses.replace(grid, flow_length=4), "flow_length=3, now flow_length=4 is asked"),
    ):
        with pytest.raises(UserError, match=message):
            _prepare(videos, tmp_path / "grid", other)


def test_the_order_of_the_videos_depends_on_their_ids_alone(videos, tmp_path):
    catalogue = class_folders.load(videos)
    backwards = dataclasses.replace(catalogue, videos=catalogue.videos[::-1])
    orders = [
        [video.id for video in parts.Preparation(one, tmp_path, SETTINGS).videos]
        for one in (catalogue, backwards)
    ]
    assert orders[0] == orders[1]
    # Part 000000 of an unfinished preparation must stay the same video in every version.
    assert orders[0] == [
        *("v_Left_g02_c01", "v_Left_g01_c01", "v_Left_g00_c01"),
        *("v_Right_g01_c01", "v_Right_g00_c01"),
    ]


def test_parts_of_the_version_before_digests_are_kept(videos, tmp_path, stopped):
    for path in (stopped / "parts").glob("0*.json"):
        _without_digests(path)
    assert _prepare(videos, stopped).converted == 2
    _prepare(videos, tmp_path / "fresh")
    assert _files(stopped) == _files(tmp_path / "fresh")


@pytest.mark.parametrize("damage", ["", '{"facts": {"num_frames": NaN}}', "[]"])
def test_a_part_whose_facts_are_damaged_is_made_again(videos, tmp_path, stopped, damage):
    sorted((stopped / "parts").glob("0*.json"))[1].write_text(damage)
    assert _prepare(videos, stopped).converted == 3
    _prepare(videos, tmp_path / "fresh")
    assert _files(stopped) == _files(tmp_path / "fresh")


def test_damaged_facts_of_a_joined_part_name_what_would_be_lost(videos, stopped):
    preparation = parts.Preparation(class_folders.load(videos), stopped, SETTINGS)
    done = preparation.load()
    preparation.join(done)
    facts_path = preparation.task(min(done)).facts_path
    facts_path.write_text("{")
    with pytest.raises(UserError, match=r"00\d+.json is damaged .* in .*-00000-of-00001 already"):
        _prepare(videos, stopped)
    facts_path.unlink()
    preparation.shard_paths[0].unlink()
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
        "from preprocessing.datasets import class_folders\n"
        "from preprocessing.preparation import conversion, parts, prepare\n"
        "from preprocessing.preparation.local import local_runner\n"
        "if __name__ == '__main__':\n"
        "    parts._VIDEOS_PER_SHARD = 5\n"
        "    print('begun', flush=True)\n"
        "    prepare.prepare(class_folders.load(sys.argv[1]), sys.argv[2],\n"
        "        conversion.Settings(image_size=16),\n"
        "        local_runner(2, 60))\n"
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


def test_a_note_of_a_part_of_an_earlier_version_is_kept(videos, stopped):
    path = min((stopped / "parts").glob("0*.json"))
    values = json.loads(path.read_text())
    values["facts"]["note"] = "declares 18 frames and shows 10"
    del values["facts"]["doubt"]
    path.write_text(json.dumps(values))
    (row,) = _prepare(videos, stopped).notes
    assert (row["outcome"], row["reason"]) == ("fewer_frames", "declares 18 frames and shows 10")


GIVEN = conversion.Settings(image_size=16, flow_method="given")


def test_given_flow_is_told_in_the_metadata_and_missing_flow_by_name(dense_flow, tmp_path):
    missing = dense_flow / "wave/b/flow_y_00002.png"
    kept = missing.read_bytes()
    missing.unlink()
    prepared = _prepare(dense_flow, tmp_path / "records", GIVEN)
    (failure,) = prepared.failures
    assert failure["id"] == "b" and failure["outcome"] == "flow_count"
    assert "4 frames, 3 x and 2 y flow pictures" in failure["reason"]
    assert prepared.record_set.flow == {
        **{"algorithm": "given", "method": "given", "quality": "reference"}
    }
    (video,) = prepared.record_set.videos
    assert video.num_frames == 4
    # 0.5 px of 16 columns in x, -0.33 px of 16 rows in y.
    assert video.mean_motion == pytest.approx(np.hypot(0.5, 1 / 3), rel=0.05)

    missing.write_bytes(kept)
    again = _prepare(dense_flow, tmp_path / "records", GIVEN)
    assert again.failures == () and again.converted == 1
    assert again.record_set == records.load_record_set(tmp_path / "records")
    assert _prepare(dense_flow, tmp_path / "records", GIVEN).converted == 0
    with pytest.raises(UserError, match="with flow_method=given, now flow_method=opencv is asked"):
        _prepare(dense_flow, tmp_path / "records")
