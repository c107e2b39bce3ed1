"""Frames that repeat the one before, as a recording gets that was raised to a higher frame rate.

No flow is between them, so a clip's stacks are empty wherever such a pair is sampled.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

STILL = 10  # times that a pair changes less than pairs before and after it, where one repeats
REACH = 2  # pairs on either side that are looked at: a frame may come three times
NOTED_FROM = 0.15  # of the pairs: 25 frames a second shown as 30 have one in six


def is_repeat(changes: Sequence[float]) -> bool:
    """Whether a pair of frames is one of which the second repeats the first.

    Args:
        changes: mean changes of grey of REACH pairs before it, of the pair, and of REACH behind it.
    """
    before, after = max(changes[:REACH]), max(changes[REACH + 1 :])
    return STILL * changes[REACH] < min(before, after)


def _repeats(changes: Sequence[float]) -> int:
    """How many pairs of a run of neighbours repeat."""
    if not changes:
        return 0
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(changes, REACH), 2 * REACH + 1)
    return sum(is_repeat(window) for window in windows)


class RepeatCounter:
    """Counts the frames of a video that repeat the one before while those around them move.

    A scene that stands still has no repeats: they are known by motion on both sides of them.

    Attributes:
        largest: the largest change from a frame to the next one taken, in grey levels, mean over
            the picture.
    """

    def __init__(self) -> None:
        self._runs: list[list[float]] = [[]]  # changes between neighbours
        self._last: np.ndarray | None = None
        self.largest = 0.0

    def add(self, gray: np.ndarray, follows: bool = True) -> None:
        """Takes the next frame.

        Args:
            gray: uint8 (H, W).
            follows: whether it is the neighbour of the frame taken before.
        """
        small = gray.astype(np.int16)
        if self._last is not None:
            change = float(np.abs(small - self._last).mean())
            self.largest = max(self.largest, change)
            if follows:
                self._runs[-1].append(change)
            else:
                self._runs.append([])
        self._last = small

    @property
    def share(self) -> float:
        """The share of pairs of frames, 0 to 1, of which the second repeats the first.

        Beside a gap, where it cannot be known of a pair, pairs do not count.
        """
        edges = 2 if len(self._runs) > 1 else 0
        known = sum(max(0, len(changes) - edges) for changes in self._runs)
        return sum(map(_repeats, self._runs)) / known if known else 0.0

    def note(self, path: Path) -> str:
        """What is doubtful about the video, in one line; empty where its frames do not repeat."""
        if self.share < NOTED_FROM:
            return ""
        return (
            f"{path}: {self.share:.0%} of its frames repeat the one before, so the flow there is"
            " empty: experiments.prepare --repeats=drop leaves them out"
        )
