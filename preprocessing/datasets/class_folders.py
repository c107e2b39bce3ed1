"""Anyone's own videos: a folder with a sub-folder for each class, or long ones cut by times."""

import collections
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from preprocessing.datasets import flow_folders
from preprocessing.datasets.catalogue import Catalogue, Video, own_name
from preprocessing.datasets.video_tree import VideoTree, existing_folder
from preprocessing.errors import UserError
from preprocessing.video import EXTENSIONS, Segment

_SPLITS_FILE = "splits.csv"
_UCF_NAME = re.compile(r"_(g\d+)_c\d+$")


@dataclass(frozen=True)
class _Row:
    """A line of `splits.csv`; empty texts where it says nothing."""

    class_name: str = ""
    group: str = ""
    split: str = ""
    segment: Segment | None = None


def load(folder: Path) -> Catalogue:
    """Reads `FOLDER/<class>/<video>`; sub-folders without videos are no classes.

    A clip may also be a folder of jpg or png frames, with ready-made flow in it or beside it (see
    `flow_folders`). `VideoTree` decides what is taken and what is left out. An optional
    `splits.csv` has the columns `video` (path from FOLDER) and any of `class`, `group`, `split`
    (train or test: official split "1"), `start` and `end`.

    A row with `start` and `end`, in seconds, is a video of its own: that part of the file. A file
    has any number of such rows, and lies anywhere in FOLDER; their class is the row's, or the
    folder's where the row has none. Such a video is called `<file>@<start>-<end>`; for a file whose
    name is not unique, `<file>` is its path with `__` for `/`.

    The group of a video is the first that there is of: its group in `splits.csv`; the folders
    between class and clip, so that `jump/anna/1.mp4` and `wave/anna/2.mp4` are both of group
    `anna` (one name in two classes is one person or place, whose look must not be on both sides
    of a split); the group in a name of UCF101's form (`..._g07_c03`), within its class; the file
    itself. The rows of one file have one group.

    Raises:
        UserError: the folder is missing, has no videos, has names that are not UTF-8, or
            `splits.csv` does not fit it.
    """
    folder = Path(folder)
    tree = VideoTree(existing_folder(folder))
    files = [(name, path) for name, paths in tree.class_folders().items() for path in paths]
    rows = _read_splits(folder)
    top_files = {path.name for path in tree.left_out if path.parent == folder}
    at_top = [name for name, listed in rows.items() if listed[0].segment and name in top_files]
    files += [("", folder / name) for name in at_top]
    if not files:
        left_out = "; ".join(tree.report())
        raise UserError(
            f"{folder} has no videos in class folders: it needs {folder}/<class>/<video>, with"
            f" videos ending in {', '.join(EXTENSIONS)}{f' ({left_out})' if left_out else ''}"
        )
    paired = flow_folders.pair(folder, files)
    files = paired.videos
    _refuse_uncut(folder, files, rows)
    names = _unique_names(folder, [path for _, path in files])
    labelled = []
    for class_folder, path in files:
        listed = rows.pop(path.relative_to(folder).as_posix(), [_Row()])
        group = _one_group(folder, class_folder, path, listed)
        for row in listed:
            class_name = _class_of(folder, class_folder, path, row)
            labelled.append((_video_id(names[path], row.segment), path, class_name, group, row))
    if rows:
        raise UserError(
            f"{folder / _SPLITS_FILE} lists {len(rows)} videos that are not there, such as"
            f" {min(rows)}: copy them or remove their lines"
        )
    classes = tuple(sorted({class_name for _, _, class_name, *_ in labelled}))
    videos = tuple(
        Video(
            id=video_id,
            path=path,
            label=classes.index(class_name),
            class_name=class_name,
            group=group,
            splits={"1": row.split} if row.split else {},
            segment=row.segment,
            flow=paired.flow.get(path),
        )
        for video_id, path, class_name, group, row in labelled
    )
    name = own_name("folder", folder.resolve().name)
    report = tree.report((_SPLITS_FILE, *at_top)) + paired.left_out
    return Catalogue(name, classes, videos, report)


def _refuse_uncut(
    folder: Path, files: Sequence[tuple[str, Path]], rows: Mapping[str, Sequence[_Row]]
):
    """Refuses a file beside recordings of other classes, whose folder hardly names its class."""
    listed = [
        (name, rows.get(path.relative_to(folder).as_posix(), ()), path) for name, path in files
    ]
    recordings = {
        name
        for name, its, _ in listed
        for row in its
        if row.segment and row.class_name not in ("", name)
    }
    for name, its, path in listed:
        if name in recordings and not its:
            raise UserError(
                f"{folder / _SPLITS_FILE} cuts recordings in {folder / name} into other classes and"
                f" has no line for {path.relative_to(folder).as_posix()}: add its lines, or move it"
            )


