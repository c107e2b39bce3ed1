"""The `--source` of a preparation: its videos, and how they differ from what was published."""

import collections
import dataclasses
import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from preprocessing.datasets import (
    archives,
    class_folders,
    folder_layout,
    hmdb51,
    listed,
    tfds_video,
    ucf11,
    ucf101,
    ucf_sports,
)
from preprocessing.datasets.catalogue import Catalogue
from preprocessing.datasets.synthetic import dataset
from preprocessing.datasets.titles import PUBLISHED
from preprocessing.errors import UserError

# Kind of source on disk: (its loader, the archives that its folder may hold).
_ON_DISK: dict[str, tuple[Callable[[Path], Catalogue], dict[str, str]]] = {
    "folder": (class_folders.load, {}),
    "hmdb51": (hmdb51.load, {}),
    "ucf101": (ucf101.load, ucf101.ARCHIVES),
    "ucf11": (ucf11.load, ucf11.ARCHIVES),
    "ucf_sports": (ucf_sports.load, ucf_sports.ARCHIVES),
}


@dataclasses.dataclass(frozen=True)
class Source:
    """A catalogue, and how it differs from the published collection, a line each."""

    catalogue: Catalogue
    differences: tuple[str, ...] = ()


def load(
    source: str, videos_folder: Path, seed: int, groups: int, clips_per_group: int, workers: int
) -> Source:
    """The catalogue of a source; a published collection has only the classes that have clips.

    Args:
        source: `synthetic`, `tfds:NAME`, or `folder:DIR` and the like, where DIR may be an
            archive, and may hold the archives of a published collection.
        videos_folder: where `synthetic` and `tfds` write their videos.
        seed, groups, clips_per_group, workers: for `synthetic`, see `dataset.write_dataset`.

    Raises:
        UserError: the source is unknown, its folder is missing or holds no videos, a `folder` has
            one class or data sets in place of classes, an archive cannot be unpacked, or two
            videos have one id.
    """
    kind, _, place = source.partition(":")
    if kind == "synthetic" and not place:
        return Source(
            dataset.write_dataset(
                videos_folder,
                seed=seed,
                groups=groups,
                clips_per_group=clips_per_group,
                workers=workers,
            )
        )
    if kind == "list" and place:
        return Source(listed.load(place))
    if kind == "tfds" and place:
        return Source(tfds_video.load(place, videos_folder))
    if kind not in _ON_DISK or not place:
        known = ", ".join(
            ["synthetic", "tfds:NAME", "list:FILE", *(f"{name}:DIR" for name in _ON_DISK)]
        )
        raise UserError(f"source {source!r} is unknown: it is one of {known}")
    load_folder, published = _ON_DISK[kind]
    root = archives.unpacked(Path(place).expanduser(), published)
    catalogue = load_folder(root)
    if kind == "folder":
        folder_layout.check(root, catalogue)
    there = {video.class_name for video in catalogue.videos}
    return Source(_with_classes(catalogue, there), tuple(differences(catalogue, root)))


def differences(catalogue: Catalogue, folder: Path) -> list[str]:
    """One line for every difference from the published collection; none for other catalogues.

    Args:
        folder: where it was loaded from; official lists name every clip.
    """
    if catalogue.name not in PUBLISHED:
        return []
    if catalogue.name in ("ucf101", "hmdb51"):
        loader = ucf101 if catalogue.name == "ucf101" else hmdb51
        lines = _names(catalogue, loader, folder)
    else:
        lines = _counts(catalogue, ucf11.CLIPS if catalogue.name == "ucf11" else ucf_sports.CLIPS)
    found, (_, total) = len(catalogue.videos), PUBLISHED[catalogue.name]
    if lines or found != total:
        lines.insert(0, f"{catalogue.name}: {found} clips found, {total} published")
    return lines


def _counts(catalogue: Catalogue, expected: Mapping[str, int]) -> list[str]:
    counts = collections.Counter(video.class_name for video in catalogue.videos)
    return [
        f"class {name}: {counts[name]} clips found, {count} published"
        for name, count in expected.items()
        if counts[name] != count
    ]


def _names(catalogue: Catalogue, loader: ModuleType, folder: Path) -> list[str]:
    """Of clips that the official lists name; classes without any clip are one line together."""
    official = {name.lower() for name in loader.read_official(folder)}
    if not official:
        return []
    names = {video.id.lower() for video in catalogue.videos}
    of_clips = {video.class_name.lower() for video in catalogue.videos}
    absent = [name for name in catalogue.classes if name.lower() not in of_clips]
    of_all = f"{len(absent)} of {len(catalogue.classes)} classes"
    lines = [f"no clips of {of_all}: {', '.join(absent)}"] if absent else []
    for name in sorted(official - names):
        match = loader.NAME.fullmatch(name)
        if not match or match["class_name"].lower() in of_clips:
            lines.append(f"missing: {name}")
    return lines + [f"in no official list: {name}" for name in sorted(names - official)]


def choose_classes(catalogue: Catalogue, names: Sequence[str]) -> Catalogue:
    """The videos of the classes of these names, compared without case; of all where none is given.

    Raises:
        UserError: there is no such class; the message has the most similar name.
    """
    if not names:
        return catalogue
    chosen: set[str] = set()
    for name in map(str.strip, names):
        same = [one for one in catalogue.classes if one.casefold() == name.casefold()]
        if not same:
            known = {one.casefold(): one for one in catalogue.classes}
            near = difflib.get_close_matches(name.casefold(), known, 1, cutoff=0)
            raise UserError(
                f"--classes names {name!r}, and {catalogue.name} has no videos of such a class: did"
                f" you mean {known[near[0]]}?"
            )
        chosen.update([name] if name in same else same)
    return _with_classes(catalogue, chosen)


def _with_classes(catalogue: Catalogue, names: Collection[str]) -> Catalogue:
    """A catalogue of some of the classes alone, in their order."""
    classes = tuple(name for name in catalogue.classes if name in names)
    label_of = {name: label for label, name in enumerate(classes)}
    videos = tuple(
        dataclasses.replace(video, label=label_of[video.class_name])
        for video in catalogue.videos
        if video.class_name in label_of
    )
    return dataclasses.replace(catalogue, classes=classes, videos=videos)


def limit_per_class(catalogue: Catalogue, limit: int | None) -> Catalogue:
    """The first `limit` videos of each class (None: all), from as many groups as possible."""
    if limit is None:
        return catalogue
    rank_in_group: collections.Counter[tuple[str, str]] = collections.Counter()
    ranked = []
    for video in sorted(catalogue.videos, key=lambda video: video.id):
        key = video.class_name, video.group
        ranked.append((rank_in_group[key], video.id, video))
        rank_in_group[key] += 1
    taken: collections.Counter[int] = collections.Counter()
    kept = []
    for *_, video in sorted(ranked, key=lambda entry: entry[:2]):
        if taken[video.label] < limit:
            taken[video.label] += 1
            kept.append(video)
    return dataclasses.replace(catalogue, videos=tuple(kept))
