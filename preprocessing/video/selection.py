"""Which frames of a video count: all, those of a lower rate, or those that do not repeat.

A recording that was raised to a higher frame rate has frames that repeat the one before. No flow is
between them, so a clip's stacks are empty wherever such a pair is sampled.
"""

import collections
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.settings import REPEATS
from preprocessing.video.film import usual_fps
from preprocessing.video.resizing import grayscale, resize
from preprocessing.video.segments import Segment

_SIZE = 64  # of the pictures that are compared
_ROUNDING = 1e-6  # of a frame
_STILL = 10  # times that a pair changes less than pairs before and after it, where one repeats
_REACH = 2  # pairs on either side that are looked at: a frame may come three times
_NOTED_FROM = 0.15  # of the pairs: 25 frames a second shown as 30 have one in six


@dataclass(frozen=True)
class Selection:
    """Takes some of a video's frames, by their times and by what they show.

    Attributes:
        fps: frames a second that are taken, of a video that has more; 0 takes all.
        repeats: `drop` leaves out frames that repeat the one before while those around them move
            (see `RepeatCounter`), before any rate is counted; `keep` keeps them.
    """

    fps: float = 0.0
    repeats: str = REPEATS[0]

    @property
    def takes_some(self) -> bool:
        """Whether frames may be left out."""
        return self.fps > 0 or self.repeats == "drop"

    def rate(self, claimed: float) -> float:
        """Frames a second that are taken of a source that claims so many."""
        usual = usual_fps(claimed)
        return min(usual, self.fps) if self.fps else usual

    def num_frames(self, claimed: int, fps: float, segment: Segment | None = None) -> int:
        """About how many frames are taken of a source whose header claims so many at a rate."""
        if segment:
            claimed = segment.num_frames(fps, claimed)
        fps = usual_fps(fps)
        if not 0 < self.fps < fps or not claimed:
            return claimed
        first = math.ceil(segment.start * fps) if segment else 0
        slots = [int(k / fps * self.fps + _ROUNDING) for k in (first, first + claimed - 1)]
        return slots[1] - slots[0] + 1

    def __call__(
        self,
        timed: Iterable[tuple[float, Any]],
        pixels: Callable[[Any], np.ndarray] = lambda frame: frame,
    ) -> Iterator[tuple[float, Any]]:
        """The taken ones of (seconds, frame).

        Args:
            pixels: gives uint8 (H, W, 3), RGB, of a frame, where `repeats` needs them.
        """
        chosen = _without_repeats(timed, pixels) if self.repeats == "drop" else iter(timed)
        return _at_rate(chosen, self.fps) if self.fps else chosen


def _at_rate(timed: Iterable[tuple[float, Any]], fps: float):
    """The first frame at or after each multiple of 1 / fps seconds; none comes twice."""
    last = -1
    for seconds, frame in timed:
        slot = int(seconds * fps + _ROUNDING)
        if slot > last:
            last = slot
            yield seconds, frame


def _without_repeats(timed: Iterable[tuple[float, Any]], pixels: Callable[[Any], np.ndarray]):
    # Changes of _REACH pairs before a pair, of the pair itself, and of _REACH pairs behind it.
    changes: collections.deque[float] = collections.deque([0.0] * (2 * _REACH + 1), 2 * _REACH + 1)
    held: collections.deque[tuple[float, Any]] = collections.deque()
    last = None
    for seconds, frame in timed:
        small = grayscale(resize(pixels(frame), _SIZE)).astype(np.int16)
        if last is None:
            yield seconds, frame
        else:
            changes.append(float(np.abs(small - last).mean()))
            held.append((seconds, frame))
            if len(held) > _REACH:
                yield from _unless_repeated(held, changes)
        last = small
    while held:
        changes.append(0.0)
        yield from _unless_repeated(held, changes)


def _unless_repeated(held, changes):
    one = held.popleft()
    if not _is_repeat(tuple(changes)):
        yield one


def _is_repeat(changes: Sequence[float]) -> bool:
    """Whether a pair of frames is one of which the second repeats the first.

    Args:
        changes: mean changes of grey of _REACH pairs before it, of it, and of _REACH behind it.
    """
    before, after = max(changes[:_REACH]), max(changes[_REACH + 1 :])
    return _STILL * changes[_REACH] < min(before, after)


def _repeats(changes: Sequence[float]) -> int:
    """How many pairs of a run of neighbours repeat."""
    if not changes:
        return 0
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(changes, _REACH), 2 * _REACH + 1)
    return sum(_is_repeat(window) for window in windows)


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
        if self.share < _NOTED_FROM:
            return ""
        return (
            f"{path}: {self.share:.0%} of its frames repeat the one before, so the flow there is"
            " empty: experiments.prepare --repeats=drop leaves them out"
        )
