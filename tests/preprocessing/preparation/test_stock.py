"""What becomes of the records of videos that were moved, touched, changed, deleted."""

import dataclasses
import hashlib
import json
import os

import pytest

from preprocessing import records
from preprocessing.datasets import class_folders
from preprocessing.preparation import conversion, stock

SETTINGS = conversion.Settings(image_size=16)


@pytest.fixture
def there(videos, prepare):
    """The records of the videos of the fixture."""
    return stock.of_record_set(prepare(videos, workers=2).record_set)


def _compared(videos, *there):
    return stock.compare(class_folders.load(videos).videos, there, SETTINGS)


def test_an_untouched_video_keeps_its_record_and_is_not_read(videos, there, monkeypatch):
    def read(*arguments):
        raise AssertionError("read")

    monkeypatch.setattr(stock.tasks, "source_sha256", read)
    changes = _compared(videos, there)
    assert changes.kept == there and str(changes) == "no changes, 5 as they were"


def test_the_digest_decides_where_a_file_has_another_time(videos, there):
    left, right = videos / "Left" / "v_Left_g00_c01.mp4", videos / "Right" / "v_Right_g00_c01.avi"
    os.utime(left)
    content = right.read_bytes()
    right.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    changes = _compared(videos, there)
    assert changes.changed == ("v_Right_g00_c01",) and not changes.new + changes.gone
    assert changes.kept["v_Left_g00_c01"].stamp[1] == left.stat().st_mtime_ns
    right.write_bytes(content)
    assert not _compared(videos, there).changed
    # A set of an earlier version knows no times.
    unknown = {name: dataclasses.replace(kept, stamp=()) for name, kept in there.items()}
    assert not _compared(videos, unknown).changed


def test_a_renamed_file_keeps_its_record(videos, there):
    (videos / "Up").mkdir()
    (videos / "Left" / "v_Left_g00_c01.mp4").rename(videos / "Up" / "up.mp4")
    (videos / "Left" / "v_Left_g01_c01.mp4").unlink()
    (videos / "Left" / "more.mp4").write_bytes((videos / "Left/v_Left_g02_c01.mp4").read_bytes())
    changes = _compared(videos, there)
    assert (changes.renamed, changes.new, changes.gone) == (
        ("up",),
        ("more",),  # a copy of one that is still there
        ("v_Left_g01_c01",),
    )
    assert changes.kept["up"].id == "v_Left_g00_c01"
    assert str(changes) == "1 new, 1 renamed, 1 gone, 3 as they were"


def test_a_video_whose_file_is_away_keeps_its_record(videos, there):
    listed = class_folders.load(videos).videos
    (videos / "Left" / "v_Left_g00_c01.mp4").unlink()
    assert stock.compare(listed, [there], SETTINGS).kept == there


def test_of_two_records_the_one_of_the_file_is_taken(videos, there):
    old = dict(there)
    path = videos / "Left" / "v_Left_g00_c01.mp4"
    content = path.read_bytes()
    newer = dataclasses.replace(old["v_Left_g00_c01"], source_sha256="0" * 64, stamp=(1, 2))
    assert _compared(videos, {newer.id: newer}, old).kept == old
    path.write_bytes(content + b"\0")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    newer = dataclasses.replace(newer, source_sha256=digest)
    assert _compared(videos, {newer.id: newer}, old).kept[newer.id].source_sha256 == digest


def test_videos_of_a_shard_that_is_missing_or_cut_off_have_no_record(videos, there, tmp_path):
    record_set = records.read_record_set(tmp_path / "records")
    (path,) = record_set.shard_paths
    path.write_bytes(path.read_bytes()[:-1])
    assert stock.of_record_set(record_set) == {}
    path.unlink()
    assert stock.of_record_set(record_set) == {}


@pytest.mark.parametrize("content", ["[1]", "{", '{"v_Left_g00_c01": [0, 0]}'])
def test_damaged_stamps_cost_nothing_but_reading(videos, there, tmp_path, content):
    (tmp_path / "records" / stock.STAMPS_FILE).write_text(content)
    record_set = records.read_record_set(tmp_path / "records")
    changes = _compared(videos, stock.of_record_set(record_set))
    assert changes.kept == there


def test_notes_of_a_set_of_an_earlier_version_are_taken_from_their_list(there, tmp_path):
    record_set = records.read_record_set(tmp_path / "records")
    rows = [
        {"id": "v_Left_g00_c01", "path": "/a/b.mp4", "outcome": "still", "reason": "/a/b.mp4: one"},
        {"id": "v_Left_g01_c01", "path": "/a/c.mp4", "outcome": "copy", "reason": "is one"},
        {"id": "v_Left_g02_c01", "path": "/a/d.mp4", "outcome": "short", "reason": "has 4"},
    ]
    path = tmp_path / "records" / "notes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    facts = {name: kept.facts for name, kept in stock.of_record_set(record_set).items()}
    assert facts["v_Left_g00_c01"].note == "{path}: one"
    assert facts["v_Left_g00_c01"].doubt == "still"
    assert not facts["v_Left_g01_c01"].note and not facts["v_Left_g02_c01"].note
