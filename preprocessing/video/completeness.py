"""Whether all bytes of a video file are there, as its container shows by where its parts lie.

A header may count more frames than are shown (trimmed files, sound longer than the picture), so a
count proves nothing; a part that reaches beyond the end of the file does.

| container              | what must lie inside the file                                   |
|------------------------|-----------------------------------------------------------------|
| MP4, MOV, 3GP          | every sample of picture and sound; of fragmented files each box |
| AVI                    | each list of pictures (`movi`)                                  |
| Matroska, WebM         | the segment, or its clusters, where their sizes are known       |
| Windows Media          | the data object                                                 |
| Flash video            | the last tag (a cut between two tags cannot be known)           |
| GIF                    | the blocks up to the end mark                                   |
| MPEG program and       | cannot be known: such a stream may end anywhere                 |
| transport streams      |                                                                 |

Of live recordings, which were written without their sizes, it cannot be known either.
"""

import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from preprocessing.video import containers

_UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # of an AVI list that its writer did not finish
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
# Seek head, information, tracks, cues, cluster, tags, chapters, attachments, void, checksum.
_SEGMENT_PARTS = (
    *(0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, _CLUSTER, 0x1254C367, 0x1043A770),
    *(0x1941A469, 0xEC, 0xBF),
)
# Of a stream's number: picture, sound, text, palette, index; or an index, or padding.
_AVI_CHUNK = re.compile(rb"[0-9A-Fa-f]{2}[A-Za-z_]{2}|ix[0-9A-Fa-f]{2}|JUNK|idx1")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_FLV_TAGS = (8, 9, 18)  # sound, picture, script
# What reading a damaged structure raises; OSError where it points beyond any file.
_DAMAGE = (struct.error, ValueError, IndexError, OverflowError, OSError)
# Bytes before a movie box is too large to be one; a day of video has about 50 MB of tables.
_LARGEST_MOOV = 1 << 30


def missing_bytes(path: Path) -> str | None:
    """What of the file is missing, in one line, or None where nothing is or it cannot be known."""
    path = Path(path)
    reach_of = _REACH.get(containers.container(path) or "")
    if reach_of is None:
        return None
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            reach = reach_of(file, size)
        except _DAMAGE:
            return None  # a damaged structure proves nothing: the decoder decides
    if reach <= size:
        return None
    return f"{path} has {size} bytes and needs at least {reach}: it was cut off, copy it again"


def is_broken(path: Path) -> bool:
    """Whether something else stands where the next part of an AVI or Matroska file should begin.

    A decoder skips it without a word. It is what remains of a download whose space was kept, and
    of a disk that failed.
    """
    path = Path(path)
    breaks = {"AVI": _avi_breaks, "Matroska": _matroska_breaks}.get(
        containers.container(path) or ""
    )
    if breaks is None:
        return False
    with path.open("rb") as file:
        try:
            return breaks(file, os.fstat(file.fileno()).st_size)
        except _DAMAGE:
            return True


def is_fragmented(path: Path) -> bool:
    """Whether an MP4 comes in fragments, so that its header knows a duration and no frames."""
    with Path(path).open("rb") as file:
        try:
            boxes = _boxes(file, os.fstat(file.fileno()).st_size)
            return any(kind == b"moof" for kind, *_ in boxes)
        except _DAMAGE:
            return False


def _mp4(file: BinaryIO, size: int) -> int:
    """ISO 14496-12: boxes of (32-bit size, type), the sample tables in `moov`."""
    boxes = list(_boxes(file, size))
    (start, end) = next(((s, e) for kind, s, e in boxes if kind == b"moov"), (0, 0))
    if end > size or end - start > _LARGEST_MOOV:
        return end
    file.seek(start)
    reach = _samples_reach(file.read(end - start))
    if reach and all(kind != b"moof" for kind, *_ in boxes):
        return reach
    return max([reach, *(e for kind, _, e in boxes if kind in (b"moof", b"mdat"))])


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, start of the body, end) of the boxes at the top."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            (length,), head = struct.unpack(">Q", file.read(8)), 16
        end = position + length if length else size  # 0: to the end of the file
        if end < position + head:
            return
        yield kind, position + head, end
        position = end


