import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

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


def test_cells_are_written_as_csv(tmp_path):
    path = tmp_path / "rows.csv"
    files.write_csv(path, iter([("video", "p"), ("a,ü", 0.5)]))
    assert path.read_bytes() == 'video,p\n"a,ü",0.5\n'.encode()
    files.write_csv(path, [[1, 2]], end="\r\n")
    assert path.read_bytes() == b"1,2\r\n"
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


@pytest.fixture(scope="module")
def dead():
    """The number of a process that has ended."""
    process = multiprocessing.get_context("spawn").Process()
    process.start()
    process.join()
    return process.pid


def _name(pid, name, host=None):
    """The temporary name of a process of this host or another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid)
        if host:
            patch.setattr(platform, "node", lambda: host)
        return files.partial_path(Path(name)).name


def _names(folder):
    return {path.name for path in folder.iterdir()}


def test_what_was_left_of_a_folder_goes_when_it_is_written_again(tmp_path, dead):
    others = [
        _name(dead, name, host)
        for name, host in (("my-export", None), ("export", "another-host"), ("1-export", None))
    ]
    for name in (_name(dead, "export"), _name(dead, "export.old"), *others):
        (tmp_path / name).mkdir()
    with files.writing_folder(tmp_path / "export") as temporary:
        (temporary / "model").touch()
    assert _names(tmp_path) == {"export", *others}


def test_a_folder_that_cannot_take_its_name_leaves_the_one_before(tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "model").write_text("old")
    with pytest.raises(FileNotFoundError), files.writing_folder(folder) as temporary:
        temporary.rmdir()
    assert (folder / "model").read_text() == "old" and _names(tmp_path) == {"export"}


def test_of_a_link_the_folder_that_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "old").touch()
    (tmp_path / "export").symlink_to(tmp_path / "disk")
    with files.writing_folder(tmp_path / "export") as temporary:
        (temporary / "model").touch()
    assert (tmp_path / "export").is_symlink() and _names(tmp_path) == {"disk", "export"}
    assert _names(tmp_path / "disk") == {"model"}


@pytest.mark.parametrize("host", ["node", "node-5", "node.example.org", "a--b_c", "n\u00f6de", ""])
def test_what_killed_processes_of_this_host_left_is_removed(tmp_path, dead, monkeypatch, host):
    monkeypatch.setattr(platform, "node", lambda: host)
    for pid in (dead, os.getpid()):  # the number of a killed process may be given again
        for name in ("best.keras", "1-2", "-", "a\nb"):
            (tmp_path / _name(pid, name)).write_bytes(b"half")
        (tmp_path / _name(pid, "export") / "full").mkdir(parents=True)
    (tmp_path / "best.keras").write_bytes(b"whole")
    files.remove_partial(tmp_path)
    assert _names(tmp_path) == {"best.keras"}


def test_what_living_processes_write_stays(tmp_path, capfd):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as living:
        kept = tmp_path / _name(living.pid, "best.keras")
        kept.write_bytes(b"half")
        files.remove_partial(tmp_path)
        assert kept.exists() and not capfd.readouterr().err
        living.communicate(b"\n")


def test_what_another_host_left_or_writes_stays_and_is_named(tmp_path, dead, monkeypatch, capfd):
    monkeypatch.setattr(platform, "node", lambda: "node")
    left = {_name(9, f"{dead}-best.keras", f"node-{dead}"), _name(dead, "best.keras", "other")}
    for name in left:
        (tmp_path / name).mkdir()
    files.remove_partial(tmp_path)
    assert _names(tmp_path) == left
    assert capfd.readouterr().err == (
        f"{tmp_path / min(left)} is a temporary file of another host, as are 1 more there: left"
        " alone; delete it if no process writes it any more\n"
    )


def test_names_of_any_other_form_are_not_ours(tmp_path, dead, capfd):
    mine = _name(dead, "x")[: -len(f"-{dead}-x")]
    theirs = {".partial-downloads", ".partial-", ".partial-foo-bar", mine, f"{mine}-{dead}-"}
    theirs |= {f"{mine}-{dead}", f"{mine}--x", f"{mine}-0-x", f"{mine}-0{dead}-x", f"{mine}--1-x"}
    theirs |= {f"{mine}-\u0661\u0662-x", f"{mine}-{10**30}-x", f"{mine}-{dead}a-x", "partial"}
    theirs |= {f"{mine}-{dead}-x"[1:], f"x{mine}-{dead}-x", f"{mine}x-{dead}-"}
    for name in theirs:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a film.mp4").touch()
    files.remove_partial(tmp_path)
    assert _names(tmp_path) == theirs and not capfd.readouterr().err
    assert all(_names(tmp_path / name) == {"a film.mp4"} for name in theirs)


def test_of_a_link_that_was_left_nothing_else_goes(tmp_path, dead):
    film = tmp_path / "films" / "a.mp4"
    film.parent.mkdir()
    film.touch()
    work = tmp_path / "work"
    work.mkdir()
    (work / _name(dead, "folder")).symlink_to(film.parent)
    (work / _name(dead, "file")).symlink_to(film)
    (work / _name(dead, "nothing")).symlink_to(tmp_path / "gone")
    (work / _name(dead, "inner")).mkdir()
    (work / _name(dead, "inner") / "link").symlink_to(film.parent)
    files.remove_partial(work)
    assert not _names(work) and film.is_file()


def test_a_folder_that_a_killed_process_took_away_comes_back(run_python, tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "network").write_text("old")
    replace = f"""
import os
from pathlib import Path
from preprocessing import files
rename = Path.rename
def killed(path, target):  # at the second: the old folder is away, the new one has no name yet
    if Path(target).name == "export":
        os._exit(9)
    return rename(path, target)
Path.rename = killed
with files.writing_folder(Path({str(folder)!r})) as new:
    (new / "network").write_text("new")
"""
    assert run_python("-c", replace).returncode == 9
    assert not folder.exists()
    with pytest.raises(ValueError, match="fails"), files.writing_folder(folder):
        raise ValueError("the same command fails")
    assert (folder / "network").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_what_cannot_be_deleted_is_named(run_python, dead):
    # Outside pytest's folder, which another user may not enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        remove = f"""
import os
from pathlib import Path
from preprocessing import files
if os.getuid() == 0:
    os.setuid(65534)
files.remove_partial(Path({name!r}))
"""
        left = folder / _name(dead, "best.keras")
        left.touch()
        folder.chmod(0o555)
        done = run_python("-c", remove)
        folder.chmod(0o755)
        assert done.returncode == 0 and left.exists()
    assert done.stderr == (
        f"{left} is needed no more and cannot be deleted (Permission denied): delete it\n"
    )


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


def test_a_lock_of_another_program_is_left_alone(tmp_path):
    lock = tmp_path / ".lock"
    lock.write_bytes(b"4711\n\xff")
    with (
        pytest.raises(UserError, match="is of another program"),
        files.locked(tmp_path, "training"),
    ):
        pass
    assert lock.read_bytes() == b"4711\n\xff"
