"""What every data set gives: the list of its videos with labels, groups and official splits."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.video import Segment

# Classes and clips of the collections that are compared with published totals and results.
PUBLISHED = {
    "ucf101": (101, 13_320),
    "ucf11": (11, 1_600),
    "ucf_sports": (10, 150),
    "hmdb51": (51, 6_766),
}
COLLECTIONS = ("synthetic", *PUBLISHED)  # names that no other set takes


@dataclass(frozen=True)
class Video:
    """One labelled clip on disk.

    Attributes:
        id: name unique in its catalogue, such as `v_PushBox_g03_c01`.
        path: the video file.
        label: index of the class in `Catalogue.classes`.
        class_name: `Catalogue.classes[label]`.
        group: clips of one group were cut from one source or share one look, so no protocol
            that claims to test generalisation may divide a group. Unique per class where groups
            of different classes are unrelated ("Basketball/g01"), shared where they are not.
        splits: official fold number as text -> "train", "val" or "test"; empty if there are none.
        segment: the part of the file that is the video; None for all of it.
        ungrouped: whether the group is the video alone because nothing says what it belongs to.
    """

    id: str
    path: Path
    label: int
    class_name: str
    group: str
    splits: dict[str, str]
    segment: Segment | None = None
    ungrouped: bool = False


@dataclass(frozen=True)
class Catalogue:
    """A data set: class names in label order, and its videos.

    Attributes:
        name: one of `COLLECTIONS` for these alone (see `own_name`).
        classes: their names.
        videos: with labels that index `classes`.
        left_out: one line for each kind of thing that lies among the videos and is not taken, or
            that they lack.

    Raises:
        UserError: two videos have one id, or a path is not UTF-8.
    """

    name: str
    classes: tuple[str, ...]
    videos: tuple[Video, ...]
    left_out: tuple[str, ...] = ()

    def __post_init__(self):
        path_of: dict[str, Path] = {}
        for video in self.videos:
            if not files.is_utf8(video.path):
                raise UserError(f"the name {files.printable(video.path)} is not UTF-8: rename it")
            if video.id in path_of:
                raise UserError(
                    f"two videos are called {video.id}, {path_of[video.id]} and {video.path}:"
                    " remove the copy, or rename one"
                )
            path_of[video.id] = video.path


def own_name(kind: str, name: str) -> str:
    """A catalogue's name that is not taken for a published collection's.

    Args:
        kind: of its source, such as `folder`.
        name: as the user called it.

    Returns:
        The name; `folder:ucf101` for a folder that happens to be called `ucf101`.
    """
    return f"{kind}:{name}" if name in COLLECTIONS else name


def title(name: str, class_names: Iterable[str]) -> str:
    """What figures of a data set are headed with: its name, and which part of a collection it is.

    A figure of a part is not comparable with one of the whole collection, which alone has the
    bare name.

    Args:
        name: of a catalogue.
        class_names: of the class of each of its videos.

    Returns:
        The name, or such as `ucf101 (13 of 101 classes, 1494 of 13320 clips)`.
    """
    if name not in PUBLISHED:
        return name
    of_clips = list(class_names)
    classes, clips = PUBLISHED[name]
    if (len(set(of_clips)), len(of_clips)) == (classes, clips):
        return name
    return f"{name} ({len(set(of_clips))} of {classes} classes, {len(of_clips)} of {clips} clips)"


def titled_name(title_or_name: str) -> str:
    """The name of the catalogue that has such a `title`."""
    name = title_or_name.partition(" (")[0]
    return name if name in PUBLISHED else title_or_name
