"""A part of a video by its times, as annotators of long recordings write them down."""

import math
from dataclasses import dataclass

from preprocessing.errors import UserError

# Frames are taken to half a millisecond, the finest that containers such as Matroska tell apart.
TOLERANCE = 0.0005  # seconds


@dataclass(frozen=True)
class Segment:
    """The frames shown at `start <= time < end` of a video, in seconds, to the millisecond.

    Raises:
        UserError: a time is not finite or negative, or the segment has no length.
    """

    start: float
    end: float

    def __post_init__(self):
        for name in ("start", "end"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"{name} {value} is no time in seconds: it is 0 or more")
            object.__setattr__(self, name, round(value, 3))
        if self.end <= self.start:
            raise UserError(f"end {self.end:g} is not after start {self.start:g}")

    def __str__(self):
        return f"from {self.start:g} to {self.end:g} s"

    @property
    def name(self) -> str:
        """Its times, such as `12.5-17`; different for different segments."""
        return "-".join(f"{value:.3f}".rstrip("0").rstrip(".") for value in (self.start, self.end))

    def begins_after(self, seconds: float) -> bool:
        """Whether a frame at this time comes before the segment."""
        return seconds < self.start - TOLERANCE

    def ended_at(self, seconds: float) -> bool:
        """Whether a frame at this time comes after the segment."""
        return seconds >= self.end - TOLERANCE

    def num_frames(self, fps: float, available: int) -> int:
        """About how many frames it has.

        Args:
            fps: frames a second of the video, 0 where unknown.
            available: frames of the whole video.
        """
        if not fps:
            return available
        return max(0, min(math.ceil(self.end * fps), available) - math.ceil(self.start * fps))
