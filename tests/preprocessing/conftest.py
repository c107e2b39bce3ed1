import av
import cv2
import numpy as np
import pytest

# Name of a file, codec, options of the container's writer: what phones, cameras and the web give.
CONTAINERS = {
    "faststart.mp4": ("libx264", {"movflags": "faststart"}),
    "faststart.m4v": ("mpeg4", {"movflags": "faststart"}),
    "faststart.mov": ("mpeg4", {"movflags": "faststart"}),
    "faststart.3gp": ("mpeg4", {"movflags": "faststart"}),
    "fragments.mp4": ("libx264", {"movflags": "frag_keyframe+empty_moov"}),
    "camera.avi": ("mjpeg", {}),
    "divx.avi": ("mpeg4", {}),
    "film.mkv": ("libx264", {}),
    "live.mkv": ("libx264", {"live": "1"}),
    "web.webm": ("libvpx", {}),
    "windows.wmv": ("wmv2", {}),
    "windows.asf": ("wmv2", {}),
    "flash.flv": ("flv1", {}),
    "loop.gif": ("gif", {}),
    "disc.mpg": ("mpeg1video", {}),
    "disc.vob": ("mpeg2video", {}),
    "television.ts": ("libx264", {}),
    "camcorder.MTS": ("libx264", {"mpegts_m2ts_mode": "1"}),
}
_FORMATS = {".asf": "asf", ".m4v": "mp4", ".mts": "mpegts"}
_PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p"}


@pytest.fixture(scope="session")
def write_video():
    """Writes a small real video: a bright square that moves right, a white corner top left."""

    def write(path, num_frames=6, fourcc="mp4v", size=(64, 48), step=3, seed=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        generator = np.random.default_rng(seed)
        texture = generator.integers(0, 120, (height, width, 3), np.uint8)
        texture = cv2.GaussianBlur(texture, (0, 0), 2)
        texture[: height // 6, : width // 6] = 255
        writer = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*fourcc), 25, size
        )
        assert writer.isOpened(), path
        for index in range(num_frames):
            frame = texture.copy()
            left = (5 + step * index) % (width - 12)
            frame[height // 2 : height // 2 + 10, left : left + 12] = (40, 210, 90)
            writer.write(frame)
        writer.release()
        return path

    return write


@pytest.fixture(scope="session")
def write_container():
    """Writes `num_frames` of 64 x 48 pixels at 25 frames/s with FFmpeg, one of `CONTAINERS`."""

    def write(folder, name, num_frames=30, sound_seconds=0.0):
        codec, options = CONTAINERS[name]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 256, (48, 64 + 3 * num_frames, 3), np.uint8)
        kind = _FORMATS.get(path.suffix.lower())
        with av.open(str(path), "w", format=kind, options=options) as file:
            picture = file.add_stream(codec, rate=25)
            picture.width, picture.height, picture.gop_size = 64, 48, 12
            picture.pix_fmt = _PIXELS.get(codec, "yuv420p")
            picture.thread_count = 1
            sound = file.add_stream("libopus", rate=48000) if sound_seconds else None
            for k in range(num_frames):
                image = np.ascontiguousarray(noise[:, 3 * k : 3 * k + 64])
                file.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            file.mux(picture.encode())
            for k in range(round(50 * sound_seconds)):
                silence = np.zeros((1, 960), np.int16)
                frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
                frame.sample_rate, frame.pts = 48000, 960 * k
                file.mux(sound.encode(frame))
            if sound:
                file.mux(sound.encode())
        return path

    return write


@pytest.fixture(scope="session")
def copy_stream():
    """As `ffmpeg -ss START -i SOURCE -c copy PATH`: from the key frame before START seconds."""

    def copy(source, path, start=0.0, **options):
        with av.open(str(source)) as film, av.open(str(path), "w", options=options) as file:
            picture = film.streams.video[0]
            stream = file.add_stream_from_template(picture)
            before = round(start / picture.time_base)
            film.seek(before, stream=picture)
            for packet in film.demux(picture):
                if packet.dts is not None:
                    packet.pts, packet.dts = packet.pts - before, packet.dts - before
                    packet.stream = stream
                    file.mux(packet)
        return path

    return copy


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
