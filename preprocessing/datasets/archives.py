"""Collections as they were downloaded: zip and rar archives, unpacked beside themselves."""

import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from preprocessing.errors import UserError

_ARCHIVES = (".zip", ".rar")
# Either reads rar; both come with Linux distributions.
_RAR_PROGRAMS = {
    "bsdtar": ("bsdtar", "-xf", "{archive}", "-C", "{folder}"),
    "unar": ("unar", "-quiet", "-no-directory", "-output-directory", "{folder}", "{archive}"),
}


def unpacked(place: Path) -> Path:
    """The folder of a collection, with every archive in it unpacked.

    Args:
        place: a folder, whose own archives are unpacked into it, or an archive. Each goes to a
            folder of its name; one that is there already is left as it is.

    Raises:
        UserError: an archive is damaged, no program reads it, or a member would land outside.
    """
    place = Path(place)
    if place.is_file():
        if place.suffix.lower() not in _ARCHIVES:
            raise UserError(f"{place} is neither a folder nor a .zip or .rar archive")
        return unpack(place)
    if place.is_dir():
        for archive in sorted(place.iterdir()):
            if archive.suffix.lower() in _ARCHIVES and archive.is_file():
                unpack(archive)
    return place


def unpack(archive: Path) -> Path:
    """Unpacks an archive into the folder of its name, in one step, unless that is there.

    Raises:
        UserError: as `unpacked`.
    """
    target = archive.with_suffix("")
    if target.exists():
        return target
    print(f"unpacking {archive} to {target}", flush=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=archive.parent) as temporary:
        folder = Path(temporary) / "content"
        folder.mkdir()
        if archive.suffix.lower() == ".zip":
            _unzip(archive, folder)
        else:
            _unrar(archive, folder)
        _refuse_links_outside(archive, folder)
        folder.rename(target)
    return target


def _unzip(archive: Path, folder: Path):
    try:
        with zipfile.ZipFile(archive) as content:
            for name in content.namelist():
                _check_member(archive, folder, name)
            content.extractall(folder)
    except (zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{archive} is damaged ({error}): download it again") from error


def _unrar(archive: Path, folder: Path):
    for program, command in _RAR_PROGRAMS.items():
        if not shutil.which(program):
            continue
        arguments = [part.format(archive=archive, folder=folder) for part in command]
        done = subprocess.run(arguments, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise UserError(f"{program} could not unpack {archive}: {' '.join(reason)}")
        return
    raise UserError(
        f"{archive} needs bsdtar (package libarchive-tools) or unar to be unpacked: install one, or"
        " unpack it yourself"
    )


def _check_member(archive: Path, folder: Path, name: str):
    # Windows separators and drives count as well: some programs write them into zip files.
    path = Path(name.replace("\\", "/"))
    inside = (folder / path).resolve().is_relative_to(folder.resolve())
    if path.is_absolute() or ":" in path.parts[0] or not inside:
        raise UserError(f"{archive} holds {name!r}, which would land outside: it is not unpacked")


def _refuse_links_outside(archive: Path, folder: Path):
    for path in folder.rglob("*"):
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"{archive} holds the link {path.name!r} to a place outside: it is not unpacked"
            )
