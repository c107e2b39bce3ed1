"""Which videos train and which test: three protocols, and how much a split leaks.

Videos are anything with `id`, `class_name`, `group`, `ungrouped` and `splits`: a catalogue's
`Video` or a record set's `RecordedVideo`, which has `source_sha256` too.
"""

import dataclasses
import fnmatch
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from preprocessing.errors import UserError

PROTOCOLS = ("official", "group", "paper")
TEST_FRACTION = 0.3  # of the videos, as Ou & Sun 2019 divide them
# The sides of a split, as lists and folders call them.
SIDES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
ROUNDING = 1e-6  # numbers of videos as near as this count as equal


def assign(
    videos: Iterable,
    protocol: str,
    fold: int | str = 1,
    seed: int = 0,
    test_fraction: float = TEST_FRACTION,
) -> dict[str, str]:
    """Divides videos into training and test.

    Example:
        >>> from preprocessing.records import load_record_set
        >>> sides = assign(load_record_set("records").videos, protocol="group", seed=0)
        >>> Counter(sides.values())
        Counter({'train': 18, 'test': 6})

    Args:
        videos: the videos of a catalogue or a record set.
        protocol: `official` follows the lists that came with the data set; `group` draws 7:3 over
            each class's videos by whole groups, so that no test clip has a sibling in training;
            `paper` draws 7:3 over single clips, as Ou & Sun 2019 do, which leaks.
        fold: the official list to follow. A video that the list leaves out is in neither part.
        seed: of the drawing.
        test_fraction: of each class's videos, or of all, where they are drawn.

    Returns:
        video id -> `train` or `test`; or `val`, where an official list has a validation part
        beside a test part. The only one of the two is the test part.

    Raises:
        UserError: the protocol is unknown, there is no such official list, or there are too few
            groups to have both parts.
    """
    videos = sorted(videos, key=lambda video: video.id)
    if protocol == "official":
        return _official(videos, str(fold))
    if protocol == "group":
        return _by_group(videos, random.Random(seed), test_fraction)
    if protocol == "paper":
        return _by_clip(videos, random.Random(seed), test_fraction)
    raise UserError(f"protocol {protocol!r} is unknown: it is one of {', '.join(PROTOCOLS)}")


