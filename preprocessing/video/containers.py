"""What a file that no decoder opens is: read from its first bytes, for a useful message."""

from pathlib import Path

# Container: (where its signature stands, the signature, mark of a video track, of an audio one).
_CONTAINERS = {
    "MP4": (4, b"ftyp", b"vide", b"soun"),  # 3GP and today's MOV are the same
    "AVI": (8, b"AVI ", b"vids", b"auds"),
    "Matroska": (0, b"\x1aE\xdf\xa3", b"V_", b"A_"),
    "MPEG program stream": (0, b"\x00\x00\x01\xba", b"\x00\x00\x01\xe0", b"\x00\x00\x01\xc0"),
    "MPEG video": (0, b"\x00\x00\x01\xb3", b"", b""),
    "MPEG transport stream": (0, b"G@", b"", b""),
    "Windows Media": (0, b"0&\xb2u\x8ef\xcf\x11", b"", b""),
    "Flash video": (0, b"FLV\x01", b"", b""),
    "GIF": (0, b"GIF8", b"", b""),
}
# Boxes that an older MOV begins with, which has no `ftyp`.
_OLD_MOV = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_AUDIO_FILES = {
    "WAV": (8, b"WAVE"),
    "MP3": (0, b"ID3"),
    "MPEG audio": (0, b"\xff\xfb"),
    "Ogg": (0, b"OggS"),
    "FLAC": (0, b"fLaC"),
}
# What their headers declare; of the others the decoder only guesses.
_DECLARED = {"MP4": "frames", "AVI": "frames", "Matroska": "duration"}
_SEARCHED_BYTES = 64 << 20


def container(path: Path) -> str | None:
    """Name of the video container that the file's signature shows, whatever its extension."""
    with Path(path).open("rb") as file:
        head = file.read(16)
    for name, (position, signature, *_) in _CONTAINERS.items():
        if head[position : position + len(signature)] == signature:
            return name
    return "MP4" if head[4:8] in _OLD_MOV else None


def declares(path: Path) -> str | None:
    """What the file's header says of its length: `frames`, `duration` or nothing."""
    return _DECLARED.get(container(path) or "")


def why_unreadable(path: Path) -> tuple[str, str]:
    """(outcome, reason) for a file that the decoder does not open."""
    path = Path(path)
    size = path.stat().st_size
    if not size:
        return "zero_bytes", f"{path} is empty: copy it again"
    with path.open("rb") as file:
        content = file.read(_SEARCHED_BYTES)
    for sound, (position, signature) in _AUDIO_FILES.items():
        if content[position : position + len(signature)] == signature:
            return "no_video", f"{path} is sound ({sound}), without a picture"
    kind = container(path)
    if kind is None:
        return "not_video", (
            f"{path} is no video, whatever its extension: it begins with {content[:8]!r}"
        )
    *_, video_mark, audio_mark = _CONTAINERS[kind]
    if audio_mark and audio_mark in content and video_mark not in content:
        return "no_video", f"{path} is an {kind} file with sound alone, without a picture"
    if kind == "MP4" and b"moov" not in content and size <= _SEARCHED_BYTES:
        return "truncated", f"{path} ends before its index (moov): it was cut off"
    return "corrupt", f"{path} begins as {kind}, but its header does not decode ({size} bytes)"
