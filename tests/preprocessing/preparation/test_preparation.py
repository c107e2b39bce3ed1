"""Preparations that were stopped, killed, damaged, or are of another state of their videos."""

import dataclasses
import hashlib
import json
import os

import numpy as np
import pytest

from preprocessing import records
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, layout, tasks
from preprocessing.preparation.local import local_runner
from preprocessing.records import tfds_metadata

SETTINGS = conversion.Settings(image_size=16)


def test_what_is_not_of_a_preparation_stays_among_the_parts(videos, tmp_path, capsys, prepare):
    theirs = {tmp_path / "records" / "parts" / name for name in ("engine/a.mp4", "000000.mp4", "7")}
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    prepare(videos)
    there = {p for p in (tmp_path / "records" / "parts").rglob("*") if p.is_file()}
    assert there == theirs
    assert "records/parts holds files that are not of the preparation" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["failures.jsonl", "notes.jsonl", *tfds_metadata.FILES])
def test_a_file_of_something_else_is_not_replaced(videos, tmp_path, name, prepare):
    theirs = tmp_path / "records" / name
    theirs.parent.mkdir()
    theirs.write_text("mine")
    with pytest.raises(UserError, match=f"{name} is there and of something else than a prepara"):
        prepare(videos)
    assert theirs.read_text() == "mine"
    assert not list(theirs.parent.glob("*.tfrecord*"))
    theirs.unlink()
    written = {path.name for path in prepare(videos, theirs.parent).record_set.folder.iterdir()}
    assert set(tfds_metadata.FILES) < written


@pytest.fixture
def stopped(videos, tmp_path, prepare):
    """Folder of a preparation that was stopped when three of its five videos were done."""

    def run(preparation, shards):
        for count, result in enumerate(local_runner(1, 60)(preparation, shards)):
            if count == 3:
                raise KeyboardInterrupt
            yield result

    with pytest.raises(KeyboardInterrupt):
        prepare(videos, "stopped", run=run)
    # The fourth and fifth may have been done at that moment.
    for path in sorted(_parts(tmp_path / "stopped"), key=os.path.getmtime)[3:]:
        path.unlink()
    return tmp_path / "stopped"


def _parts(folder):
    return list((folder / "parts").glob("*.part"))


def test_a_stopped_preparation_goes_on_with_what_is_done(videos, stopped, prepare):
    assert prepare(videos, stopped).converted == 2
    assert prepare.files(stopped) == prepare.from_scratch(videos)


@pytest.mark.parametrize("damage", [b"", b"{}", bytes(100)])
def test_a_damaged_part_is_made_again(videos, stopped, damage, prepare):
    _parts(stopped)[1].write_bytes(damage)
    assert prepare(videos, stopped).converted == 3
    assert prepare.files(stopped) == prepare.from_scratch(videos)


def test_a_preparation_goes_on_with_its_own_grid_alone(videos, tmp_path, stopped, prepare):
    grid = dataclasses.replace(SETTINGS, frame_grid=2, flow_length=3)  # `stopped` has none
    with pytest.raises(UserError, match="with frame_grid=0, now frame_grid=2 is asked"):
        prepare(videos, stopped, grid)
    plan = stopped / "parts" / "plan.json"
    values = json.loads(plan.read_text())
    for name in ("frame_grid", "flow_length"):  # as of an earlier version
        del values["settings"][name]
    plan.write_text(json.dumps(values))
    with pytest.raises(UserError, match="with frame_grid=0, now frame_grid=2 is asked"):
        prepare(videos, stopped, grid)
    prepared = prepare(videos, "grid", grid).record_set
    assert (prepared.clip["frame_grid"], prepared.clip["flow_length"]) == (2, 3)
    assert records.load_record_set(tmp_path / "grid") == prepared
    assert prepare(videos, "grid", grid).converted == 0
    for other, message in (
        (SETTINGS, "with frame_grid=2, now frame_grid=0 is asked"),
        (dataclasses.replace(grid, flow_length=4), "flow_length=3, now flow_length=4 is asked"),
    ):
        with pytest.raises(UserError, match=message):
            prepare(videos, "grid", other)


def test_the_beginning_of_an_earlier_version_is_refused(videos, stopped, prepare):
    plan = stopped / "parts" / "plan.json"
    plan.write_text(plan.read_text().replace('"name"', '"labels": {}, "name"'))
    with pytest.raises(UserError, match=r"by an earlier version: finish it with that version, or"):
        prepare(videos, stopped)
    assert len(_parts(stopped)) == 3


def test_videos_that_come_and_go_before_the_set_is_finished(videos, stopped, prepare):
    done = {tasks.read_part(path).id for path in _parts(stopped)}
    (gone,) = (p for p in videos.rglob("v_*") if p.stem == min(done))
    (videos / "Up").mkdir()
    gone.rename(videos / "Up" / "up.mp4")
    (other,) = (p for p in videos.rglob("v_*") if p.stem == max(done))
    other.unlink()
    with pytest.raises(UserError, match=rf"1 renamed, 1 gone.*the records of {max(done)} would be"):
        prepare(videos, stopped)
    assert prepare(videos, stopped, update=True).converted == 2
    assert prepare.files(stopped) == prepare.from_scratch(videos)