def _samples_reach(moov: bytes) -> int:
    """The byte after the last sample of picture and sound."""
    reach = 0
    for track in _children(moov, b"trak"):
        for media in _children(track, b"mdia"):
            handler = next(_children(media, b"hdlr"), b"")[8:12]
            if handler in (b"vide", b"soun"):
                for information in _children(media, b"minf"):
                    for table in _children(information, b"stbl"):
                        reach = max(reach, _table_reach(table))
    return reach


def _children(box: bytes, wanted: bytes) -> Iterator[bytes]:
    """Bodies of the boxes of a type directly inside the body of another."""
    position = 0
    while position + 8 <= len(box):
        length, kind = struct.unpack_from(">I4s", box, position)
        if length < 8:
            return
        if kind == wanted:
            yield box[position + 8 : position + length]
        position += length


def _table_reach(table: bytes) -> int:
    """The byte after the last sample of a track, from chunks' offsets and samples' sizes."""
    offsets = _column(next(_children(table, b"stco"), b""), 4, ">u4")
    if not len(offsets):
        offsets = _column(next(_children(table, b"co64"), b""), 4, ">u8")
    if not len(offsets):
        return 0
    sizes_box = next(_children(table, b"stsz"), bytes(12))
    one_size, samples = struct.unpack_from(">II", sizes_box, 4)
    runs = _column(next(_children(table, b"stsc"), b""), 4, ">u4", columns=3)
    if not samples or not len(runs):
        return 0
    # (first chunk, samples a chunk, description) of each run of chunks, counted from 1
    first_chunks = np.append(runs[:, 0], len(offsets) + 1).astype(np.int64)
    lengths = first_chunks[1:] - first_chunks[:-1]
    samples_of = np.repeat(runs[:, 1].astype(np.int64), lengths)
    last = np.minimum(np.cumsum(samples_of), samples)
    first = last - np.minimum(samples_of, last)
    if one_size:
        sizes = one_size * (last - first)
        # Uncompressed sound counts samples of one byte where its real size is elsewhere.
        if one_size == 1:
            return int(offsets.max())
    else:
        total = np.append(0, np.cumsum(_column(sizes_box, 8, ">u4").astype(np.int64)))
        sizes = total[last] - total[first]
    return int((offsets.astype(np.int64) + sizes).max())


def _column(box: bytes, position: int, kind: str, columns: int = 1) -> np.ndarray:
    """A counted table of a full box: the count stands at `position`, the values follow."""
    if len(box) < position + 4:
        return np.empty(0, kind)
    (count,) = struct.unpack_from(">I", box, position)
    values = np.frombuffer(box, kind, count * columns, position + 4)
    return values.reshape(count, columns) if columns > 1 else values


def _avi(file: BinaryIO, size: int) -> int:
    """The byte after the last picture's list; 0 where a writer did not finish."""
    ends = [end for _, end in _picture_lists(file, size)]
    return max((end or 0 for end in ends), default=0) if None not in ends else 0


def _picture_lists(file: BinaryIO, size: int) -> Iterator[tuple[int, int | None]]:
    """(start, end) of each `movi` list of RIFF; the end is None where its size is not written.

    Lists and chunks are (type, 32-bit size), padded to even sizes. Large files have several RIFFs.
    """
    position = 0
    while position + 12 <= size:
        file.seek(position)
        kind, length, form = struct.unpack("<4sI4s", file.read(12))
        if kind != b"RIFF" or form not in (b"AVI ", b"AVIX"):
            return
        end = size if length in _UNKNOWN_SIZES else min(size, position + 8 + length)
        inner = position + 12
        while inner + 12 <= end:
            file.seek(inner)
            kind, inner_length, form = struct.unpack("<4sI4s", file.read(12))
            if kind == b"LIST" and form == b"movi":
                unknown = inner_length in _UNKNOWN_SIZES
                yield inner + 12, None if unknown else inner + 8 + inner_length
            elif not kind.strip(b"\0"):
                break
            inner += 8 + inner_length + inner_length % 2
        position += 8 + length + length % 2


