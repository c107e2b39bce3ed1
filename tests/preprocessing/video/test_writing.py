import subprocess
import sys

import av
import numpy as np
import pytest

from benchmarks import films
from preprocessing import video
from preprocessing.errors import UserError


def _noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def _written(folder, frames):
    path = folder / f"clip{video.LOSSLESS_EXTENSION}"
    video.write_lossless(path, frames)
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


# Writes a film through `files.write_with`, as programs do, where a file may have so many bytes.
FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from preprocessing import files, video
path, limit = Path(sys.argv[1]), int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
rng = np.random.default_rng(0)

def write(temporary):
    writer = video.VideoWriter(temporary, 25)
    try:
        for _ in range(60):
            writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    finally:
        writer.close()

try:
    files.write_with(path, write)
except OSError as error:
    print(error)
"""


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".webm"])
def test_a_film_is_whole_or_absent_on_a_full_disk(suffix, tmp_path):
    path = tmp_path / f"film{suffix}"

    def write(limit):
        command = [sys.executable, "-c", FULL, path, str(limit)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert write(1 << 30) == ""
    size = path.stat().st_size
    path.unlink()
    # At the header, in the middle, and where an index or a last length is missing alone.
    for limit in (10, size // 3, size - 3000, size - 1):
        assert f"File too large: '{path}'" in write(limit)
        assert not list(tmp_path.iterdir())
    assert write(size) == ""
    assert len(list(video.read_frames(path))) == 60


@pytest.mark.parametrize(
    ("suffix", "codec", "formats"), [(".mp4", "h264", {"mov", "mp4"}), (".webm", "vp8", {"webm"})]
)
def test_a_film_is_of_a_kind_that_browsers_play(suffix, codec, formats, tmp_path):
    gray = [frame.mean(-1, keepdims=True) for frame in films.moving_textures(30, 80, 64)]
    frames = np.stack(gray).astype(np.uint8).repeat(3, -1)
    path = tmp_path / f"film{suffix}"
    writer = video.VideoWriter(path, 29.97)
    for frame in frames:
        writer.write(frame)
    writer.close()
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert stream.codec.name == codec and stream.pix_fmt == "yuv420p"
        assert formats <= set(container.format.name.split(","))
        assert float(stream.average_rate) == pytest.approx(29.97, abs=0.01)
    if suffix == ".mp4":
        content = path.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")  # it plays while it comes
    read = np.stack(list(video.read_frames(path)))
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).mean() < 8


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_the_same_frames_are_the_same_bytes(suffix, tmp_path):
    contents = []
    for name in "ab":
        writer = video.VideoWriter(tmp_path / f"{name}{suffix}", 25)
        for frame in films.moving_textures(20, 320, 240):
            writer.write(np.ascontiguousarray(frame))
        writer.close()
        contents.append(writer.path.read_bytes())
    assert contents[0] == contents[1]


def test_a_film_without_a_frame_is_no_file(tmp_path):
    video.VideoWriter(tmp_path / "new" / "film.mp4", 25).close()
    assert not list(tmp_path.iterdir())


def test_a_build_without_the_encoder_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(av, "codecs_available", {"ffv1"})
    with pytest.raises(UserError, match="no libx264rgb"):
        video.VideoWriter(tmp_path / "film.mkv", 25)
