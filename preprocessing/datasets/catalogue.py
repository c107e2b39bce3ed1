"""What every data set gives: the list of its videos with labels, groups and official splits."""

from dataclasses import dataclass
from pathlib import Path


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
        splits: official fold number as text -> "train" or "test"; empty if there are none.
    """

    id: str
    path: Path
    label: int
    class_name: str
    group: str
    splits: dict[str, str]


@dataclass(frozen=True)
class Catalogue:
    """A data set: class names in label order, and its videos."""

    name: str
    classes: tuple[str, ...]
    videos: tuple[Video, ...]
