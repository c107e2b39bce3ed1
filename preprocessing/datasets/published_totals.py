"""What a published collection should hold, compared name by name with what is there."""

import collections
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


def _counts(catalogue, expected) -> list[str]:
    found = collections.Counter(video.class_name for video in catalogue.videos)
    lines = [
        f"class {name}: {found[name]} clips found, {count} published"
        for name, count in expected.items()
        if found[name] != count
    ]
    return _with_total(catalogue, lines, sum(expected.values()))


def _ucf101(catalogue, folder) -> list[str]:
    (lists, *_) = sorted(Path(folder).rglob("classInd.txt"))
    official = ucf101.read_official(lists.parent)
    found = {video.id.lower() for video in catalogue.videos}
    lines = [f"missing: {name}" for name in sorted(set(official) - found)]
    lines += [f"in no official list: {name}" for name in sorted(found - set(official))]
    return _with_total(catalogue, lines, ucf101.NUM_VIDEOS)


def _with_total(catalogue, lines, total) -> list[str]:
    if lines or len(catalogue.videos) != total:
        lines.insert(0, f"{catalogue.name}: {len(catalogue.videos)} clips found, {total} published")
    return lines
