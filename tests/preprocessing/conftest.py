import av
import cv2
import numpy as np
import pytest

from benchmarks import films
from preprocessing.datasets import class_folders
from preprocessing.preparation import conversion
from preprocessing.preparation import prepare as preparation
from preprocessing.preparation.local import local_runner

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
        width, height = size
        generator = np.random.default_rng(seed)
        texture = generator.integers(0, 120, (height, width, 3), np.uint8)
        texture = cv2.GaussianBlur(texture, (0, 0), 2)
        texture[: height // 6, : width // 6] = 255
        frames = [texture.copy() for _ in range(num_frames)]
        for index, frame in enumerate(frames):
            left = (5 + step * index) % (width - 12)
            frame[height // 2 : height // 2 + 10, left : left + 12] = (40, 210, 90)
        films.write_video(path, frames, fourcc, 25)
        return path

    return write


@pytest.fixture(scope="session")
def write_container(encode):
    """Writes `num_frames` of 64 x 48 pixels at 25 frames/s with FFmpeg, one of `CONTAINERS`."""

    def write(folder, name, num_frames=30, sound_seconds=0.0):
        codec, container = CONTAINERS[name]
        noise = np.random.default_rng(0).integers(0, 256, (48, 64 + 3 * num_frames, 3), np.uint8)
        images = [np.ascontiguousarray(noise[:, 3 * k : 3 * k + 64]) for k in range(num_frames)]
        kind = _FORMATS.get((folder / name).suffix.lower())
        return encode(
            folder / name,
            codec,
            images=images,
            pixels=_PIXELS.get(codec, "yuv420p"),
            key_frames=12,
            container=container,
            kind=kind,
            sound_seconds=sound_seconds,
        )

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
    """Writes a video with whatever FFmpeg's encoder and writer can be asked for.

    It is of `images`, uint8 (H, W, 3), or of `num_frames` of `_scene`.
    """

    def write(
        path,
        codec="libx264",
        num_frames=10,
        size=(64, 48),
        rate=25,
        pixels="yuv420p",
        options=None,
        container=None,
        kind=None,
        stamps=None,
        images=None,
        key_frames=None,
        sound_seconds=0.0,
        prepare=lambda stream: None,
        mark=lambda frame: None,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        images = images or [_scene(number, size) for number in range(num_frames)]
        with av.open(str(path), "w", format=kind, options=container or {}) as file:
            stream = file.add_stream(codec, rate=rate, options=options or {})
            stream.height, stream.width, _ = images[0].shape
            stream.pix_fmt, stream.thread_count = pixels, 1
            if key_frames:
                stream.gop_size = key_frames
            prepare(stream)
            sound = file.add_stream("libopus", rate=48000) if sound_seconds else None
            for number, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
                mark(frame)
                frame.pts = number if stamps is None else stamps[number]
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
            for k in range(round(50 * sound_seconds)):
                silence = np.zeros((1, 960), np.int16)
                frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
                frame.sample_rate, frame.pts = 48000, 960 * k
                file.mux(sound.encode(frame))
            if sound:
                file.mux(sound.encode())
        return path

    return write


class Preparing:
    """Prepares folders of class folders, 16 x 16 pixels unless other settings are given.

    An `output` is a folder in that of the test.
    """

    def __init__(self, folder):
        self._folder = folder

    def __call__(self, videos, output="records", settings=None, workers=1, update=False, run=None):
        settings = settings or conversion.Settings(image_size=16)
        run = run or local_runner(workers, time_limit=60)
        catalogue = class_folders.load(videos)
        return preparation.prepare(catalogue, self._folder / output, settings, run, update)

    def files(self, output="records"):
        """Name -> bytes of the files in it."""
        paths = (self._folder / output).iterdir()
        return {path.name: path.read_bytes() for path in paths if path.is_file()}

    def from_scratch(self, videos, **options):
        """The files of a set that is made of the videos as they are now."""
        self(videos, "from_scratch", **options)
        return self.files("from_scratch")


@pytest.fixture
def prepare(tmp_path):
    return Preparing(tmp_path)