def test_shards_are_those_of_the_layout_and_lie_in_their_order(videos, small_shards, prepare):
    record_set = prepare(videos).record_set
    expected = list(layout.shards(class_folders.load(videos).videos))
    names = [[v.id for v in record_set.videos if v.shard == k] for k in range(len(expected))]
    assert len(expected) > 2 and names == [[video.id for video in some] for some in expected]
    digest = record_set.sha256[:12]
    assert [path.name for path in record_set.shard_paths] == [
        f"stfnet_{digest}-videos.tfrecord-{k:05d}-of-{len(expected):05d}"
        for k in range(len(expected))
    ]
    for video in record_set.videos:
        data = records.read_bytes(record_set.path_of(video), video.offset, video.length)
        assert hashlib.sha256(data).hexdigest() == video.record_sha256


def _as_by_an_earlier_version(folder):
    """Gives a set of one shard the names and the keys that it had before sets grew."""
    record_set = records.read_record_set(folder)
    record_set.shard_paths[0].rename(folder / records.shard_file("", 0, 1))
    videos = sorted(record_set.videos, key=lambda video: video.id)  # in another order
    data = [
        records.read_bytes(folder / records.shard_file("", 0, 1), v.offset, v.length)
        for v in videos
    ]
    offsets = np.cumsum([0, *map(len, data)]).tolist()
    videos = [dataclasses.replace(v, offset=o) for v, o in zip(videos, offsets, strict=False)]
    (folder / records.shard_file("", 0, 1)).write_bytes(b"".join(data))
    changed = dataclasses.replace(
        record_set, videos=tuple(videos), sha256=records.set_sha256(videos, ()), shards=()
    )
    records.write_record_set(changed)
    path = folder / "metadata.json"
    values = json.loads(path.read_text())
    del values["shards"]
    values["clip"] |= {"num_frames": 17, "flow_length": 4}
    path.write_text(json.dumps(values))
    (folder / "sources.json").unlink()
    return records.read_record_set(folder)


def test_a_set_of_an_earlier_version_stays_until_its_videos_change(
    videos, tmp_path, write_video, prepare
):
    prepare(videos)
    old = _as_by_an_earlier_version(tmp_path / "records")
    shard = old.shard_paths[0].read_bytes()
    again = prepare(videos)
    assert again.converted == 0 and again.record_set.sha256 == old.sha256
    assert again.record_set.shards == ("stfnet-videos.tfrecord-00000-of-00001",)
    assert old.shard_paths[0].read_bytes() == shard
    write_video(videos / "Up" / "new.mp4", 3, seed=5)
    assert prepare(videos).converted == 1
    assert prepare.files() == prepare.from_scratch(videos)


def test_records_of_a_missing_shard_are_not_given_up(videos, tmp_path, prepare):
    path = videos / "Left" / "v_Left_g00_c01.mp4"
    prepare(videos)
    (shard,) = records.read_record_set(tmp_path / "records").shard_paths
    content = shard.read_bytes()
    shard.unlink()
    path.write_bytes(path.read_bytes()[:100])
    before = prepare.files()
    with pytest.raises(UserError, match=r"a shard is missing, and 1 of its videos cannot be made"):
        prepare(videos)
    del before["sources.json"]
    after = prepare.files()
    assert {name: after[name] for name in before} == before
    shard.write_bytes(content)
    records.load_record_set(tmp_path / "records")


@pytest.mark.parametrize("damage", ['{"name": "act', '{"name": "a"}'])
def test_a_damaged_plan_is_one_line_whose_way_out_keeps_the_parts(videos, stopped, damage, prepare):
    plan = stopped / "parts" / "plan.json"
    plan.write_text(damage)
    with pytest.raises(UserError, match=r"plan.json is damaged .*delete this one file") as caught:
        prepare(videos, stopped)
    assert "\n" not in str(caught.value)
    plan.unlink()
    assert prepare(videos, stopped).converted == 2


GIVEN = conversion.Settings(image_size=16, flow_method="given")


def test_given_flow_is_told_in_the_metadata_and_missing_flow_by_name(dense_flow, tmp_path, prepare):
    missing = dense_flow / "wave/b/flow_y_00002.png"
    kept = missing.read_bytes()
    missing.unlink()
    prepared = prepare(dense_flow, settings=GIVEN)
    (failure,) = prepared.failures
    assert failure["id"] == "b" and failure["outcome"] == "flow_count"
    assert "4 frames, 3 x and 2 y flow pictures" in failure["reason"]
    assert prepared.record_set.flow == {
        "algorithm": "given",
        "method": "given",
        "quality": "reference",
    }
    (video,) = prepared.record_set.videos
    assert video.num_frames == 4
    # 0.5 px of 16 columns in x, -0.33 px of 16 rows in y.
    assert video.mean_motion == pytest.approx(np.hypot(0.5, 1 / 3), rel=0.05)

    missing.write_bytes(kept)
    again = prepare(dense_flow, settings=GIVEN)
    assert again.failures == () and again.converted == 1
    assert again.record_set == records.load_record_set(tmp_path / "records")
    assert prepare(dense_flow, settings=GIVEN).converted == 0
    with pytest.raises(UserError, match="with flow_method=given, now flow_method=opencv is asked"):
        prepare(dense_flow)
