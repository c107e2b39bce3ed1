import io
import shutil
import struct
import subprocess
import zipfile

import pytest

from preprocessing.datasets import archives
from preprocessing.errors import UserError


def _paths(catalogue, root):
    return [video.path.relative_to(root).as_posix() for video in catalogue.videos]


def _zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_zip_archives_are_unpacked_once(tmp_path, touch, load_source):
    archive = _zip(tmp_path / "actions.zip", {"Bow/a.mp4": b"film", "Wave/b.mp4": b"film"})
    film = tmp_path / ".partial-downloads" / "film.mp4"  # a person's
    touch(film)
    catalogue = load_source(f"folder:{archive}").catalogue
    assert _paths(catalogue, tmp_path) == ["actions/Bow/a.mp4", "actions/Wave/b.mp4"]
    assert film.is_file()
    (tmp_path / "actions" / "Bow" / "a.mp4").unlink()
    assert archives.unpacked(archive) == tmp_path / "actions"
    assert not (tmp_path / "actions" / "Bow" / "a.mp4").exists()  # not unpacked again


@pytest.mark.parametrize(
    "name", ["../outside.mp4", "/etc/outside.mp4", "Bow/../../outside.mp4", "..\\outside.mp4"]
)
def test_a_member_that_would_land_outside_is_refused(tmp_path, name):
    folder_of_archive = tmp_path / "downloads"
    folder_of_archive.mkdir()
    archive = _zip(folder_of_archive / "evil.zip", {"Bow/a.mp4": b"", name: b"evil"})
    with pytest.raises(UserError, match="would land outside: it is not unpacked"):
        archives.unpacked(archive)
    assert sorted(tmp_path.rglob("*")) == [folder_of_archive, archive]


def test_damaged_and_unreadable_archives_are_refused(tmp_path, monkeypatch, touch):
    buffer = io.BytesIO()
    _zip(buffer, {"Bow/a.mp4": b"x" * 5000})
    (tmp_path / "cut.zip").write_bytes(buffer.getvalue()[:-40])
    with pytest.raises(UserError, match=r"cut.zip is damaged"):
        archives.unpacked(tmp_path / "cut.zip")
    (tmp_path / "films.rar").write_bytes(b"Rar!\x1a\x07\x01\x00")
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(UserError, match=r"films.rar needs bsdtar .* or unar"):
        archives.unpacked(tmp_path / "films.rar")
    with pytest.raises(UserError, match="neither a folder nor"):
        archives.unpacked(touch("film.mp4") / "film.mp4")


def test_rar_goes_through_bsdtar(tmp_path, touch):
    if not shutil.which("bsdtar"):
        pytest.skip("bsdtar is not installed")
    # bsdtar reads any archive by its content, and nothing free writes rar.
    touch(tmp_path / "in" / "Bow" / "a.mp4")
    (tmp_path / "in" / "link").symlink_to("/etc")
    command = ["bsdtar", "-cf", tmp_path / "films.rar", "-C", tmp_path / "in", "Bow"]
    subprocess.run(command, check=True)
    assert (archives.unpacked(tmp_path / "films.rar") / "Bow" / "a.mp4").is_file()
    command = ["bsdtar", "-cf", tmp_path / "evil.rar", "-C", tmp_path / "in", "Bow", "link"]
    subprocess.run(command, check=True)
    with pytest.raises(UserError, match="holds the link 'link' to a place outside"):
        archives.unpacked(tmp_path / "evil.rar")
    assert not (tmp_path / "evil").exists()


FILES = {"Bow/a.mp4": b"x" * 5000, "Wave/b.mp4": b"y" * 5000}


def test_a_folder_is_read_as_it_is_and_its_archives_are_left_out(touch, load_source):
    root = touch(*FILES)
    _zip(root / "backup.zip", FILES)
    catalogue = load_source(f"folder:{root}").catalogue
    assert catalogue.classes == ("Bow", "Wave") and len(catalogue.videos) == 2
    assert catalogue.left_out == ("left out: 1 .zip (backup.zip)",)
    assert sorted(path.name for path in root.iterdir()) == ["Bow", "Wave", "backup.zip"]


def test_an_archive_with_one_folder_around_all_is_read_inside_it(tmp_path, load_source):
    members = {f"films/{name}": content for name, content in FILES.items()}
    archive = _zip(tmp_path / "actions.zip", members | {"__MACOSX/films/._a.mp4": b""})
    catalogue = load_source(f"folder:{archive}").catalogue
    assert catalogue.classes == ("Bow", "Wave")
    assert _paths(catalogue, tmp_path) == [f"actions/films/{name}" for name in FILES]


@pytest.mark.parametrize("unpacked", ["ucf action", "ucf_sports_actions"])
def test_a_published_archive_beside_its_folder_is_not_unpacked_again(
    tmp_path, unpacked, touch, load_source
):
    touch(tmp_path / unpacked / "Lifting" / "001" / "film.avi")
    archive = tmp_path / "ucf_sports_actions.zip"
    _zip(archive, {"ucf action/Lifting/001/film.avi": b"", "ucf action/Lifting/002/film.avi": b""})
    catalogue = load_source(f"ucf_sports:{tmp_path}").catalogue
    assert [video.id for video in catalogue.videos] == ["Lifting_001"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([unpacked, archive.name])


def test_a_published_archive_is_unpacked_and_another_beside_it_is_not(tmp_path, load_source):
    _zip(tmp_path / "ucf_sports_actions.zip", {"ucf action/Lifting/001/film.avi": b""})
    _zip(tmp_path / "old.zip", {"ucf action/Lifting/002/film.avi": b""})
    catalogue = load_source(f"ucf_sports:{tmp_path}").catalogue
    assert [video.id for video in catalogue.videos] == ["Lifting_001"]
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize("write", [lambda name: f"./{name}", lambda name: name.replace("/", "\\")])
def test_members_as_other_programs_write_them(tmp_path, write, load_source):
    archive = _zip(tmp_path / "actions.zip", {write(name): b"" for name in FILES})
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("./", b"")
    catalogue = load_source(f"folder:{archive}").catalogue
    assert _paths(catalogue, tmp_path) == [f"actions/{name}" for name in FILES]


def _with_field(value, local, central):
    """Overwrites a 16-bit field of every member's two headers (APPNOTE 4.3.7 and 4.3.12)."""

    def change(content):
        content = bytearray(content)
        for signature, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
            position = -1
            while (position := content.find(signature, position + 1)) >= 0:
                struct.pack_into("<H", content, position + offset, value)
        return content

    return change


@pytest.mark.parametrize(
    ("change", "free", "message"),
    [
        (_with_field(1, 6, 8), 10**9, "is encrypted ('Bow/a.mp4'): unpack it yourself"),
        # Deflate64
        (_with_field(9, 8, 10), 10**9, "compressed in a way that Python cannot read"),
        (bytes, 9_999, "holds 0.0 GB and the disk has 0.0 GB free"),
        (
            lambda content: content.replace(b"yy", b"yz", 1),
            10**9,
            "is damaged (Bad CRC-32 for file 'Wave/b.mp4'): download it again",
        ),
    ],
    ids=["encrypted", "compression", "larger than the disk", "changed byte"],
)
def test_a_refused_archive_leaves_nothing_that_looks_whole(
    tmp_path, monkeypatch, change, free, message
):
    archive = _zip(tmp_path / "a.zip", FILES)
    archive.write_bytes(change(archive.read_bytes()))
    usage = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError) as caught:
        archives.unpacked(archive)
    assert str(caught.value).startswith(f"{archive} ") and message in str(caught.value)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == [archive]