def _class_of(folder: Path, class_folder: str, path: Path, row: _Row) -> str:
    if row.segment:
        if not (row.class_name or class_folder):
            raise UserError(
                f"{folder / _SPLITS_FILE} gives no class for {path.name} from"
                f" {row.segment.start:g} to {row.segment.end:g} s: fill in the column class"
            )
        return row.class_name or class_folder
    if row.class_name not in ("", class_folder):
        raise UserError(
            f"{folder / _SPLITS_FILE} puts {path.relative_to(folder).as_posix()} into class"
            f" {row.class_name}, its folder into {class_folder}: correct one of them"
        )
    return class_folder


def _one_group(folder: Path, class_folder: str, path: Path, rows: Sequence[_Row]) -> str:
    """The group of all rows of one file.

    Raises:
        UserError: they have several, or several splits: one recording would train and test.
    """
    own = _group(path.relative_to(folder), class_folder or folder.name)
    groups = sorted({row.group or own for row in rows})
    splits = sorted({row.split for row in rows} - {""})
    for kind, several in (("groups", groups), ("splits", splits)):
        if len(several) > 1:
            raise UserError(
                f"{folder / _SPLITS_FILE} puts segments of {path.relative_to(folder).as_posix()}"
                f" into the {kind} {', '.join(several)}: parts of one recording look alike, so"
                " they must stay together; give all its lines the same"
            )
    return groups[0]


def _group(path: Path, class_name: str) -> str:
    """The folders between a class and its clip, or the group in the clip's name."""
    above = path.parent.parts
    between = above[above.index(class_name) + 1 :] if class_name in above else ()
    if between:
        return "/".join(between)
    match = _UCF_NAME.search(path.stem)
    return f"{class_name}/{match[1] if match else path.stem}"


def _unique_names(folder: Path, paths: list[Path]) -> dict[Path, str]:
    """Names for files: the file name without its ending, or the path where that is not unique."""
    counts = collections.Counter(path.stem for path in paths)
    return {
        path: path.stem if counts[path.stem] == 1 else path.relative_to(folder).as_posix()
        for path in paths
    }


def _video_id(name: str, segment: Segment | None) -> str:
    return f"{name.replace('/', '__')}@{segment.name}" if segment else name


def _read_splits(folder: Path) -> dict[str, list[_Row]]:
    """Path from the folder -> its rows of splits.csv, empty if there is none."""
    path = folder / _SPLITS_FILE
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if "video" not in (reader.fieldnames or ()):
            raise UserError(
                f"{path} has columns {', '.join(reader.fieldnames or ())}: it needs `video` and any"
                " of `class`, `group`, `split`, `start` and `end`"
            )
        rows: dict[str, list[_Row]] = collections.defaultdict(list)
        for name, row in _parsed_rows(path, reader):
            others = {other.segment for other in rows[name]}
            if row.segment in others:
                times = (
                    f" from {row.segment.start:g} to {row.segment.end:g} s" if row.segment else ""
                )
                raise UserError(f"{path} lists {name}{times} twice: remove one line")
            if others and (row.segment is None or None in others):
                raise UserError(
                    f"{path} lists {name} as a whole and from a start to an end: remove the line"
                    " without times, or give it some"
                )
            rows[name].append(row)
    return dict(rows)


def _parsed_rows(path: Path, reader: csv.DictReader) -> Iterator[tuple[str, _Row]]:
    for values in reader:
        where = f"{path} line {reader.line_num}"
        row = {name: value or "" for name, value in values.items() if name}
        split = row.get("split", "")
        if split not in ("", "train", "test"):
            raise UserError(f"{where} has split {split!r}: it is train, test or empty")
        segment = _segment(where, path.parent / row["video"], row)
        yield row["video"], _Row(row.get("class", ""), row.get("group", ""), split, segment)


def _segment(where: str, video: Path, row: dict[str, str]) -> Segment | None:
    start, end = (row.get(name, "").strip() for name in ("start", "end"))
    if not (start or end):
        return None
    try:
        times = float(start), float(end)
    except ValueError as error:
        raise UserError(
            f"{where} has start {start!r} and end {end!r}: both are numbers, in seconds, or empty"
        ) from error
    try:
        segment = Segment(*times)
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    if video.is_dir():
        raise UserError(f"{where}: {video} is a folder of images, which have no times")
    return segment
