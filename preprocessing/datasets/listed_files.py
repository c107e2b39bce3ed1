"""Where the videos of a list lie."""

import collections
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from preprocessing import video
from preprocessing.datasets.entries import Entry
from preprocessing.datasets.lists import clip_name, path_key
from preprocessing.datasets.video_tree import find_videos
from preprocessing.errors import UserError

_TRIED = 200  # paths of a list that tell which folder they count from
_FOLDERS = re.compile(r"(videos?|clips?|frames?|rawframes?|train|val|test).*", re.IGNORECASE)
_YOUTUBE_NAME = re.compile(r"(.+)_(\d+)_(\d+)")  # id, start and end in seconds
_MEASURED = 16  # files that tell whether all were cut already
_LONGER = 2.0  # seconds by which a file that was cut may be longer than its times


def of_paths(path: Path, entries: Sequence[Entry], notes: list[str]) -> list[tuple[Path, Entry]]:
    """The file or folder of frames of each entry.

    A file may have another ending than in the list, and a folder of its frames may stand for it.
    A name without a folder may lie anywhere below the list's folder, if it is there once.

    Args:
        notes: gets a line where the paths count from another folder.

    Raises:
        UserError: files are missing.
    """
    tried = [entry.video for entry in entries[:: max(1, len(entries) // _TRIED)]]

    held: dict[Path, dict[str, Path]] = {}

    def fit(root: Path) -> tuple[int, int]:
        exact = sum((root / path_key(name)).exists() for name in tried)
        return exact, sum(_find(root, name, held) is not None for name in tried)

    home = path.absolute().parent
    root = max(_roots(home), key=fit)
    if root != home:
        notes.append(f"the paths in {path.name} count from {root}")
    found = [(_find(root, entry.video, held), entry) for entry in entries]
    if any(file is None for file, _ in found):
        below = _below(home)
        found = [(file or below.get(path_key(entry.video)), entry) for file, entry in found]
    if missing := [entry for file, entry in found if file is None]:
        first = missing[0]
        raise UserError(
            f"{first.where} names {first.video}, which is not in {root}: {len(missing)} of the"
            f" {len(entries)} videos are missing; copy them, or remove their lines"
        )
    return [(file, entry) for file, entry in found if file]


def of_youtube(path: Path, entries: Sequence[Entry], notes: list[str]) -> list[tuple[Path, Entry]]:
    """The files called `ID_START_END` or `ID`, with any ending, below the list's folder.

    A file `ID` is cut by the times in the list, unless none of these is longer than they say.
    Entries without a file are left out.

    Args:
        notes: gets a line about what is left out, and about files that are cut.

    Raises:
        UserError: none is there.
    """
    files = {clip_name(file.name): file for file in find_videos(path.absolute().parent)}
    cut = {}
    for name, file in files.items():
        if match := _YOUTUBE_NAME.fullmatch(name):
            cut[match[1], int(match[2]), int(match[3])] = file
    found, whole = [], []
    for entry in entries:
        times = (int(entry.segment.start), int(entry.segment.end)) if entry.segment else None
        if times and (entry.video, *times) in cut:
            found.append((cut[entry.video, *times], replace(entry, segment=None)))
        elif entry.video in files:
            whole.append((files[entry.video], entry))
    if not (found or whole):
        first = entries[0]
        raise UserError(
            f"none of the {len(entries)} videos of {path} is below {path.absolute().parent}: they"
            f" are called {first.video}_000010_000020.mp4, with their times, or {first.video}.mp4"
        )
    timed = [(file, entry.segment) for file, entry in whole if entry.segment]
    if timed and _are_cut(timed):
        whole = [(file, replace(entry, segment=None)) for file, entry in whole]
    elif timed:
        notes.append(f"{len(timed)} files such as {timed[0][0].name} are cut by the list's times")
    found += whole
    there = {entry.where for _, entry in found}
    if missing := [entry.video for entry in entries if entry.where not in there]:
        notes.append(
            f"left out: {len(missing)} of {len(entries)} videos of the list are not there"
            f" ({', '.join(missing[:2])}{', ...' * (len(missing) > 2)})"
        )
    return found


def _roots(home: Path) -> Iterator[Path]:
    """Folders that the paths of a list in `home` may count from."""
    yield home
    yield from _folders(home)
    yield home.parent
    yield from (folder for folder in _folders(home.parent) if _FOLDERS.fullmatch(folder.name))


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    except PermissionError:
        return []


def _below(folder: Path) -> dict[str, Path]:
    """Name, with and without its ending -> the only video below a folder that has it."""
    of_name = collections.defaultdict(list)
    for path in find_videos(folder):
        for name in {path.name, clip_name(path.name)}:
            of_name[name].append(path)
    return {name: paths[0] for name, paths in of_name.items() if len(paths) == 1}


def _find(root: Path, name: str, held: dict[Path, dict[str, Path]]) -> Path | None:
    """The file of a path in a list; `held` keeps what folders hold."""
    key = path_key(name)
    for path in (root / key, root / key.lstrip("/")):
        if path.exists():
            return path
        if path.parent not in held:
            held[path.parent] = _videos_in(path.parent)
        if found := held[path.parent].get(clip_name(path.name).casefold()):
            return found
    return None


def _videos_in(folder: Path) -> dict[str, Path]:
    """Name without a video's ending -> file or folder."""
    if not folder.is_dir():
        return {}
    return {
        clip_name(path.name).casefold(): path
        for path in sorted(folder.iterdir(), reverse=True)
        if path.is_dir() or path.suffix.lower() in video.EXTENSIONS
    }


def _are_cut(timed: Sequence[tuple[Path, video.Segment]]) -> bool:
    """Whether files hold their segments alone, by what the headers of some of them claim."""
    if len({file for file, _ in timed}) < len(timed):
        return False
    for file, segment in timed[:: max(1, len(timed) // _MEASURED)]:
        try:
            claim = video.probe(file)
        except UserError:  # will fail by name when it is prepared
            continue
        longest = segment.end - segment.start + _LONGER
        if claim.fps and claim.num_frames / claim.fps > longest:
            return False
    return True
