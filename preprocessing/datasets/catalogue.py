"""What every data set gives: the list of its videos with labels, groups and official splits."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from preprocessing.datasets.titles import PUBLISHED
from preprocessing.errors import UserError
from preprocessing.video import Segment, checked_name

COLLECTIONS = ("synthetic", *PUBLISHED)  # names that no other set takes


@dataclass(frozen=True, slots=True)
class Video:
    """One labelled clip on disk.

    Example:
        >>> video = Video("v_Wave_g01_c01", Path("Wave/g01.mp4"), 0, "Wave", "g01", splits={})
        >>> video.class_name, video.group, video.segment
        ('Wave', 'g01', None)

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
        flow: of a clip of images, the folders of its ready-made x and y flow pictures, as
            `preprocessing.video.flow_files` takes them; None if there are none.
    """

    id: str
    path: Path
    label: int
    class_name: str
    group: str
    splits: dict[str, str]
    segment: Segment | None = None
    ungrouped: bool = False
    flow: tuple[Path, Path] | None = None


@dataclass(frozen=True)
class Catalogue:
    """A data set: class names in label order, and its videos.

    Example:
        >>> videos = [Video(f"v_{k}", Path(f"{k}.mp4"), 0, "Wave", f"g{k}", {}) for k in range(4)]
        >>> catalogue = Catalogue("mine", ("Wave",), tuple(videos))
        >>> len(catalogue.videos)
        4

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
            checked_name(video.path)
            if video.id in path_of:
                raise UserError(
                    f"two videos are called {video.id}, {path_of[video.id]} and {video.path}:"
                    " remove the copy, or rename one"
                )
            path_of[video.id] = video.path


def own_name(kind: str, name: str) -> str:
    """A catalogue's name that is not taken for a published collection's.

    Example:
        >>> own_name("folder", "cats"), own_name("folder", "ucf101")
        ('cats', 'folder:ucf101')

    Args:
        kind: of its source, such as `folder`.
        name: as the user called it.

    Returns:
        The name; `folder:ucf101` for a folder that happens to be called `ucf101`.
    """
    return f"{kind}:{name}" if name in COLLECTIONS else name


def refuse_capitals(source: Path, names: Iterable[str], meant: Collection[str]):
    """Refuses classes of a source that differ only in capitals, where one is among the `meant`.

    Example:
        >>> refuse_capitals(Path("videos"), ["Run", "run"], meant=["run"])
        Traceback (most recent call last):
        preprocessing.errors.UserError: videos has classes Run and run, which differ ...

    Args:
        source: folder or list that names them.
        names: of all classes.
        meant: those that are surely classes, as a list says.

    Raises:
        UserError: names the two.
    """
    of_letters: dict[str, str] = {}
    for name in sorted(set(names)):
        other = of_letters.setdefault(name.casefold(), name)
        if other != name and (other in meant or name in meant):
            raise UserError(
                f"{source} has classes {other} and {name}, which differ only in capitals: call them"
                " alike"
            )
