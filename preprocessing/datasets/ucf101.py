"""UCF101: Soomro, Zamir & Shah, 2012. 13,320 clips of 101 actions, 25 groups a class.

https://www.crcv.ucf.edu/data/UCF101.php has two archives: the clips and the official split lists.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.datasets.lists import clip_name, official_splits, read_class_names, read_lines
from preprocessing.datasets.video_tree import find_files, named_videos
from preprocessing.errors import UserError

# Published archive: the folder that it holds.
_CLIPS_ARCHIVE, _LISTS_ARCHIVE = "UCF101.rar", "UCF101TrainTestSplits-RecognitionTask.zip"
ARCHIVES = {_CLIPS_ARCHIVE: "UCF-101", _LISTS_ARCHIVE: "ucfTrainTestlist"}
NAME = re.compile(r"v_(?P<class_name>\w+)_(?P<group>g\d+)_c\d+", re.IGNORECASE)
_INDEX = re.compile(r"classind\.txt", re.IGNORECASE)
_LIST = re.compile(r"(?P<side>train|test)list(?P<fold>\d*)\.txt", re.IGNORECASE)
_LABEL = re.compile(r"[\s,;]+\d+$")  # behind the name of a clip


def load(folder: Path) -> Catalogue:
    """Reads the clips and the official lists that are there, both anywhere under `folder`.

    Names are compared without case: the lists and the clips spell one class differently
    (`HandStandPushups`, `HandstandPushups`).

    Raises:
        UserError: there are no clips, a clip is of no known class, or as `read_official`.
    """
    folder = Path(folder)
    clips, others = named_videos(
        folder,
        NAME,
        f"UCF101, which are called v_<class>_gGG_cCC: unpack {_CLIPS_ARCHIVE} in it"
        f" ({ARCHIVES[_CLIPS_ARCHIVE]}/<class>/)",
    )
    official = read_official(folder)
    indices = [path for path, _ in find_files(folder, _INDEX)]
    classes = tuple(read_class_names(indices[0]).values()) if indices else _classes_of(clips)
    label_of = {name.lower(): label for label, name in enumerate(classes)}
    videos = []
    for path, match in clips:
        label = label_of.get(match["class_name"].lower())
        if label is None:
            raise UserError(
                f"{path} is of no class in {indices[0]}: add {match['class_name']} to it, or remove"
                " the clip"
            )
        group = f"{classes[label]}/{match['group'].lower()}"
        splits = official.get(match[0].lower(), {})
        videos.append(Video(match[0], path, label, classes[label], group, splits))
    if not official:
        others.append(f"no official splits: {folder} has no trainlist01.txt and testlist01.txt")
    return Catalogue("ucf101", classes, tuple(videos), tuple(others))


def read_official(folder: Path) -> dict[str, dict[str, str]]:
    """Lower-case clip name -> {"1": "train", "2": "test", ...}, from the split lists in a folder.

    Raises:
        UserError: a fold has one of its two lists only, or has a clip in both.
    """
    lists: dict[tuple[str, str], list[Path]] = {}
    for path, match in find_files(folder, _LIST):
        lists.setdefault((str(int(match["fold"] or 1)), match["side"].lower()), []).append(path)
    for (fold, side), paths in lists.items():
        other = {"train": "test", "test": "train"}[side]
        if (fold, other) not in lists:
            raise UserError(
                f"{paths[0]} has no {other}list{int(fold):02d}.txt beside it, and a fold needs"
                f" both: copy it, or remove {paths[0].name}"
            )
    return official_splits(
        (where, clip_name(_LABEL.sub("", line)).lower(), fold, side)
        for (fold, side), paths in lists.items()
        for path in paths
        for where, line in read_lines(path)
    )


def _classes_of(clips: Iterable[tuple[Path, re.Match[str]]]) -> tuple[str, ...]:
    """The classes in the names of clips, by name; spelt as the folder where that has the name."""
    spelt: dict[str, str] = {}
    for path, match in clips:
        name = match["class_name"]
        same = path.parent.name.lower() == name.lower()
        spelt.setdefault(name.lower(), path.parent.name if same else name)
    return tuple(spelt[name] for name in sorted(spelt))
