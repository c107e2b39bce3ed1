"""Frames that repeat the one before, as a recording gets that was raised to a higher frame rate.

No flow is between them, so a clip's stacks are empty wherever such a pair is sampled.
"""

from pathlib import Path

import numpy as np

STILL = 10  # times that a pair changes less than pairs before and after it, where one repeats
REACH = 2  # pairs on either side that are looked at: a frame may come three times
NOTED_FROM = 0.15  # of the pairs: 25 frames a second shown as 30 have one in six


class RepeatCounter:
    """Counts the frames of a video that repeat the one before while those around them move.

    A scene that stands still has no repeats: they are known by motion on both sides of them.
    """

    def __init__(self) -> None:
        self._changes: list[float] = []
        self._last: np.ndarray | None = None

    def add(self, gray: np.ndarray) -> None:
        """Takes the next frame, uint8 (H, W)."""
        small = gray.astype(np.int16)
        if self._last is not None:
            self._changes.append(float(np.abs(small - self._last).mean()))
        self._last = small

    @property
    def share(self) -> float:
        """The share of pairs of frames, 0 to 1, of which the second repeats the first."""
        changes = np.pad(self._changes, REACH)
        count = len(self._changes)
        if not count:
            return 0.0
        windows = np.lib.stride_tricks.sliding_window_view(changes, REACH).max(1)
        before, after = windows[:count], windows[REACH + 1 :]
        return float((STILL * changes[REACH:-REACH] < np.minimum(before, after)).mean())

    def note(self, path: Path) -> str:
        """What is doubtful about the video, in one line; empty where its frames do not repeat."""
        if self.share < NOTED_FROM:
            return ""
        return (
            f"{path}: {self.share:.0%} of its frames repeat the one before, so the flow there is"
            " empty. Take the recording at its own frame rate, or drop the repeats:"
            " ffmpeg -i FILE -vf mpdecimate -fps_mode vfr OUTPUT"
        )
