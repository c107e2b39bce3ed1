"""Anyone's own videos: a folder with a sub-folder for each class, or long ones cut by times."""

import collections
import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from preprocessing.datasets import flow_folders
from preprocessing.datasets.catalogue import Catalogue, Video, own_name, refuse_capitals
from preprocessing.datasets.entries import SPLITS_FILE, Entry, find_splits, read_splits
from preprocessing.datasets.folder_layout import Place
from preprocessing.datasets.lists import path_key
from preprocessing.datasets.video_tree import VideoTree
from preprocessing.errors import UserError
from preprocessing.video import EXTENSIONS, Segment, is_image

_PACKED = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz")
UCF_NAME = re.compile(r"_(g\d+)_c\d+$")


def load(folder: Path) -> Catalogue:
    """Reads `FOLDER/<class>/<video>` and its `splits.csv`, as docs/reference/data.md has them.

    `VideoTree` decides what is taken and what is left out. A clip may also be a folder of frames
    (see `flow_folders`), and the sides of a split may be folders (see `folder_layout.places`).

    A row of `splits.csv` with times is a video of its own, called `<file>@<start>-<end>`; for a
    file whose name is not unique, `<file>` is its path with `__` for `/`.

    Raises:
        UserError: the folder is missing, has no videos, has names that are not UTF-8, or
            `splits.csv` does not fit it.
    """
    folder = Path(folder)
    tree = VideoTree(folder)
    tops = tree.class_folders()
    table = find_splits(folder)
    lines = read_splits(table) if table else {}
    paired = flow_folders.pair(folder, [path for paths in tops.values() for path in paths])
    places = paired.places
    at_top = [path for path in _left_at_top(tree, tops) if path_key(path.name) in lines]
    places += [Place(path) for path in at_top]
    tree.left_out = [path for path in tree.left_out if not {path, path.parent} & {table, *at_top}]
    flow_places = [Place(path) for path in paired.apart]
    notes = [*tree.report(), *_without_videos(tree, tops, [*places, *flow_places])]
    notes += paired.left_out
    if not places:
        packed = [path.name for path in tree.left_out if path.suffix.lower() in _PACKED]
        raise UserError(
            f"{folder} has no videos in class folders: it needs {folder}/<class>/<video>, with"
            f" videos ending in {', '.join(EXTENSIONS)}"
            + f" ({'; '.join(notes)})" * bool(notes)
            + f": unpack {', '.join(packed[:3])} first" * bool(packed)
        )
    listed = _lines_of(folder, places, lines)
    _refuse_uncut(folder, places, listed)
    names = unique_names(folder, [place.path for place in places])
    found = []
    for place in places:
        its = listed[place.path]
        group, ungrouped = _one_group(folder, place, its)
        found += [(place, line, group, ungrouped) for line in its]
    class_names = _class_names(folder, [(place, line) for place, line, *_ in found])
    classes = tuple(sorted(set(class_names)))
    videos = tuple(
        Video(
            id=video_id(names[place.path], line.segment),
            path=place.path,
            label=classes.index(class_name),
            class_name=class_name,
            group=group,
            splits={"1": side} if (side := line.side or place.side) else {},
            segment=line.segment,
            ungrouped=ungrouped and not line.segment,
            flow=paired.flow.get(place.path),
        )
        for (place, line, group, ungrouped), class_name in zip(found, class_names, strict=True)
    )
    notes += _said(videos, [(place, line) for place, line, *_ in found])
    name = own_name("folder", folder.resolve().name)
    return Catalogue(name, classes, videos, tuple(notes))


def _left_at_top(tree: VideoTree, tops: Mapping[str, Sequence[Path]]) -> list[Path]:
    """Files in the root, and folders of images there that are in no class folder."""
    files = [path for path in tree.left_out if path.parent == tree.root]
    images = {path.parent for path in tree.left_out if is_image(path)}
    return files + [
        tree.root / name for name in tops if not tops[name] and tree.root / name in images
    ]


def _without_videos(
    tree: VideoTree, tops: Mapping[str, Sequence[Path]], places: Sequence[Place]
) -> list[str]:
    """A line for each kind of folder that would be a class and has no video."""
    folders = []
    sides = {
        name
        for name, place in ((place.path.relative_to(tree.root).parts[0], place) for place in places)
        if place.side and place.class_folder != name
    }
    for name in tops:
        inside = sorted((tree.root / name).iterdir()) if name in sides else [tree.root / name]
        folders += [path for path in inside if path.is_dir() and not path.name.startswith(".")]
    used = {path for place in places for path in (place.path, *place.path.parents)}
    kinds = collections.defaultdict(list)
    for folder in folders:
        if folder in used or folder in tree.skipped or folder in tree.repeated:
            continue
        left = (*tree.left_out, *tree.repeated, *tree.skipped)
        held = [path for path in left if folder in path.parents]
        if any(path.parent == folder and is_image(path) for path in held):
            kinds["folders of loose images, which need a folder for each video"].append(folder)
        else:
            kinds["folders without a video" if held else "empty folders"].append(folder)
    return [f"no class: {tree.line(kind, some)}" for kind, some in kinds.items()]


