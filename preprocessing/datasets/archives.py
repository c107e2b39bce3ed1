"""Collections as they were downloaded: zip and rar archives, unpacked beside themselves.

Only what is named is unpacked: an archive that is the source itself, or one that a collection's
publisher named. Others may be copies of what lies beside them.
"""

import errno
import lzma
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from preprocessing import files
from preprocessing.errors import UserError

_ARCHIVES = (".zip", ".rar")
_ENCRYPTED = 0x1  # of a zip member's flags
# Either reads rar; both come with Linux distributions.
_RAR_PROGRAMS = {
    "bsdtar": ("bsdtar", "-xf", "{archive}", "-C", "{folder}"),
    "unar": ("unar", "-quiet", "-no-directory", "-output-directory", "{folder}", "{archive}"),
}
_DAMAGED = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, struct.error, ValueError)


def unpacked(place: Path, published: Mapping[str, str] | None = None) -> Path:
    """The folder of a source.

    Args:
        place: an archive, which goes to a folder of its name, unless that is there; or a folder.
        published: file name of an archive of the collection -> the folder that it holds. Those
            in `place` are unpacked, unless one of their two folders is there.

    Raises:
        UserError: an archive is damaged or encrypted, is larger than the disk, no program reads
            it, or a member would land outside.
    """
    place = Path(place)
    if place.is_file():
        if place.suffix.lower() not in _ARCHIVES:
            raise UserError(f"{place} is neither a folder nor a .zip or .rar archive")
        return _single_folder(_unpack(place))
    for name, content in (published or {}).items():
        archive = place / name
        if archive.is_file() and not (place / content).exists():
            _unpack(archive)
    return place


def _unpack(archive: Path) -> Path:
    """Unpacks an archive into the folder of its name, in one step, unless that is there."""
    target = archive.with_suffix("")
    if target.exists():
        print(f"{target} is there: {archive.name} is not unpacked again", flush=True)
        return target
    print(f"unpacking {archive} to {target}", flush=True)
    try:
        with files.writing_folder(target) as folder:
            if archive.suffix.lower() == ".zip":
                _unzip(archive, folder)
            else:
                _unrar(archive, folder)
            _refuse_links_outside(archive, folder)
    except OSError as error:
        space = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise UserError(
            f"{archive} cannot be unpacked to {target} ({error.strerror or error}):"
            f" {'free some space' if space else 'unpack it elsewhere and name that folder'}"
        ) from error
    return target


def _single_folder(folder: Path) -> Path:
    """The folder in which all of an archive lies, if that again holds folders; else the same."""
    visible = [p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX"))]
    if len(visible) == 1 and visible[0].is_dir() and any(p.is_dir() for p in visible[0].iterdir()):
        return visible[0]
    return folder


def _unzip(archive: Path, folder: Path):
    try:
        with zipfile.ZipFile(archive) as content:
            members = content.infolist()
            _check_members(archive, folder, members)
            for member in members:
                # Some programs write Windows' separators.
                member.filename = member.filename.replace("\\", "/")
                content.extract(member, folder)
    except NotImplementedError as error:
        raise UserError(
            f"{archive} is compressed in a way that Python cannot read ({error}): unpack it"
            " yourself and name the folder"
        ) from error
    except _DAMAGED as error:
        raise UserError(f"{archive} is damaged ({error}): download it again") from error


def _check_members(archive: Path, folder: Path, members: list[zipfile.ZipInfo]):
    for member in members:
        _check_name(archive, folder, member.filename)
        if member.flag_bits & _ENCRYPTED:
            raise UserError(
                f"{archive} is encrypted ({member.filename!r}): unpack it yourself and name the"
                " folder"
            )
    size, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
    if size > free:
        raise UserError(
            f"{archive} holds {size / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free: free"
            " some space, or move it to another disk"
        )


def _unrar(archive: Path, folder: Path):
    for program, command in _RAR_PROGRAMS.items():
        if not shutil.which(program):
            continue
        arguments = [part.format(archive=archive, folder=folder) for part in command]
        done = subprocess.run(
            arguments,
            capture_output=True,
            text=True,
            errors="replace",
            # No terminal, on which it would wait for a password.
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise UserError(
                f"{program} could not unpack {archive}: {' '.join(reason)}. Unpack it yourself and"
                " name the folder, or download it again"
            )
        return
    raise UserError(
        f"{archive} needs bsdtar (package libarchive-tools) or unar to be unpacked: install one, or"
        " unpack it yourself"
    )


def _check_name(archive: Path, folder: Path, name: str):
    # Windows separators and drives count as well: some programs write them into zip files.
    path = Path(name.replace("\\", "/"))
    inside = (folder / path).resolve().is_relative_to(folder.resolve())
    if path.is_absolute() or ":" in "".join(path.parts[:1]) or not inside:
        raise UserError(f"{archive} holds {name!r}, which would land outside: it is not unpacked")


def _refuse_links_outside(archive: Path, folder: Path):
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"{archive} holds the link {path.name!r} to a place outside: it is not unpacked"
            )
