import multiprocessing
import os
import platform
import subprocess
import sys

import pytest

from preprocessing import files
from preprocessing.errors import UserError


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "results.json"
    files.write_json(path, {"top1": 1.0})

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        files.write_with(path, fail)
    with pytest.raises(OSError, match="disk full"), files.writing(path) as file:
        file.write(b"half")
        raise OSError("disk full")
    assert path.read_text() == '{\n "top1": 1.0\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_with_the_file(tmp_path):
    path = tmp_path / "checkpoint.npz"

    def write(_):
        with open("/dev/full", "wb") as file:  # as a library that names no file
            file.write(b"weights")

    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        files.write_with(path, write)
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"), files.writing(path):
        write(path)
    assert not list(tmp_path.iterdir())


def test_a_folder_takes_its_name_when_it_is_whole(tmp_path):
    folder = tmp_path / "export"
    for content in ("old", "new"):
        with files.writing_folder(folder) as temporary:
            (temporary / "model").write_text(content)
    with pytest.raises(OSError), files.writing_folder(folder) as temporary:
        (temporary / "model").write_text("half")
        raise OSError
    assert (folder / "model").read_text() == "new"
    assert list(tmp_path.iterdir()) == [folder]


def test_what_was_left_of_a_folder_goes_when_it_is_written_again(tmp_path):
    dead = multiprocessing.get_context("spawn").Process()
    dead.start()
    dead.join()
    here = f".partial-{platform.node()}-{dead.pid}"
    others = [f"{here}-my-export", f".partial-another-host-{dead.pid}-export", f"{here}-1-export"]
    for name in (f"{here}-export", f"{here}-export.old", *others):
        (tmp_path / name).mkdir()
    with files.writing_folder(tmp_path / "export") as temporary:
        (temporary / "model").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"export", *others}


def test_what_killed_processes_left_is_removed_and_what_living_ones_write_is_not(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        dead = multiprocessing.get_context("spawn").Process()
        dead.start()
        dead.join()
        left = [
            tmp_path / f".partial-{host}-{pid}-best.keras"
            for host, pid in (
                (platform.node(), dead.pid),
                (platform.node(), os.getpid()),
                ("another-host", living.pid),
            )
        ]
        kept = tmp_path / f".partial-{platform.node()}-{living.pid}-best.keras"
        for path in [*left, kept]:
            path.write_bytes(b"half")
        (tmp_path / f".partial-another-host-{dead.pid}-export").mkdir()
        (tmp_path / "best.keras").write_bytes(b"whole")
        files.remove_partial(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [kept.name, "best.keras"]
        living.communicate(b"\n")


def test_a_folder_is_locked_for_one_process_and_freed_by_its_end(tmp_path):
    hold = f"""
import os, signal
from preprocessing import files
with files.locked({str(tmp_path)!r}, "training"):
    print("locked", flush=True)
    input()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", hold]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with (
            pytest.raises(UserError, match=rf"another training .*process {holder.pid} on"),
            files.locked(tmp_path, "training"),
        ):
            pass
        holder.communicate(b"\n")
    with files.locked(tmp_path, "training"):
        pass
