"""What a published collection should hold, compared name by name with what is there."""

import collections
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from preprocessing.datasets import hmdb51, ucf11, ucf101, ucf_sports
from preprocessing.datasets.catalogue import Catalogue
from preprocessing.datasets.titles import PUBLISHED


def differences(catalogue: Catalogue, folder: Path) -> list[str]:
    """One line for every difference from the published collection; none for other catalogues.

    Args:
        catalogue: as loaded, not limited.
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
    missing = [name for name in official - names if loader.class_of(name) in ("", *of_clips)]
    lines += [f"missing: {name}" for name in sorted(missing)]
    return lines + [f"in no official list: {name}" for name in sorted(names - official)]
