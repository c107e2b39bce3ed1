"""The `--source` of a preparation: a name, and for what is on disk a folder."""

import collections
import dataclasses
from collections.abc import Callable
from pathlib import Path

from preprocessing.datasets import (
    archives,
    class_folders,
    folder_layout,
    published_totals,
    tfds_video,
    ucf11,
    ucf101,
    ucf_sports,
)
from preprocessing.datasets.catalogue import Catalogue
from preprocessing.datasets.synthetic import dataset
from preprocessing.errors import UserError

# Kind of source on disk: (its loader, the archives that its folder may hold).
_ON_DISK: dict[str, tuple[Callable[[Path], Catalogue], dict[str, str]]] = {
    "folder": (class_folders.load, {}),
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
    """The catalogue of a source.

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
    if kind == "tfds" and place:
        return Source(tfds_video.load(place, videos_folder))
    if kind not in _ON_DISK or not place:
        known = ", ".join(["synthetic", "tfds:NAME", *(f"{name}:DIR" for name in _ON_DISK)])
        raise UserError(f"source {source!r} is unknown: it is one of {known}")
    load_folder, published = _ON_DISK[kind]
    root = archives.unpacked(Path(place).expanduser(), published)
    catalogue = load_folder(root)
    if kind == "folder":
        folder_layout.check(root, catalogue)
    return Source(catalogue, tuple(published_totals.differences(catalogue, root)))


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
