"""What a published collection should hold, compared name by name with what is there."""

import collections
from collections.abc import Mapping
from pathlib import Path

from preprocessing.datasets import ucf11, ucf101, ucf_sports
from preprocessing.datasets.catalogue import Catalogue


def differences(catalogue: Catalogue, folder: Path) -> list[str]:
    """One line for every difference from the published collection; none for other catalogues.

    Args:
        catalogue: as loaded, not limited.
        folder: where it was loaded from; UCF101's official lists name every clip.
    """
    if catalogue.name == "ucf101":
        return _ucf101(catalogue, folder)
    expected = {"ucf11": ucf11.CLIPS, "ucf_sports": ucf_sports.CLIPS}.get(catalogue.name)
    return _counts(catalogue, expected) if expected else []


def _counts(catalogue: Catalogue, expected: Mapping[str, int]) -> list[str]:
    counts = collections.Counter(video.class_name for video in catalogue.videos)
    lines = [
        f"class {name}: {counts[name]} clips found, {count} published"
        for name, count in expected.items()
        if counts[name] != count
    ]
    return _with_total(catalogue, lines, sum(expected.values()))


def _ucf101(catalogue: Catalogue, folder: Path) -> list[str]:
    official = set(ucf101.read_official(folder))
    names = {video.id.lower() for video in catalogue.videos}
    lines = [f"missing: {name}" for name in sorted(official - names)]
    lines += [f"in no official list: {name}" for name in sorted(names - official)]
    return _with_total(catalogue, lines, ucf101.NUM_VIDEOS)


def _with_total(catalogue: Catalogue, lines: list[str], total: int) -> list[str]:
    if lines or len(catalogue.videos) != total:
        lines.insert(0, f"{catalogue.name}: {len(catalogue.videos)} clips found, {total} published")
    return lines
