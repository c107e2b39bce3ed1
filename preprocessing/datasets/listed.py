"""Videos that a list names: `path label`, Kinetics' table, or any table of videos and classes."""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from preprocessing.datasets import listed_files, lists
from preprocessing.datasets.catalogue import Catalogue, Video, own_name, refuse_capitals
from preprocessing.datasets.class_folders import UCF_NAME, unique_names, video_id
from preprocessing.datasets.entries import Entry, read_list
from preprocessing.errors import UserError
from preprocessing.splits import SIDES

# Files beside a list, or in `annotations` there, that name its classes; the likeliest first.
_NAME_FILES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"classind.*\.txt",
        r".*label_?map.*\.txt",
        r"(labels?|classes|class_?(names|list|index)|categories)\.txt",
    )
]
Found = tuple[Path, Entry]


def load(source: str) -> Catalogue:
    """Reads a list of videos, see `entries.read_list`, and finds their files, see `listed_files`.

    Args:
        source: path of a list; or of a list of training and one of test, with a comma between.

    Raises:
        UserError: a list cannot be read, contradicts itself or the names of its classes, or names
            files that are not there.
    """
    paths = _paths(source)
    parts = [read_list(path) for path in paths]
    if len(parts) == 2:
        parts = [
            [replace(entry, side=side) for entry in part]
            for part, side in zip(parts, ("train", "test"), strict=True)
        ]
    notes: list[str] = []
    entries = [entry for part in parts for entry in part]
    names = _class_names(paths, entries, notes)
    entries = [replace(entry, label=names[entry.label]) for entry in entries]
    find = listed_files.of_youtube if entries[0].youtube else listed_files.of_paths
    found = find(paths[0], entries, notes)
    _refuse_divided(found)
    found = _once(found, notes)
    sides = {entry.side for _, entry in found}
    if "val" in sides and "test" not in sides:
        notes.append("the validation part is the test part: there is no other")
    present = {entry.label for _, entry in found}
    classes = tuple(dict.fromkeys(name for name in names.values() if name in present))
    name = own_name("list", "+".join(path.stem for path in paths))
    return Catalogue(name, classes, tuple(_videos(found, classes)), tuple(notes))


def _paths(source: str) -> list[Path]:
    """The list, or the two lists, of a source."""
    if Path(source).expanduser().is_file():
        return [Path(source).expanduser()]
    paths = [Path(part).expanduser() for part in source.split(",")]
    for path in paths:
        if not path.is_file() or len(paths) != 2:
            raise UserError(
                f"{path if len(paths) == 2 else source} is no file: name a list of videos, or one"
                " of training and one of test with a comma between"
            )
    return paths


def _class_names(
    paths: Sequence[Path], entries: Sequence[Entry], notes: list[str]
) -> dict[str, str]:
    """Label -> name of its class, in the order of the classes."""
    labels = {entry.label for entry in entries}
    if all(label.isdecimal() for label in labels):
        of_number = _names_beside(paths, entries, notes)
        return {label: of_number.get(int(label), label) for label in sorted(labels, key=int)}
    refuse_capitals(paths[0], labels, labels)
    return {label: label for label in sorted(labels)}


def _names_beside(
    paths: Sequence[Path], entries: Sequence[Entry], notes: list[str]
) -> dict[int, str]:
    """Number -> name of the classes by a file beside the list; empty without such a file."""
    home = paths[0].absolute().parent
    beside = [
        file
        for folder in (home, home / "annotations")
        for pattern in _NAME_FILES
        for file in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if pattern.fullmatch(file.name) and file not in [path.absolute() for path in paths]
    ]
    if not beside:
        notes.append(f"classes are called by their numbers: no classInd.txt is beside {paths[0]}")
        return {}
    of_file = lists.read_class_names(beside[0])
    numbers = {int(entry.label) for entry in entries}
    # Many lists count from 0 beside a file that counts from 1.
    fitting = [
        names for names in (of_file, dict(enumerate(of_file.values()))) if numbers <= set(names)
    ]
    if not fitting:
        raise UserError(
            f"{paths[0]} has labels from {min(numbers)} to {max(numbers)}, and {beside[0]} names"
            f" those from {min(of_file, default=0)} to {max(of_file, default=0)}: correct it, or"
            " remove it"
        )
    strangers = [_strangers(names, entries) for names in fitting]
    names, (misfits, _) = min(
        zip(fitting, strangers, strict=True), key=lambda one: (len(one[1][0]), -one[1][1])
    )
    if misfits:
        raise UserError(
            f"{misfits[0].where} gives {misfits[0].video} the label {misfits[0].label}, which is"
            f" {names[int(misfits[0].label)]} in {beside[0]}: correct one of them"
        )
    notes.append(f"classes are named by {beside[0]}")
    return names


