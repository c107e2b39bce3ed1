"""Which frames of a video count: all, those of a lower rate, or those that do not repeat."""

import collections
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from preprocessing.settings import REPEATS
from preprocessing.video.film import usual_fps
from preprocessing.video.repeats import REACH, is_repeat
from preprocessing.video.resizing import grayscale, resize
from preprocessing.video.segments import Segment

_SIZE = 64  # of the pictures that are compared
_ROUNDING = 1e-6  # of a frame


@dataclass(frozen=True)
class Selection:
    """Takes some of a video's frames, by their times and by what they show.

    Attributes:
        fps: frames a second that are taken, of a video that has more; 0 takes all.
        repeats: `drop` leaves out frames that repeat the one before while those around them move
            (see `preprocessing.video.repeats`), before any rate is counted; `keep` keeps them.
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
            timed: the frames.
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
    # Changes of REACH pairs before a pair, of the pair itself, and of REACH pairs behind it.
    changes: collections.deque[float] = collections.deque([0.0] * (2 * REACH + 1), 2 * REACH + 1)
    held: collections.deque[tuple[float, Any]] = collections.deque()
    last = None
    for seconds, frame in timed:
        small = grayscale(resize(pixels(frame), _SIZE)).astype(np.int16)
        if last is None:
            yield seconds, frame
        else:
            changes.append(float(np.abs(small - last).mean()))
            held.append((seconds, frame))
            if len(held) > REACH:
                yield from _unless_repeated(held, changes)
        last = small
    while held:
        changes.append(0.0)
        yield from _unless_repeated(held, changes)


def _unless_repeated(held, changes):
    one = held.popleft()
    if not is_repeat(tuple(changes)):
        yield one
