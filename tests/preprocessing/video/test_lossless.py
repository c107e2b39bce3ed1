import io

import av
import cv2
import numpy as np
import pytest

from experiments.benchmarks import films
from preprocessing import files, video
from preprocessing.errors import UserError
from preprocessing.video import lossless


def _noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def _written(folder, frames):
    path = folder / f"clip{video.LOSSLESS_EXTENSION}"
    with files.writing(path) as file:
        video.write_lossless(file, frames)
    return path


@pytest.mark.parametrize(
    "frames",
    [
        _noise(5, 48, 64),
        _noise(3, 47, 63),
        _noise(2, 7, 13),
        _noise(1, 1, 1),
        np.stack([np.full((16, 16, 3), level, np.uint8) for level in (0, 255, 1, 254, 128)]),
        np.eye(3, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2) * 255,  # pure colors
        np.stack([frame[..., ::-1] for frame in films.moving_textures(40, 80, 60)]),
        np.repeat(_noise(1, 20, 30), 70, 0),  # one that stands still
    ],
    ids=lambda frames: "x".join(map(str, frames.shape)),
)
def test_every_bit_comes_back(frames, tmp_path):
    path = _written(tmp_path, frames)
    notes = []
    read = list(video.read_timed_frames(path, lambda *note: notes.append(note)))
    np.testing.assert_array_equal([frame for _, frame in read], frames)
    times = [seconds for seconds, _ in read]
    np.testing.assert_allclose(times, np.arange(len(frames)) / video.UNKNOWN_FPS, atol=1e-6)
    assert video.probe(path).fps == video.UNKNOWN_FPS
    assert not notes


def test_opencv_reads_it_too(tmp_path):
    frames = _noise(4, 48, 64)
    reader = cv2.VideoCapture(str(_written(tmp_path, frames)))
    read = [cv2.cvtColor(reader.read()[1], cv2.COLOR_BGR2RGB) for _ in frames]
    np.testing.assert_array_equal(read, frames)
    assert not reader.read()[0]


def test_a_full_disk_is_an_error():
    with pytest.raises(OSError, match="No space left"), open("/dev/full", "wb") as file:
        video.write_lossless(file, _noise(20, 48, 64))


def test_a_build_without_the_codec_is_told(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"ffv1"})
    with pytest.raises(UserError, match="no libx264rgb"):
        lossless.write_lossless(io.BytesIO(), _noise(1, 8, 8))