def _avi_breaks(file: BinaryIO, size: int) -> bool:
    for start, end in list(_picture_lists(file, size)):
        while end and start + 8 <= end:
            file.seek(start)
            kind, length = struct.unpack("<4sI", file.read(8))
            if kind == b"LIST":  # "rec ", a group of chunks: go inside
                start += 12
                continue
            if not _AVI_CHUNK.fullmatch(kind):
                return True
            start += 8 + length + length % 2
    return False


def _matroska(file: BinaryIO, size: int) -> int:
    """EBML (RFC 8794): elements of (number, size), both of variable length."""
    segment_end = _enter_segment(file)
    if segment_end is not None:
        return segment_end
    reach = 0
    while file.tell() < size:
        number, length = _element(file)
        if length is None:
            break
        end = file.tell() + length
        if number == _CLUSTER:
            reach = max(reach, end)
        file.seek(end)
    return reach


def _matroska_breaks(file: BinaryIO, size: int) -> bool:
    end = _enter_segment(file)
    while file.tell() < min(size, end or size):
        number, length = _element(file)
        if number not in _SEGMENT_PARTS:
            return True
        if length is None:
            return False
        file.seek(length, os.SEEK_CUR)
    return False


def _enter_segment(file: BinaryIO) -> int | None:
    """Goes to the first part of the segment; gives its end, None where its size is not written."""
    _, length = _element(file)
    file.seek(length or 0, os.SEEK_CUR)
    number, length = _element(file)
    if number != _SEGMENT:
        raise ValueError("no segment")
    return None if length is None else file.tell() + length


def _element(file: BinaryIO) -> tuple[int, int | None]:
    """(number, size of the body) of the element here; the size is None where it is unknown."""
    number, _ = _variable_integer(file)
    with_mark, bits = _variable_integer(file)
    length = with_mark & ((1 << bits) - 1)
    return number, None if length == (1 << bits) - 1 else length


def _variable_integer(file: BinaryIO) -> tuple[int, int]:
    """(value with the mark of its length, bits below the mark)."""
    first = file.read(1)[0]
    extra = 8 - first.bit_length()
    rest = file.read(extra)
    if not first or len(rest) < extra:
        raise ValueError("no EBML integer")
    return int.from_bytes(bytes([first]) + rest, "big"), 7 * (extra + 1)


def _windows_media(file: BinaryIO, size: int) -> int:
    """ASF: objects of (16-byte kind, 64-bit size)."""
    position = 0
    while position + 24 <= size:
        file.seek(position)
        kind, length = struct.unpack("<16sQ", file.read(24))
        if kind == _ASF_DATA:
            return position + length
        if length < 24:
            break
        position += length
    return position if position > size else 0


def _flash(file: BinaryIO, size: int) -> int:
    """FLV: tags of (type, 24-bit size, time, stream), each followed by its length."""
    file.seek(5)
    (position,) = struct.unpack(">I", file.read(4))
    reach, position = 0, position + 4
    while position + 11 <= size:
        file.seek(position)
        head = file.read(4)
        if head[0] not in _FLV_TAGS:
            break
        reach = position + 11 + int.from_bytes(head[1:], "big")
        position = reach + 4
    else:
        if reach < size != position:  # inside a tag's length, or the head of the next
            return position if size < position else position + 11
    return reach


def _gif(file: BinaryIO, size: int) -> int:
    """GIF89a: pictures and extensions in chains of blocks, then the end mark."""

    def skip_colors(flags):
        if flags & 0x80:
            file.seek(3 << (1 + (flags & 7)), os.SEEK_CUR)

    def skip_blocks():
        while length := file.read(1):
            if not length[0]:
                return
            file.seek(length[0], os.SEEK_CUR)

    file.seek(10)
    flags = file.read(3)[0]
    skip_colors(flags)
    while kind := file.read(1):
        if kind == b"\x21":  # extension
            file.seek(1, os.SEEK_CUR)
        elif kind == b"\x2c":  # picture
            skip_colors(file.read(9)[8])
            file.seek(1, os.SEEK_CUR)
        else:  # the end mark, or something that only a decoder may judge
            return 0
        skip_blocks()
    return size + 1


_REACH = {
    "MP4": _mp4,
    "AVI": _avi,
    "Matroska": _matroska,
    "Windows Media": _windows_media,
    "Flash video": _flash,
    "GIF": _gif,
}
