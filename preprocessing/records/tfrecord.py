"""The bytes of TFRecord files and of protocol buffers, as far as records need them.

With TensorFlow a worker would take 400 MB and seconds to start, and would hold every message whole.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import google_crc32c

_HEADER, _FOOTER = 12, 4
_CHUNK_BYTES = 1 << 20


def write(file: BinaryIO, length: int, pieces: Iterable[bytes]) -> int:
    """Writes one record: its length, the data, and the masked CRC-32C of either.

    Args:
        file: to append to.
        length: bytes of the data.
        pieces: the data.

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


def unchecked_data_of(record):
    """The data inside a record that was found whole before."""
    return record[_HEADER:-_FOOTER]


def data_of(record: bytes | memoryview) -> bytes | memoryview:
    """The data inside a record; of a memoryview a part of it, without a copy.

    Raises:
        ValueError: the record is cut off or a checksum is wrong.
    """
    if len(record) < _HEADER + _FOOTER:
        raise ValueError(f"ends after {len(record)} bytes")
    header, data = bytes(record[:8]), record[_HEADER:-_FOOTER]
    if _masked(google_crc32c.value(header)) != record[8:_HEADER]:
        raise ValueError("the checksum of its length is wrong")
    (length,) = struct.unpack("<Q", header)
    if length != len(data):
        raise ValueError(f"has {len(data)} bytes of data, its header says {length}")
    crc, view = 0, memoryview(data)
    for begin in range(0, length, _CHUNK_BYTES):  # google_crc32c takes bytes alone
        crc = google_crc32c.extend(crc, bytes(view[begin : begin + _CHUNK_BYTES]))
    if _masked(crc) != record[-_FOOTER:]:
        raise ValueError("the checksum of its data is wrong")
    return data


def _masked(crc: int) -> bytes:
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def length_delimited(field: int, size: int) -> bytes:
    """What stands before the `size` bytes of a message, string or list in field `field`."""
    return varint(field << 3 | 2) + varint(size)


def varint(value: int) -> bytes:
    """A number of at least 0, seven bits a byte, lowest first."""
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def fields(message: bytes) -> Iterator[tuple[int, memoryview]]:
    """(field number, content) of the length-delimited fields of a message.

    Raises:
        ValueError: it has fields of other kinds, or its lengths do not fit.
    """
    message = memoryview(message)
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        size, position = _read_varint(message, position)
        if tag & 7 != 2 or position + size > len(message):
            raise ValueError("is not a tf.train.Example of these records")
        yield tag >> 3, message[position : position + size]
        position += size


def varints(content: bytes) -> list[int]:
    """The numbers of a packed list."""
    numbers, position = [], 0
    while position < len(content):
        number, position = _read_varint(content, position)
        numbers.append(number)
    return numbers


def _read_varint(content, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position == len(content):
            raise ValueError("ends inside a number")
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
