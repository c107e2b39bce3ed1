"""Writing frames as a video file from which `read_frames` gives back every bit of them.

PyAV writes it: lossless H.264 of RGB. OpenCV's writer cuts odd heights and widths to even ones.
"""

from fractions import Fraction
from typing import BinaryIO

import av
import numpy as np

from preprocessing.errors import UserError
from preprocessing.video.film import UNKNOWN_FPS

LOSSLESS_EXTENSION = ".mkv"
_CODEC = "libx264rgb"
_OPTIONS = {"qp": "0", "preset": "ultrafast"}


def write_lossless(file: BinaryIO, frames: np.ndarray):
    """Writes a Matroska file of UNKNOWN_FPS.

    Args:
        file: open for writing.
        frames: uint8 (N, H, W, 3), RGB, at least one.

    Raises:
        UserError: PyAV was built without the codec.
    """
    if _CODEC not in av.codecs_available:
        raise UserError(
            f"this build of PyAV has no {_CODEC}, which writes lossless video: install the package"
            " av of PyPI"
        )
    rate = Fraction(UNKNOWN_FPS)
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(_CODEC, rate, options=_OPTIONS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        stream.codec_context.thread_count = 1
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            picture.pts, picture.time_base = number, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
