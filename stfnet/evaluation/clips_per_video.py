"""The views of a video whose probabilities are averaged: several clips, and their mirror images.

The paper's evaluation is one view, the clip of Eqs. 13-14.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from preprocessing.errors import UserError


@dataclasses.dataclass(frozen=True)
class Views:
    """Which views of each video are evaluated.

    So many clips a video, at `stfnet.sampling.test_starts`; with `flip` the mirror image of each
    clip too, where `mirror_pairs` are classes that a mirror turns into each other, such as ("left",
    "right").
    """

    num_clips: int = 1
    flip: bool = False
    mirror_pairs: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The attributes as JSON values."""
        pairs = [list(pair) for pair in self.mirror_pairs]
        return {**dataclasses.asdict(self), "mirror_pairs": pairs}

    @property
    def suffix(self) -> str:
        """What the names of the result files say of the views; empty for the paper's one."""
        clips = f"-{self.num_clips}clips" if self.num_clips > 1 else ""
        return clips + ("-flip" if self.flip else "")

    @property
    def flags(self) -> str:
        """Flags of experiments.evaluate that ask for these views, each after a space."""
        clips = f" --num_clips={self.num_clips}" if self.num_clips > 1 else ""
        return clips + (" --flip" if self.flip else "")

    @property
    def flips(self) -> tuple[bool, ...]:
        """Whether to mirror, for each pass over the clips."""
        return (False, True) if self.flip else (False,)


ONE_CLIP = Views()  # the paper's


def parse_mirror_pairs(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Reads pairs of classes, such as `left:right`; a UserError for what is no pair."""
    pairs = []
    for name in names:
        left, colon, right = name.partition(":")
        if not (left and colon and right) or ":" in right or left == right:
            raise UserError(
                f"--mirror_pairs has {name!r}, and two different classes are needed, such as "
                "left:right,open_left:open_right"
            )
        pairs.append((left, right))
    return tuple(pairs)


def mirrored_classes(views: Views, classes: Sequence[str]) -> np.ndarray:
    """The class that a mirror turns each class into: int64 (C,), a permutation that is its own
    inverse.

    Raises:
        UserError: a pair names a class that there is not, or a class stands in two pairs.
    """
    index = {name: label for label, name in enumerate(classes)}
    permutation = np.arange(len(classes))
    paired: set[str] = set()
    for pair in views.mirror_pairs:
        for name, other in (pair, pair[::-1]):
            if name not in index:
                raise UserError(
                    f"--mirror_pairs names the class {name!r}, which the run does not have: its "
                    f"classes are {', '.join(list(classes)[:10])}"
                    + (", ..." if len(classes) > 10 else "")
                )
            if name in paired:
                raise UserError(f"--mirror_pairs names the class {name!r} in two pairs")
            paired.add(name)
            permutation[index[name]] = index.get(other, 0)
    return permutation


def average(
    probabilities: Mapping[bool, np.ndarray], num_clips: int, mirrored: np.ndarray
) -> np.ndarray:
    """The mean over the views of each video, float32 (N, C).

    The probabilities are float32 (N * K, C) of the K clips of each video, in neighbouring rows,
    under False, and of their mirror images under True where there are any; column c of a mirror
    image counts for class `mirrored[c]`, see `mirrored_classes`.
    """
    views = [rows[:, mirrored] if flip else rows for flip, rows in probabilities.items()]
    stacked = np.stack([rows.reshape(-1, num_clips, rows.shape[1]) for rows in views])
    return stacked.mean(axis=(0, 2), dtype=np.float64).astype(np.float32)
