"""Writing frames as video files: lossless ones, to be read again, and films, to be looked at.

PyAV writes both, which reports what the disk refuses. OpenCV's writer reports nothing, and cuts odd
heights and widths to even ones.
"""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.stream import VideoStream

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.video.film import UNKNOWN_FPS

LOSSLESS_EXTENSION = ".mkv"
# Browsers play the other two. With its index in front, an mp4 plays before the whole is there.
_ENCODERS = {".mkv": "libx264rgb", ".mp4": "libx264", ".webm": "libvpx"}
_PIXELS = {".mkv": "rgb24", ".mp4": "yuv420p", ".webm": "yuv420p"}
_CONTAINER_OPTIONS = {".mp4": {"movflags": "faststart"}, ".webm": {"fflags": "bitexact"}}
_ENCODER_OPTIONS = {
    ".mkv": {"qp": "0", "preset": "ultrafast", "threads": "1"},
    # With its macroblock tree, x264's instructions for AVX-512 give other bytes now and then.
    ".mp4": {"preset": "veryfast", "crf": "20", "x264-params": "mbtree=0"},
    ".webm": {"deadline": "good", "cpu-used": "5", "crf": "10", "b": "2M"},
}
_FINEST_RATE = 1001  # largest denominator of a frame rate


def write_lossless(path: Path, frames: np.ndarray):
    """Writes a file of LOSSLESS_EXTENSION and UNKNOWN_FPS, in one step.

    `read_frames` gives back every bit of it.

    Args:
        frames: uint8 (N, H, W, 3), RGB, at least one.

    Raises:
        UserError: PyAV was built without the codec.
    """

    def write(temporary: Path):
        writer = VideoWriter(temporary, UNKNOWN_FPS)
        for frame in frames:
            writer.write(frame)
        writer.close()

    files.write_with(path, write)


class VideoWriter:
    """Writes RGB frames to a file; the first makes its folder.

    A file counts only when `close` has returned, as at the end of a `with` block: write it in
    `files.write_with`.

    Args:
        path: `.mp4` (H.264) or `.webm` (VP8), which browsers play, or LOSSLESS_EXTENSION.

    Attributes:
        count: frames written.

    Raises:
        UserError: PyAV was built without the codec.
    """

    def __init__(self, path: Path, fps: float):
        self.path, self.count = path, 0
        self._rate = Fraction(fps).limit_denominator(_FINEST_RATE)
        self._file: tuple[OutputContainer, VideoStream] | None = None
        if (codec := _ENCODERS[path.suffix]) not in av.codecs_available:
            raise UserError(
                f"this build of PyAV has no {codec}, which writes videos: install the package av of"
                " PyPI"
            )

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, frame: np.ndarray) -> None:
        """Appends a frame.

        Args:
            frame: uint8 (H, W, 3), RGB, with H and W that all frames have; even for browsers.

        Raises:
            OSError: the disk is full, or the file cannot be written.
        """
        container, stream = file = self._file or self._opened(*frame.shape[:2])
        picture = av.VideoFrame.from_ndarray(frame, "rgb24")
        picture.pts, picture.time_base = self.count, 1 / self._rate
        self._file = None  # FFmpeg crashes where a file is finished that could not be written
        with _named_by_callers():
            container.mux(stream.encode(picture))
        self._file, self.count = file, self.count + 1

    def _opened(self, height: int, width: int) -> tuple[OutputContainer, VideoStream]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kind = self.path.suffix
        container = av.open(str(self.path), "w", options=_CONTAINER_OPTIONS.get(kind))
        stream = container.add_stream(_ENCODERS[kind], self._rate, options=_ENCODER_OPTIONS[kind])
        stream.height, stream.width, stream.pix_fmt = height, width, _PIXELS[kind]
        return container, stream

    def close(self) -> None:
        """Finishes the file, if there was a frame and all could be written; raises as `write`."""
        if self._file is None:
            return
        container, stream = self._file
        self._file = None
        with _named_by_callers():
            container.mux(stream.encode(None))
            container.close()


@contextlib.contextmanager
def _named_by_callers() -> Iterator[None]:
    """Takes the temporary name out of PyAV's error, so that `files.write_with` says the other."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror) from error
