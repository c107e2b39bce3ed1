"""What FFmpeg makes of its decoded frames: filtered ones, pixels, and how they are turned."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import Interpolation, VideoReformatter

from preprocessing.video.film import FAILURES


class FilterError(Exception):
    """FFmpeg has no such filter, or it refuses a frame."""


class Filters:
    """A chain of FFmpeg's filters for frames of one size and format.

    Args:
        frame: one of them.
        names: of the filters, with their options behind `=`.

    Raises:
        FilterError: the chain cannot be made.
    """

    def __init__(self, frame: Any, *names: str):
        self._kind, self._count = _kind(frame), 0
        self._graph = av.filter.Graph()
        self._graph.threads = 1
        size = {"width": frame.width, "height": frame.height}
        try:
            nodes = [self._graph.add_buffer(**size, format=frame.format, time_base=Fraction(1))]
            nodes += [self._graph.add(*name.split("=", 1)) for name in (*names, "buffersink")]
            self._graph.link_nodes(*nodes).configure()
        except FAILURES as error:
            raise FilterError(str(error)) from error

    def takes(self, frame: Any) -> bool:
        """Whether a frame has the size and format of the others."""
        return _kind(frame) == self._kind

    def add(self, frame: Any) -> list[Any]:
        """Takes the next frame, or None at the end, and gives those that are ready.

        Raises:
            FilterError: the filters refuse it.
        """
        if frame is not None:
            frame.pts, frame.time_base = self._count, Fraction(1)
            self._count += 1
        ready = []
        try:
            self._graph.vpush(frame)
            while True:
                ready.append(self._graph.vpull())
        except (av.error.BlockingIOError, av.error.EOFError):
            return ready
        except FAILURES as error:
            raise FilterError(str(error)) from error


def _kind(frame: Any) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def display_matrix(frame: Any) -> bytes | None:
    """How a frame is to be turned and mirrored, as ISO 14496-12 writes it; None if not at all.

    PyAV's `frame.side_data` refers to the frame, which refers to it: hundreds stayed in memory.
    """
    matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    return None if matrix is None else bytes(matrix)


def rgb_converter() -> Callable[[Any], np.ndarray]:
    """A function of PyAV's frames: uint8 (H, W, 3), RGB, by the color matrix that a frame names.

    All are brought to the size of the first, where it changes within a video.
    """
    reformatter = VideoReformatter()
    width = height = 0

    def rgb(frame: Any) -> np.ndarray:
        nonlocal width, height
        width, height = width or frame.width, height or frame.height
        return reformatter.reformat(
            frame, width, height, "rgb24", interpolation=Interpolation.BICUBIC, threads=1
        ).to_ndarray()

    return rgb
