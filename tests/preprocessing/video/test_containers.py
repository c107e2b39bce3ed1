import re

import pytest

from preprocessing.video import containers

# Written by FFmpeg, whatever their extension says.
CONTAINER_OF = {
    "faststart.mp4": "MP4",
    "faststart.mov": "MP4",
    "faststart.3gp": "MP4",
    "camera.avi": "AVI",
    "film.mkv": "Matroska",
    "web.webm": "Matroska",
    "windows.wmv": "Windows Media",
    "flash.flv": "Flash video",
    "loop.gif": "GIF",
    "disc.mpg": "MPEG program stream",
    "television.ts": "MPEG transport stream",
}


@pytest.mark.parametrize("name", CONTAINER_OF)
def test_a_container_is_known_by_its_first_bytes(tmp_path, write_container, name):
    path = write_container(tmp_path, name).rename(tmp_path / "film.xyz")
    assert containers.container(path) == CONTAINER_OF[name]


def test_an_old_mov_without_its_signature_is_an_mp4(tmp_path):
    path = tmp_path / "old.mov"
    path.write_bytes((8).to_bytes(4, "big") + b"wide" + (100).to_bytes(4, "big") + b"mdat")
    assert containers.container(path) == "MP4"


@pytest.mark.parametrize(
    ("name", "declared"),
    [("faststart.mp4", "frames"), ("camera.avi", "frames"), ("film.mkv", "duration")]
    + [(name, None) for name in ("disc.mpg", "television.ts", "flash.flv", "loop.gif")],
)
def test_what_a_header_declares_depends_on_the_container(tmp_path, write_container, name, declared):
    assert containers.declares(write_container(tmp_path, name)) == declared


def test_text_is_no_container_and_declares_nothing(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"What is in a name?")
    assert containers.container(path) is None
    assert containers.declares(path) is None
    path.write_bytes(b"")
    assert containers.container(path) is None


RIFF = b"RIFF" + bytes(4)


@pytest.mark.parametrize(
    ("content", "outcome", "reason"),
    [
        (b"", "zero_bytes", "is empty"),
        (RIFF + b"WAVEfmt ", "no_video", r"is sound \(WAV\), without a picture"),
        (b"ID3\x04" + bytes(20), "no_video", r"is sound \(MP3\)"),
        (b"OggS" + bytes(20), "no_video", r"is sound \(Ogg\)"),
        (b"fLaC" + bytes(20), "no_video", r"is sound \(FLAC\)"),
        (b"<!DOCTYPE html>" + bytes(20), "not_video", "is no video.* begins with b'<!DOCTYP'"),
        (bytes(4) + b"ftypisom moov soun", "no_video", "is an MP4 file with sound alone"),
        (bytes(4) + b"ftypisom vide", "truncated", r"ends before its index \(moov\)"),
        (bytes(4) + b"ftypisom moov vide", "corrupt", "begins as MP4, .* does not decode"),
        (RIFF + b"AVI LIST auds", "no_video", "is an AVI file with sound alone"),
        (RIFF + b"AVI LIST vids auds", "corrupt", "begins as AVI"),
        (b"GIF89a" + bytes(20), "corrupt", "begins as GIF"),
    ],
)
def test_the_first_bytes_say_why_a_file_does_not_open(tmp_path, content, outcome, reason):
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    named, sentence = containers.why_unreadable(path)
    assert named == outcome
    assert re.match(f"{re.escape(str(path))} {reason}", sentence)
    assert "\n" not in sentence
