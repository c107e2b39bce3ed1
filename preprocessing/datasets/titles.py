"""What figures of a data set are headed with, so that a part never passes for the whole."""

from collections.abc import Iterable

# Classes and clips of the collections that are compared with published totals and results.
PUBLISHED = {
    "ucf101": (101, 13_320),
    "ucf11": (11, 1_600),
    "ucf_sports": (10, 150),
    "hmdb51": (51, 6_766),
}

# What whoever uses a network that learned from a collection is bound by.
_RESEARCH = "videos of others, collected for research; it names no licence: for research"
TERMS = {name: _RESEARCH for name in ("ucf101", "ucf11", "ucf_sports")}


def title(name: str, class_names: Iterable[str]) -> str:
    """What figures of a data set are headed with: its name, and which part of a collection it is.

    A figure of a part is not comparable with one of the whole collection, which alone has the
    bare name.

    Args:
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
