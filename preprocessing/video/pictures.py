"""From the frames of an open video to pictures: progressive, of usual range, upright, RGB."""

import collections
import os
from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np

from preprocessing.video.frames import FilterError, Filters, display_matrix, rgb_converter

# OpenCV and the FFmpeg in it write their complaints about missing cameras and encoders and about
# damaged images to the terminal; here they become errors. This holds for the whole process.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# Kinds of notes, as in `notes.jsonl`.
DEINTERLACED, HDR = "deinterlaced", "hdr"
_DEINTERLACING = "bwdif=mode=send_frame:deint=interlaced"
# From high dynamic range to the usual one, by swscale's tone mapping.
_TONE_MAPPING = (
    "scale=out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:intent=perceptual",
    "format=gbrp",
)
_HIGH_RANGES = (16, 18)  # transfer curves: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG)


class Pictures:
    """The pictures of one video.

    Args:
        aspect: width of a pixel by its height; 1 leaves the frames as they are stored.

    Attributes:
        repaired: kind of note -> what was done, of what the frames needed.
    """

    def __init__(self, aspect: float):
        self._aspect = aspect
        self._to_rgb = rgb_converter()
        self._tone_mapping: Filters | None = None
        self.repaired: dict[str, str] = {}

    def progressive(self, timed: Iterable[tuple[float, Any]]) -> Iterator[tuple[float, Any]]:
        """Deinterlaces from the first interlaced frame on: one frame out for one in."""
        filters: Filters | None = None
        waiting: collections.deque[float | None] = collections.deque()  # None: it came already
        before = None
        for seconds, frame in timed:
            if filters and not filters.takes(frame):
                yield from _matched(waiting, filters.add(None))
                filters = before = None
            if filters is None and frame.interlaced_frame:
                self.repaired[DEINTERLACED] = "is interlaced: its frames were deinterlaced"
                filters = Filters(frame, _DEINTERLACING)
                if before is not None and filters.takes(before):
                    waiting.append(None)
                    filters.add(before)
            if filters is None:
                yield seconds, frame
            else:
                waiting.append(seconds)
                yield from _matched(waiting, filters.add(frame))
            before = frame
        if filters:
            yield from _matched(waiting, filters.add(None))

    def rgb(self, frame: Any) -> np.ndarray:
        """uint8 (H, W, 3), RGB, as a player shows it."""
        matrix = display_matrix(frame)
        if frame.color_trc in _HIGH_RANGES:
            frame = self._tone_mapped(frame)
        image = self._to_rgb(frame)
        height, width, _ = image.shape
        if self._aspect > 1:
            image = cv2.resize(image, (round(width * self._aspect), height))
        elif self._aspect < 1:
            image = cv2.resize(image, (width, round(height / self._aspect)))
        return image if matrix is None else _turned(image, matrix)

    def _tone_mapped(self, frame: Any) -> Any:
        try:
            if self._tone_mapping is None or not self._tone_mapping.takes(frame):
                self._tone_mapping = Filters(frame, *_TONE_MAPPING)
            (mapped,) = self._tone_mapping.add(frame)
        except FilterError:
            self.repaired[HDR] = "has high dynamic range, which was read as if it had the usual one"
            return frame
        self.repaired[HDR] = "has high dynamic range: its tones were mapped to the usual one"
        return mapped


def _matched(
    waiting: "collections.deque[float | None]", frames: Iterable[Any]
) -> Iterator[tuple[float, Any]]:
    for frame in frames:
        seconds = waiting.popleft()
        if seconds is not None:
            yield seconds, frame


def _turned(image: np.ndarray, matrix: bytes) -> np.ndarray:
    """Turns and mirrors by a display matrix (ISO 14496-12): x' = a x + c y, y' = b x + d y."""
    a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
    if abs(b) > abs(a):
        image, a, d = image.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
