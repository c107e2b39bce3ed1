"""Anyone's own videos: a folder with a sub-folder for each class."""

import collections
import csv
import re
from pathlib import Path

from preprocessing.datasets.catalogue import Catalogue, Video, own_name
from preprocessing.datasets.video_tree import VideoTree, existing_folder
from preprocessing.errors import UserError
from preprocessing.video import EXTENSIONS

_SPLITS_FILE = "splits.csv"
_UCF_NAME = re.compile(r"_(g\d+)_c\d+$")


def load(folder: Path) -> Catalogue:
    """Reads `FOLDER/<class>/<video>`; sub-folders without videos are no classes.

    A clip may also be a folder of jpg or png frames. `VideoTree` decides what is taken and what is
    left out. An optional `splits.csv` has the columns `video` (path from FOLDER) and any of
    `class`, `group`, `split` (train or test: official split "1").

    The group of a video is the first that there is of: its group in `splits.csv`; the folders
    between class and clip, so that `jump/anna/1.mp4` and `wave/anna/2.mp4` are both of group
    `anna` (one name in two classes is one person or place, whose look must not be on both sides
    of a split); the group in a name of UCF101's form (`..._g07_c03`), within its class; the video
    itself.

    Raises:
        UserError: the folder is missing, has no videos, has names that are not UTF-8, or
            `splits.csv` does not fit it.
    """
    folder = Path(folder)
    tree = VideoTree(existing_folder(folder))
    paths = tree.class_folders()
    classes = tuple(name for name, videos in paths.items() if videos)
    if not classes:
        left_out = "; ".join(tree.report())
        raise UserError(
            f"{folder} has no videos in class folders: it needs {folder}/<class>/<video>, with"
            f" videos ending in {', '.join(EXTENSIONS)}{f' ({left_out})' if left_out else ''}"
        )
    rows = _read_splits(folder)
    ids = _unique_ids(folder, [path for name in classes for path in paths[name]])
    videos = []
    for label, name in enumerate(classes):
        for path in paths[name]:
            row = rows.pop(path.relative_to(folder).as_posix(), {})
            if row.get("class", name) != name:
                raise UserError(
                    f"{folder / _SPLITS_FILE} puts {row['video']} into class {row['class']}, its"
                    f" folder into {name}: correct one of them"
                )
            group = row.get("group") or _group(path, folder / name)
            splits = {"1": row["split"]} if row.get("split") else {}
            videos.append(Video(ids[path], path, label, name, group, splits))
    if rows:
        raise UserError(
            f"{folder / _SPLITS_FILE} lists {len(rows)} videos that are not there, such as"
            f" {min(rows)}: copy them or remove their lines"
        )
    name = own_name("folder", folder.resolve().name)
    return Catalogue(name, classes, tuple(videos), tree.report((_SPLITS_FILE,)))


def _group(path: Path, class_folder: Path) -> str:
    """The folders between a class and its clip, or the group in the clip's name."""
    between = path.parent.relative_to(class_folder)
    if between.parts:
        return between.as_posix()
    match = _UCF_NAME.search(path.stem)
    return f"{class_folder.name}/{match[1] if match else path.stem}"


def _unique_ids(folder: Path, paths: list[Path]) -> dict[Path, str]:
    """Names for videos: the file name without its ending, or the path where that is not unique."""
    counts = collections.Counter(path.stem for path in paths)
    return {
        path: path.stem if counts[path.stem] == 1 else path.relative_to(folder).as_posix()
        for path in paths
    }


def _read_splits(folder: Path) -> dict[str, dict[str, str]]:
    """Path from the folder -> its row of splits.csv, empty if there is none."""
    path = folder / _SPLITS_FILE
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if "video" not in (reader.fieldnames or ()):
            raise UserError(
                f"{path} has columns {', '.join(reader.fieldnames or ())}: it needs `video` and any"
                " of `class`, `group`, `split`"
            )
        rows = {}
        for row in reader:
            if row.get("split") not in (None, "", "train", "test"):
                raise UserError(
                    f"{path} line {reader.line_num} has split {row['split']!r}: it is train, test"
                    " or empty"
                )
            if row["video"] in rows:
                raise UserError(f"{path} lists {row['video']} twice: remove one line")
            rows[row["video"]] = row
    return rows
