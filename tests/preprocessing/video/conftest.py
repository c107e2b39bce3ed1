import av
import cv2
import numpy as np
import pytest


def _scene(number, size):
    """A picture that differs from its mirror images and moves by 3 pixels a frame."""
    width, height = size
    noise = np.random.default_rng(7).integers(0, 200, (height, width, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    image[: height // 4, : width // 4] = (255, 40, 40)
    left = (5 + 3 * number) % (width - 16)
    image[height // 2 : height // 2 + 12, left : left + 16] = (40, 210, 90)
    return image


@pytest.fixture(scope="session")
def encode():
    """Writes `_scene` as a video, with whatever FFmpeg's encoder and writer can be asked for."""

    def write(
        path,
        codec="libx264",
        num_frames=10,
        size=(64, 48),
        rate=25,
        pixels="yuv420p",
        options=None,
        container=None,
        stamps=None,
        prepare=lambda stream: None,
        mark=lambda frame: None,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w", options=container or {}) as file:
            stream = file.add_stream(codec, rate=rate, options=options or {})
            stream.width, stream.height = size
            stream.pix_fmt, stream.thread_count = pixels, 1
            prepare(stream)
            for number in range(num_frames):
                image = av.VideoFrame.from_ndarray(_scene(number, size), format="rgb24")
                frame = image.reformat(format=pixels)
                mark(frame)
                frame.pts = number if stamps is None else stamps[number]
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
        return path

    return write


# Encoder and options that give interlaced pictures; the endings are those of camcorders and discs.
INTERLACED = {
    "h264.mp4": ("libx264", {"flags": "+ildct+ilme", "x264-params": "tff=1"}, {}),
    "avchd.mts": ("libx264", {"flags": "+ildct+ilme"}, {}),
    "broadcast.ts": ("mpeg2video", {"flags": "+ildct+ilme"}, {}),
    "disc.vob": ("mpeg2video", {"flags": "+ildct+ilme"}, {}),
    "disc.mpg": ("mpeg2video", {"flags": "+ildct+ilme"}, {}),
    "xvid.avi": ("mpeg4", {"flags": "+ildct+ilme"}, {}),
    "camcorder.avi": ("dvvideo", {}, {"size": (720, 576)}),
    "studio.mov": ("prores_ks", {"flags": "+ildct"}, {"pixels": "yuv422p10le"}),
}


@pytest.fixture(params=INTERLACED)
def interlaced(request, tmp_path, encode):
    codec, options, more = INTERLACED[request.param]
    path = tmp_path / request.param.replace(".mts", ".ts")
    encode(path, codec, options=options, **more)
    return path.rename(tmp_path / request.param)