def group_folds(videos: Iterable, parts: int, seed: int = 0) -> dict[str, int]:
    """Divides videos into parts for cross-validation, by whole groups, with the classes balanced.

    Returns:
        video id -> number of its part, from 0.

    Raises:
        UserError: there are fewer groups than parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    videos = sorted(videos, key=lambda video: video.id)
    groups = [video.group for video in videos]
    if len(set(groups)) < parts:
        raise UserError(
            f"the training videos are of {len(set(groups))} groups, which cannot be divided into "
            f"{parts} folds: ask for fewer"
        )
    labels = [video.class_name for video in videos]
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    return {
        videos[k].id: number
        for number, (_, held_out) in enumerate(folds.split(labels, labels, groups))
        for k in held_out
    }


def leak(videos: Iterable, assignment: Mapping[str, str]) -> float:
    """Fraction of test clips with a sibling or a copy in training or validation.

    Siblings are of one group, in whichever class: they were cut from one video or show one person
    or place, and recognising that is not recognising the action. Copies have the same file.
    """
    tested, trained = _tested(videos, assignment), set()
    for video in videos:
        if assignment.get(video.id) in ("train", "val"):
            trained |= {("group", video.group), ("file", _digest(video))}
    trained.discard(("file", ""))
    siblings = sum(
        ("group", video.group) in trained or ("file", _digest(video)) in trained for video in tested
    )
    return siblings / len(tested) if tested else 0.0


def ungrouped(videos: Iterable, assignment: Mapping[str, str]) -> int:
    """Number of test clips that are their own group, for want of a known one: see `leak_text`."""
    return sum(video.ungrouped for video in _tested(videos, assignment))


def leak_text(leak: float, ungrouped: int, tested: int) -> str:
    """A leak in words, which says where it cannot be known."""
    if ungrouped == tested and ungrouped and not leak:
        return "unknown: every video is its own group"
    more = f" or more: {ungrouped} of {tested} test videos are of no known group"
    return f"{100 * leak:.1f} %" + more * bool(ungrouped)


def _tested(videos: Iterable, assignment: Mapping[str, str]) -> list:
    return [video for video in videos if assignment.get(video.id) == "test"]


def _digest(video) -> str:
    return getattr(video, "source_sha256", "")


@dataclasses.dataclass(frozen=True)
class Division:
    """What a protocol makes of the videos.

    Attributes:
        protocol: its name, with the fold where the data set has several official lists.
        train, test: number of videos on either side.
        val: number of videos of an official validation part.
        impossible: why the protocol cannot divide these videos; empty where it can.
    """

    protocol: str
    train: int = 0
    test: int = 0
    leak: float = 0.0
    ungrouped: int = 0
    val: int = 0
    impossible: str = ""


def divisions(videos: Iterable) -> list[Division]:
    """Every protocol on the same videos, so that their leaks can be compared.

    Of the official lists these are the numbered folds, not the many that hold out one clip or one
    group each.
    """
    videos = list(videos)
    folds = sorted({fold for video in videos for fold in video.splits if fold.isdigit()}, key=int)
    asked = [("official", fold) for fold in folds or ["1"]] + [("group", "1"), ("paper", "1")]
    divided = []
    for protocol, fold in asked:
        name = f"{protocol} {fold}" if protocol == "official" and len(folds) > 1 else protocol
        try:
            assignment = assign(videos, protocol, fold)
        except UserError as error:
            divided.append(Division(name, impossible=str(error)))
            continue
        counts = Counter(assignment.values())
        divided.append(
            Division(
                name,
                counts["train"],
                counts["test"],
                leak(videos, assignment),
                ungrouped(videos, assignment),
                counts["val"],
            )
        )
    return divided


def _official_folds(videos: Iterable) -> list[str]:
    """Names of the official lists: the numbered ones in order, then the others."""
    names = {name for video in videos for name in video.splits}
    return sorted(names, key=lambda name: (not name.isdigit(), len(name), name))


def chosen_folds(videos: Iterable, wanted: str) -> list[str]:
    """The official lists that `wanted` names.

    Args:
        wanted: `all` for the numbered ones, or names and patterns such as `1,3` or `group*`.

    Raises:
        UserError: there are none, or a name or pattern fits none.
    """
    known = _official_folds(videos)
    if wanted == "all":
        folds = [name for name in known if name.isdigit()]
        if not folds:
            _official(videos, "1")  # says what there is
        return folds
    folds = []
    for pattern in wanted.split(","):
        fitting = fnmatch.filter(known, pattern.strip())
        if not fitting:
            _official(videos, pattern.strip())
        folds += [name for name in fitting if name not in folds]
    return folds


def table(divided: Iterable[Division]) -> list[str]:
    """Divisions as lines for the terminal."""
    lines = ["protocol     train    test     leak  (test clips with a sibling in training)"]
    for one in divided:
        words = leak_text(one.leak, one.ungrouped, one.test)
        figures = one.impossible or f"{one.train:>7} {one.test:>7} {words:>9}"
        more = f"  ({one.val} more for validation)" if one.val else ""
        lines.append(f"{one.protocol:<10} {figures}{more}")
    return lines


def _official(videos, fold: str) -> dict[str, str]:
    assignment = {video.id: video.splits[fold] for video in videos if fold in video.splits}
    if assignment and "test" not in assignment.values():
        return {name: "train" if side == "train" else "test" for name, side in assignment.items()}
    if assignment:
        return assignment
    known = _official_folds(videos)
    shown = ", ".join([*known[:8], "..."] if len(known) > 9 else known)
    raise UserError(
        f"there is no official split {fold}: the data set has {shown}"
        if known
        else "the data set has no official split: choose protocol group or paper"
    )


def _by_clip(videos, generator, test_fraction) -> dict[str, str]:
    if len(videos) < 2:
        raise UserError(f"{len(videos)} video cannot be divided into train and test")
    shuffled = generator.sample(videos, len(videos))
    trained = min(max(1, round((1 - test_fraction) * len(videos))), len(videos) - 1)
    return {
        video.id: "train" if index < trained else "test" for index, video in enumerate(shuffled)
    }


def _by_group(videos, generator, test_fraction) -> dict[str, str]:
    """Every class holds out about `test_fraction` of its videos; no group is divided.

    The groups come in one drawn order, whatever their classes, and a group is held out where that
    brings its classes nearer to that fraction. A class still without a test video then gives up the
    group that fits best. No class gives up its last group.
    """
    videos_of: dict[str, Counter[str]] = defaultdict(Counter)  # of a group: videos of each class
    for video in videos:
        videos_of[video.group][video.class_name] += 1
    groups_of = defaultdict(list)  # of a class, in the drawn order
    order = generator.sample(sorted(videos_of), len(videos_of))
    for group in order:
        for name in videos_of[group]:
            groups_of[name].append(group)
    for name, groups in sorted(groups_of.items()):
        if len(groups) < 2:
            raise UserError(
                f"class {name} has {len(groups)} group, and two are needed to have one on each side"
                " of the split: take more of it, name groups (column group of splits.csv or of a"
                " list), or choose protocol paper"
            )
    size = Counter(video.class_name for video in videos)
    held_out: Counter[str] = Counter()  # videos of each class
    groups_held_out: Counter[str] = Counter()  # of each class
    tested = set()

    def spare(group):
        return all(groups_held_out[name] < len(groups_of[name]) - 1 for name in videos_of[group])

    def farther(group):
        """By how many videos holding out the group takes its classes from the fraction."""
        return sum(
            abs(held_out[name] + count - test_fraction * size[name])
            - abs(held_out[name] - test_fraction * size[name])
            for name, count in videos_of[group].items()
        )

    def hold_out(group):
        tested.add(group)
        held_out.update(videos_of[group])
        groups_held_out.update(videos_of[group].keys())

    for group in order:
        if spare(group) and farther(group) < ROUNDING:
            hold_out(group)
    for name in sorted(groups_of):
        if held_out[name]:
            continue
        possible = [group for group in groups_of[name] if spare(group)]
        if not possible:
            raise UserError(
                f"class {name} shares all its groups with classes that need them for training:"
                " choose another split_seed, or protocol paper"
            )
        hold_out(min(possible, key=farther))
    return {video.id: "test" if video.group in tested else "train" for video in videos}
