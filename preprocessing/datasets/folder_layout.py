"""What the folders above a video say: its side of a split, its class, its group."""

import collections
import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from preprocessing.datasets.catalogue import Catalogue
from preprocessing.datasets.entries import SPLITS_FILE, find_splits
from preprocessing.errors import UserError
from preprocessing.splits import SIDES


@dataclass(frozen=True)
class Place:
    """Where a video lies.

    Attributes:
        class_folder: name of the folder of its class; empty where there is none.
        group: the folders between its class and itself, joined by `/`.
        side: `train`, `val` or `test`, where folders are called so; else empty.
    """

    path: Path
    class_folder: str = ""
    group: str = ""
    side: str = ""


def places(root: Path, paths: Iterable[Path]) -> list[Place]:
    """Reads the folders between a root and each video.

    They are `CLASS/[GROUP/...]VIDEO`. Folders called train, val or test, also training, validation,
    valid or testing, in capitals or not, are the sides of a split where all folders in the root
    are called so (`SIDE/CLASS/...`), or all in the class folders (`CLASS/SIDE/...`).

    Raises:
        UserError: some folders are called as sides of a split are, and others beside them not.
    """
    folders = {path: path.relative_to(root).parts[:-1] for path in paths}
    inside = [parts for parts in folders.values() if parts]
    level = None  # of the folders that are called as sides
    if _are_sides(root, {parts[0] for parts in inside}, "beside"):
        level = 0
    elif _are_sides(root, {"".join(parts[1:2]) for parts in inside}, "in class folders beside"):
        level = 1
    found = []
    for path, parts in folders.items():
        side = ""
        if parts and level is not None:
            side = SIDES[parts[level].casefold()]
            parts = parts[:level] + parts[level + 1 :]
        group = unicodedata.normalize("NFC", "/".join(parts[1:]))
        found.append(Place(path, "".join(parts[:1]), group, side))
    return found


def _are_sides(root: Path, names: set[str], where: str) -> bool:
    """Whether folders are the sides of a split; a single one in the root may be a class."""
    sides = {name for name in names if name.casefold() in SIDES}
    if len({SIDES[name.casefold()] for name in sides}) < (1 if sides == names else 2):
        return False
    if others := sorted(names - sides):
        raise UserError(
            f"{root} has folders {', '.join(sorted(sides))} {where}"
            f" {', '.join(filter(None, others[:3])) or 'videos'}: are they the sides of a split?"
            " Then move the others into them; else rename them"
        )
    return True


def check(root: Path, catalogue: Catalogue):
    """Refuses a folder that holds data sets in place of classes, or a single class.

    Data sets side by side look like classes of several groups each. They are taken for data sets
    where no group is named twice or has a number in its name, and no `splits.csv` is there; or
    where one has a `splits.csv` of its own.
    """
    # Where flow lies apart, the frames have a root of their own, and `flow_folders` found it.
    among = [video for video in catalogue.videos if not video.flow or video.path in video.flow]
    found = places(root, [video.path for video in among])
    if len(catalogue.classes) < 2:
        raise UserError(
            f"{root} has one class, {catalogue.classes[0]}{_classes_below(root, found)}: a network"
            " needs a folder for each of two classes or more"
        )
    groups = collections.defaultdict(set)
    for place in found:
        groups[place.class_folder].add(place.group.partition("/")[0])
    for name in filter(None, groups):
        if (root / name).is_dir() and (own := find_splits(root / name)):
            raise UserError(
                f"{own} is not above the class folders: if {root / name} holds them, give"
                f" folder:{root / name}; else move it to {root}"
            )
    names = [name for some in groups.values() for name in some]
    if (
        groups
        and all(len(some) > 1 and (root / name).is_dir() for name, some in groups.items())
        and len(set(names)) == len(names)
        and not any(re.search(r"\d", name) or not name for name in names)
        and not find_splits(root)
    ):
        one = min(groups)
        raise UserError(
            f"{root} has only folders in its folders {_some(groups)}, such as {_some(groups[one])}"
            f" in {one}, so these look like data sets and not classes: give one of them, such as"
            f" folder:{root / one}. If they are classes, put a {SPLITS_FILE} with the column"
            f" video into {root}"
        )


def _classes_below(root: Path, found: Sequence[Place]) -> str:
    """The folder, where one is too high, that holds what may be the classes."""
    inside = collections.defaultdict(set)
    for place in found:
        folders = [parent for parent in place.path.parents if parent.is_relative_to(root)]
        for folder, parent in itertools.pairwise(folders):
            inside[parent].add(folder.name)
        inside[place.path.parent].add("")
    folder = root
    while len(inside[folder]) == 1 and "" not in inside[folder]:
        folder /= min(inside[folder])
    if folder == root or "" in inside[folder]:
        return ""
    return f" (if {_some(inside[folder])} are the classes, give folder:{folder})"


def _some(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + ", ..." * (len(shown) > 3)