def _strangers(names: Mapping[int, str], entries: Sequence[Entry]) -> tuple[list[Entry], int]:
    """(entries in a folder of another class than their label's, number of those in their own)."""
    known = {_letters(name) for name in names.values()}
    misfits, fits = [], 0
    for entry in entries:
        folders = {_letters(part) for part in _folders(entry)} & known
        if _letters(names[int(entry.label)]) in folders:
            fits += 1
        elif folders:
            misfits.append(entry)
    return misfits, fits


def _letters(name: str) -> str:
    """A name as it is compared: `air_drumming` is `Air drumming`."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _folders(entry: Entry) -> tuple[str, ...]:
    """The folders in the path of an entry."""
    return () if entry.youtube else PurePosixPath(lists.path_key(entry.video)).parts[:-1]


def _once(found: Sequence[Found], notes: list[str]) -> list[Found]:
    """Each video once; a line that repeats another is left out."""
    first: dict[tuple[Path, object], Entry] = {}
    kept = []
    for path, entry in found:
        other = first.setdefault((path, entry.segment), entry)
        if other is entry:
            kept.append((path, entry))
        elif other.label != entry.label:
            raise UserError(
                f"{entry.where} puts {entry.video} into class {entry.label}, {other.where} into"
                f" {other.label}: remove one of them"
            )
    if repeated := len(found) - len(kept):
        notes.append(f"left out: {repeated} lines that repeat another")
    return kept


def _refuse_divided(found: Sequence[Found]):
    """Refuses a file of which parts are of several groups, or on several sides of the split."""
    first: dict[tuple[Path, str], tuple[str, Entry]] = {}
    for path, entry in found:
        for kind, value in (("group", entry.group), ("part", entry.side)):
            other, line = first.setdefault((path, kind), (value, entry))
            if value and other != value:
                raise UserError(
                    f"{entry.where} puts {entry.video} into the {kind} {value}, {line.where} into"
                    f" {other or 'none'}: parts of one recording look alike, so they must stay"
                    " together; give all its lines the same"
                )


def _videos(found: Sequence[Found], classes: Sequence[str]) -> Iterator[Video]:
    files = list(dict.fromkeys(path for path, _ in found))
    names = unique_names(Path(os.path.commonpath([path.parent for path in files])), files)
    of_folders = _groups_of_folders([entry for _, entry in found])
    for (path, entry), folders in zip(found, of_folders, strict=True):
        name = video_id(names[path], entry.segment)
        group = entry.group or (entry.video if entry.youtube else folders)
        if not group and (match := UCF_NAME.search(path.stem)):
            group = f"{entry.label}/{match[1]}"
        yield Video(
            id=name,
            path=path,
            label=classes.index(entry.label),
            class_name=entry.label,
            group=group or names[path],
            splits={"1": entry.side} if entry.side else {},
            segment=entry.segment,
            ungrouped=not (group or entry.segment),
        )


def _groups_of_folders(entries: Sequence[Entry]) -> list[str]:
    """The group that the folders in its path give each entry; empty where they give none.

    Folders that say no more than the class or the side of the split, or are the same for all, are
    none.
    """
    known = {_letters(entry.label) for entry in entries} | set(SIDES)
    of_entry = [_folders(entry) for entry in entries]
    levels = itertools.zip_longest(*of_entry, fillvalue="")
    tells = []
    for level in levels:
        pairs = {(part, entry.label) for part, entry in zip(level, entries, strict=True)}
        parts, labels = ({pair[k] for pair in pairs} for k in (0, 1))
        tells.append(len(parts) > 1 and not len(parts) == len(labels) == len(pairs))
    return [
        "/".join(
            part
            for part, telling in zip(parts, tells, strict=False)
            if telling and _letters(part) not in known
        )
        for parts in of_entry
    ]
