"""A record set on this machine's disk: whole, used together, and deleted by its last reader."""

import multiprocessing
import os
import shutil
import tempfile

import pytest

from preprocessing import records
from preprocessing.errors import UserError
from preprocessing.records.local_copy import copied_to_disk


def _shards(record_set):
    return [path.read_bytes() for path in record_set.shard_paths]


def test_a_copy_is_whole_shared_and_deleted_by_its_last_reader(tiny_records, tmp_path):
    strangers = [tmp_path / f"{name}-0123456789abcdef" for name in ("not-ours", "records-4321")]
    for stranger in strangers:  # the second is another user's
        stranger.mkdir()
    lock = tmp_path / f".{strangers[1].name}.lock"
    lock.touch()
    with copied_to_disk(tiny_records, tmp_path) as copy:
        assert copy.folder.parent == tmp_path
        assert _shards(copy) == _shards(tiny_records)
        assert records.load_record_set(copy.folder).videos == tiny_records.videos
        written = [path.stat().st_mtime_ns for path in copy.shard_paths]
        with copied_to_disk(tiny_records, tmp_path) as second:
            assert [path.stat().st_mtime_ns for path in second.shard_paths] == written
        assert all(path.is_file() for path in copy.shard_paths)
    assert sorted(tmp_path.iterdir()) == [lock, *strangers]


def _use_copy(record_set, folder, begun, end):
    with copied_to_disk(record_set, folder):
        begun.set()
        end.wait(60)


def test_a_copy_stays_while_another_process_reads_it(tiny_records, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    begun, end = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_use_copy, args=(tiny_records, tmp_path, begun, end))
    other.start()
    assert begun.wait(60)
    with copied_to_disk(tiny_records, tmp_path) as copy:
        pass
    assert _shards(copy) == _shards(tiny_records)
    end.set()
    other.join()
    assert other.exitcode == 0 and not list(tmp_path.iterdir())


def test_what_a_killed_run_copied_is_completed_or_deleted_by_the_next(tiny_records, tmp_path):
    with copied_to_disk(tiny_records, tmp_path / "a") as copy:
        name = copy.folder.name
    for left in (name, f"other-{os.getuid()}-{name[-16:]}"):
        (tmp_path / "b" / left).mkdir(parents=True)
        (tmp_path / "b" / f".{left}.lock").touch()
        (tmp_path / "b" / left / copy.shard_paths[0].name).write_bytes(b"half")
    with copied_to_disk(tiny_records, tmp_path / "b") as copy:
        assert _shards(copy) == _shards(tiny_records)
        assert {path.name for path in (tmp_path / "b").iterdir()} == {name, f".{name}.lock"}


def test_users_of_one_machine_have_copies_of_their_own(tiny_records, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for user in (1000, 1001):
        monkeypatch.setattr("os.getuid", lambda user=user: user)
        with copied_to_disk(tiny_records) as copy:
            assert copy.folder.parent == tmp_path / f"stfnet-records-{user}"
            assert copy.folder.parent.stat().st_mode & 0o777 == 0o700


def test_a_full_disk_is_reported_before_copying(tiny_records, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with (
        pytest.raises(UserError, match=r"--cache=disk: .* name another folder with --cache_dir"),
        copied_to_disk(tiny_records, tmp_path),
    ):
        pass
    assert not list(tmp_path.rglob("*.tfrecord*"))


@pytest.mark.parametrize("kind", ["another's", "writable", "link"])
def test_a_folder_in_the_place_of_everyone_must_be_this_users(
    tiny_records, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"stfnet-records-{os.getuid()}"
    if kind == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir(mode=0o700)
        if kind == "writable":
            folder.chmod(0o777)
        else:
            other = os.geteuid() + 1
            monkeypatch.setattr(os, "geteuid", lambda: other)
    with (
        pytest.raises(UserError, match="is not this user's alone"),
        copied_to_disk(tiny_records),
    ):
        pass
