"""The bytes of TFRecord files and of protocol buffers, as far as records need them.

With TensorFlow a worker would take 400 MB and seconds to start, and would hold each whole message.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import google_crc32c

Buffer = bytes | bytearray | memoryview
_HEADER, _FOOTER = 12, 4
_CHUNK_BYTES = 1 << 20


class Writable(Protocol):
    """A file, or what stands for one."""

    def write(self, data: bytes, /) -> Any: ...


def write(file: Writable, length: int, pieces: Iterable[bytes]) -> int:
    """Writes one record: its length, the data, and the masked CRC-32C of either.

    Args:
        length: bytes of the data.

    Returns:
        Bytes written.
    """
    header = struct.pack("<Q", length)
    file.write(header + _masked(google_crc32c.value(header)))
    crc = 0
    for piece in pieces:
        file.write(piece)
        crc = google_crc32c.extend(crc, piece)
    file.write(_masked(crc))
    return _HEADER + length + _FOOTER


def unchecked_data_of(record: Buffer) -> memoryview:
    """The data inside a record that `data_of` has checked before, without a copy."""
    return memoryview(record)[_HEADER:-_FOOTER]


def data_of(record: Buffer) -> memoryview:
    """The data inside a record, without a copy.

    Raises:
        ValueError: the record is cut off or a checksum is wrong.
    """
    if len(record) < _HEADER + _FOOTER:
        raise ValueError(f"ends after {len(record)} bytes")
    header, data = bytes(record[:8]), unchecked_data_of(record)
    if _masked(google_crc32c.value(header)) != record[8:_HEADER]:
        raise ValueError("the checksum of its length is wrong")
    (length,) = struct.unpack("<Q", header)
    if length != len(data):
        raise ValueError(f"has {len(data)} bytes of data, its header says {length}")
    crc = 0
    for begin in range(0, length, _CHUNK_BYTES):  # google_crc32c takes only bytes
        crc = google_crc32c.extend(crc, bytes(data[begin : begin + _CHUNK_BYTES]))
    if _masked(crc) != record[-_FOOTER:]:
        raise ValueError("the checksum of its data is wrong")
    return data


def _masked(crc: int) -> bytes:
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def length_delimited(field: int, size: int) -> bytes:
    """The tag and length before the `size` bytes of a message, string or list in a field."""
    return varint(field << 3 | 2) + varint(size)


def varint(value: int) -> bytes:
    """A number of at least 0, seven bits a byte, lowest first."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def fields(message: Buffer) -> Iterator[tuple[int, memoryview]]:
    """(field number, content) of the length-delimited fields of a message.

    Raises:
        ValueError: it has fields of other kinds, or its lengths do not fit.
    """
    view, position = memoryview(message), 0
    while position < len(view):
        tag, position = _read_varint(view, position)
        size, position = _read_varint(view, position)
        if tag & 7 != 2 or position + size > len(view):
            raise ValueError("is not a tf.train.Example of these records")
        yield tag >> 3, view[position : position + size]
        position += size


def varints(content: Buffer) -> list[int]:
    """The numbers of a packed list."""
    numbers, position = [], 0
    while position < len(content):
        number, position = _read_varint(content, position)
        numbers.append(number)
    return numbers


def _read_varint(content: Buffer, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position == len(content) or shift > 63:
            raise ValueError("ends inside a number")
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
