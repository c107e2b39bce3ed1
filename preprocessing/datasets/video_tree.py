"""What lies in a tree of folders: videos, folders of frames, and what is left out."""

import collections
import os
import re
from collections.abc import Iterable
from pathlib import Path

from preprocessing.datasets.lists import clip_name
from preprocessing.errors import UserError
from preprocessing.video import EXTENSIONS, checked_name, is_image, series

_SHOWN_KINDS, _SHOWN_NAMES = 6, 2
# Folders that systems and programs put among a user's, by their names in small letters.
_SYSTEM_FOLDERS = frozenset(
    ("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found")
)
_THUMBNAILS = frozenset(("thumb", "thumbs", "thumbnail", "thumbnails"))


def find_root(folder: Path, names: Iterable[str]) -> Path:
    """The folder that has sub-folders of the given names: itself, or one at most three below.

    Raises:
        UserError: there is none.
    """
    names = set(names)
    level = [_existing(folder)]
    for _ in range(4):
        for candidate in level:
            if names & {path.name for path in candidate.iterdir() if path.is_dir()}:
                return candidate
        level = [path for parent in level for path in sorted(parent.iterdir()) if path.is_dir()]
    raise UserError(f"{folder} has none of the folders {', '.join(sorted(names))}")


def find_files(folder: Path, name: re.Pattern[str]) -> list[tuple[Path, re.Match[str]]]:
    """(path, match) of the files below a folder whose whole name fits, sorted, no hidden ones."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith((".", "__MACOSX"))]
        found += [(Path(parent, one), match) for one in names if (match := name.fullmatch(one))]
    return sorted(found, key=lambda entry: entry[0])


def find_videos(folder: Path) -> list[Path]:
    """The videos below a folder, sorted; see `VideoTree`."""
    return VideoTree(folder).videos()


def named_videos(
    folder: Path, name: re.Pattern[str], what: str
) -> tuple[list[tuple[Path, re.Match[str]]], list[str]]:
    """The videos below a folder whose whole `clip_name` fits, with the match, sorted by path.

    Args:
        what: they are of, how they are called, and what to do where there are none.

    Returns:
        (them, a line about the others if there are any).

    Raises:
        UserError: there is no such folder, or none of them in it.
    """
    tree = VideoTree(folder)
    matched = [(path, name.fullmatch(clip_name(path))) for path in tree.videos()]
    named = [(path, match) for path, match in matched if match]
    if not named:
        raise UserError(f"{folder} has no clips of {what}")
    others = [path for path, match in matched if not match]
    lines = [f"left out: {tree.line('named otherwise than the clips', others)}"] if others else []
    return named, lines


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "does not exist"
        raise UserError(f"video folder {folder} {state}")
    return folder


class VideoTree:
    """The videos below a folder, each once.

    A video is a file with one of `video.EXTENSIONS`, or a folder of jpg or png images with no
    video below it. Hidden files are skipped, and folders that systems make, such as `__MACOSX`, or
    that hold images and are called `thumbs` or `thumbnails`, are left out. A link is followed where
    it leads to something that is not in the tree already: neither a link to the folder itself nor
    one from class to class gives a video twice.

    Attributes:
        left_out: files that are neither videos nor frames of one.
        skipped: folders of thumbnails, and those that systems make.
        repeated: links that lead to what is in the tree already.

    Raises:
        UserError: there is no such folder, one may not be read or has images of several videos, or
            a name is not UTF-8: OpenCV ends with a segmentation fault on such a name, and no record
            can hold it.
    """

    def __init__(self, root: Path):
        self.root = _existing(Path(root))
        self.left_out: list[Path] = []
        self.skipped: list[Path] = []
        self.repeated: list[Path] = []
        checked_name(self.root.absolute())
        self._read = self._without_links()  # real paths of the folders and videos of the tree

    def videos(self) -> list[Path]:
        """All videos, those of a folder together, in the order of their names."""
        videos, images = self._scan(self.root, linked=False)
        self.left_out += images
        return videos

    def class_folders(self) -> dict[str, list[Path]]:
        """Name of each folder in the root -> the videos below it."""
        videos_of = {}
        for path in self._visible(self.root):
            if not path.is_dir():
                self.left_out.append(path)
            elif not self._is_repeated(path, linked=False):
                videos_of[path.name], images = self._scan(path, path.is_symlink())
                self.left_out += images
        return videos_of

    def report(self) -> tuple[str, ...]:
        """What was left out, in a few lines."""
        by_ending = collections.defaultdict(list)
        for path in self.left_out:
            by_ending[path.suffix.lower()].append(path)
        endings = sorted(by_ending.items(), key=lambda item: (-len(item[1]), item[0]))
        shown, others = endings[:_SHOWN_KINDS], endings[_SHOWN_KINDS:]
        lines = [
            self.line(f"{ending or 'files without an ending'}", paths) for ending, paths in shown
        ]
        if others:
            lines.append(self.line("other files", [path for _, some in others for path in some]))
        if self.skipped:
            lines.append(self.line("folders of thumbnails or of the system", self.skipped))
        if self.repeated:
            lines.append(self.line("links to what is read already", self.repeated))
        return tuple(f"left out: {line}" for line in lines)

    def line(self, kind: str, paths: list[Path]) -> str:
        """How many paths in the root are of a kind, and the first of them."""
        names = ", ".join(path.relative_to(self.root).as_posix() for path in paths[:_SHOWN_NAMES])
        return f"{len(paths)} {kind} ({names}{', ...' if len(paths) > _SHOWN_NAMES else ''})"

    def _without_links(self) -> set[str]:
        def refuse(error):
            raise UserError(f"{error.filename} may not be read: check its permissions") from error

        read, real_root = set(), os.path.realpath(self.root)
        for folder, folders, names in os.walk(self.root, onerror=refuse):
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".") and name.casefold() not in _SYSTEM_FOLDERS
            ]
            real = os.path.normpath(os.path.join(real_root, os.path.relpath(folder, self.root)))
            read.add(real)
            for name in names:
                path = os.path.join(folder, name)
                if os.path.splitext(name)[1].lower() in EXTENSIONS and not os.path.islink(path):
                    read.add(os.path.join(real, name))
        return read

    def _visible(self, folder: Path) -> list[Path]:
        visible = (path for path in folder.iterdir() if not path.name.startswith("."))
        paths = sorted(map(checked_name, visible))
        system = [path for path in paths if path.name.casefold() in _SYSTEM_FOLDERS]
        self.skipped += system
        return [path for path in paths if path not in system]

    def _is_repeated(self, path: Path, linked: bool) -> bool:
        """Whether a path, or a folder above it, is a link to what is in the tree already."""
        if not linked and not path.is_symlink():
            return False
        real = os.path.realpath(path)
        if real in self._read:
            self.repeated.append(path)
            return True
        self._read.add(real)
        return False

    def _scan(self, folder: Path, linked: bool) -> tuple[list[Path], list[Path]]:
        """(videos below a folder, images directly in it)."""
        videos: list[Path] = []
        images: list[Path] = []
        for path in self._visible(folder):
            if path.is_dir():
                if self._is_repeated(path, linked):
                    continue
                inner, frames = self._scan(path, linked or path.is_symlink())
                if frames and not inner:
                    series.check(path, series.split(frames)["frames"])
                    videos.append(path)
                else:
                    videos += inner
                    self.left_out += frames
            elif is_image(path):
                images.append(path)
            elif path.suffix.lower() not in EXTENSIONS:
                self.left_out.append(path)
            elif not self._is_repeated(path, linked):
                videos.append(path)
        if folder.name.casefold() in _THUMBNAILS:
            films = [path for path in videos if not path.is_dir()]
            if len(films) < len(videos) + len(images):
                self.skipped.append(folder)
            return films, []
        return videos, images