def _said(videos: Sequence[Video], found: Sequence[tuple[Place, Entry]]) -> list[str]:
    """What folders and the list decided of the videos, each found as a place and a line."""
    notes = []
    sides = collections.Counter(video.splits["1"] for video in videos if video.splits)
    if any(place.side for place, _ in found):
        counted = ", ".join(f"{sides[side]} {side}" for side in ("train", "val", "test"))
        notes.append(f"folders name the official split: {counted} videos")
    if sides["val"] and not sides["test"]:
        notes.append("the validation part is the test part: there is no other")
    moved = [
        video.id
        for (place, line), video in zip(found, videos, strict=True)
        if not line.segment and place.class_folder not in ("", video.class_name)
    ]
    if moved:
        notes.append(
            f"{SPLITS_FILE} puts {len(moved)} videos into another class than their folder"
            f" ({moved[0]}{', ...' * (len(moved) > 1)})"
        )
    return notes


def _lines_of(
    folder: Path, places: Sequence[Place], lines: Mapping[str, list[Entry]]
) -> dict[Path, list[Entry]]:
    """The lines of each video in `splits.csv`; an empty one where it has none."""
    paths: dict[str, Path] = {}
    for place in places:
        key = path_key(place.path.relative_to(folder).as_posix())
        if (other := paths.setdefault(key, place.path)) != place.path:
            raise UserError(
                f"{other} and {place.path} differ only in how their letters or blanks are coded:"
                " remove the copy, or rename one"
            )
    if missing := sorted(set(lines) - set(paths)):
        near = difflib.get_close_matches(missing[0], paths, 1)
        raise UserError(
            f"{folder / SPLITS_FILE} lists {len(missing)} videos that are not there, such as"
            f" {missing[0]}: copy them or remove their lines"
            + "".join(f" (did you mean {name}?)" for name in near)
        )
    for key, its in lines.items():
        if its[0].segment and paths[key].is_dir():
            raise UserError(
                f"{its[0].where}: {paths[key]} is a folder of images, which have no times"
            )
    return {path: lines.get(key, [Entry()]) for key, path in paths.items()}


def _refuse_uncut(folder: Path, places: Sequence[Place], listed: Mapping[Path, Sequence[Entry]]):
    """Refuses a file without a line whose folder hardly names its class.

    That is one beside recordings that are cut into other classes, or where more videos are put
    into other classes than have no line.
    """
    moved: collections.Counter[str] = collections.Counter()
    unlisted = collections.defaultdict(list)
    for place in places:
        its = listed[place.path]
        if not its[0].where:
            unlisted[place.class_folder].append(place.path)
        elif any(line.label not in ("", place.class_folder) for line in its):
            moved[place.class_folder] += len(places) if its[0].segment else 1
    for name, paths in unlisted.items():
        if moved[name] > len(paths):
            raise UserError(
                f"{folder / SPLITS_FILE} puts videos in {folder / name} into other classes and"
                f" has no line for {paths[0].relative_to(folder).as_posix()}: add its lines, or"
                " move it"
            )


def _class_names(folder: Path, found: Sequence[tuple[Place, Entry]]) -> list[str]:
    """The class of each video: that of its line, or of its folder."""
    spelled = {_composed(place.class_folder): place.class_folder for place, _ in found}
    names = []
    for place, line in found:
        name = place.class_folder
        if line.label:
            name = spelled.get(_composed(line.label), line.label)
        if not name:
            at = place.path.relative_to(folder).as_posix()
            times = f" {line.segment}" if line.segment else ""
            raise UserError(
                f"{folder / SPLITS_FILE} gives no class for {at}{times}: fill in the column class"
                if line.where
                else f"{folder / at} is in no class folder: move it into one, or give its class in"
                f" {folder / SPLITS_FILE}"
            )
        names.append(name)
    meant = {
        name for (place, line), name in zip(found, names, strict=True) if line.label or place.side
    }
    refuse_capitals(folder, names, meant)
    return names


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _one_group(folder: Path, place: Place, lines: Sequence[Entry]) -> tuple[str, bool]:
    """(the group of all lines of one file, whether it is the file itself)."""
    own, ungrouped = _group(folder, place)
    path = place.path.relative_to(folder).as_posix()
    groups = sorted({line.group or own for line in lines})
    splits = sorted({line.side or place.side for line in lines} - {""})
    for kind, several in (("groups", groups), ("splits", splits)):
        if len(several) > 1:
            raise UserError(
                f"{folder / SPLITS_FILE} puts segments of {path} into the {kind}"
                f" {', '.join(several)}: parts of one recording look alike, so they must stay"
                " together; give all its lines the same"
            )
    if place.side and splits != [place.side]:
        raise UserError(
            f"{lines[0].where} puts {path} into {splits[0]}, its folder into {place.side}: correct"
            " one of them"
        )
    return groups[0], ungrouped and not any(line.group for line in lines)


def _group(folder: Path, place: Place) -> tuple[str, bool]:
    """(the group that folders or the clip's name give, False), or (the clip itself, True)."""
    if place.group:
        return place.group, False
    class_folder = place.class_folder or folder.name
    if match := UCF_NAME.search(place.path.stem):
        return f"{class_folder}/{match[1]}", False
    if place.side:  # a name may come again on another side
        return place.path.with_suffix("").relative_to(folder).as_posix(), True
    return f"{class_folder}/{place.path.stem}", True


def unique_names(folder: Path, paths: list[Path]) -> dict[Path, str]:
    """Names for files: the file name without its ending, or the path where that is not unique."""
    counts = collections.Counter(path.stem for path in paths)
    return {
        path: path.stem if counts[path.stem] == 1 else path.relative_to(folder).as_posix()
        for path in paths
    }


def video_id(name: str, segment: Segment | None) -> str:
    """Id of a video from the name of its file: itself, or with the times of the segment."""
    return f"{name.replace('/', '__')}@{segment.name}" if segment else name
