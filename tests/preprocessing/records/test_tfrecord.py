"""TFRecord files and protocol buffers against TensorFlow's own reader, writer and serialiser."""

import io
import struct

import pytest
import tensorflow as tf

from preprocessing.records import tfrecord

CONTENTS = [b"", b"a", bytes(range(256)) * 40, b"\xff" * (3 << 20)]  # the last: several chunks


def _written(content, pieces=None):
    file = io.BytesIO()
    length = tfrecord.write(file, len(content), pieces or [content])
    assert length == len(file.getvalue())
    return file.getvalue()


def test_the_bytes_are_those_of_tensorflows_writer(tmp_path):
    path = str(tmp_path / "theirs")
    with tf.io.TFRecordWriter(path) as writer:
        for content in CONTENTS:
            writer.write(content)
    assert (tmp_path / "theirs").read_bytes() == b"".join(map(_written, CONTENTS))


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_the_data_come_back_without_a_copy(content):
    record = bytearray(_written(content))
    data = tfrecord.data_of(record)
    assert data == tfrecord.unchecked_data_of(record) == content
    if content:
        record[12] ^= 1
        assert data[0] == content[0] ^ 1


@pytest.mark.parametrize(
    ("position", "reason"),
    [
        (0, "the checksum of its length is wrong"),
        (9, "the checksum of its length is wrong"),
        (12, "the checksum of its data is wrong"),
        (1500, "the checksum of its data is wrong"),
        (-1, "the checksum of its data is wrong"),
    ],
)
def test_every_changed_bit_is_noticed(position, reason):
    whole = _written(b"abc" * 1000)
    for bit in range(8):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << bit
        with pytest.raises(ValueError, match=reason):
            tfrecord.data_of(damaged)


def test_a_record_that_is_cut_off_says_how_much_there_is():
    whole = _written(b"abcdefgh")
    with pytest.raises(ValueError, match="has 5 bytes of data, its header says 8"):
        tfrecord.data_of(whole[:-3])
    with pytest.raises(ValueError, match="ends after 15 bytes"):
        tfrecord.data_of(whole[:15])


# Hand-worked in the documentation of protocol buffers: 150 is 96 01.
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, b"\0"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (150, b"\x96\x01"),
        (1 << 14, b"\x80\x80\x01"),
    ],
)
def test_a_number_is_seven_bits_a_byte(number, expected):
    assert tfrecord.varint(number) == expected
    assert tfrecord.varints(expected * 3) == [number] * 3


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\x08\x01", "is not a tf.train.Example"),  # a number, of the wire type 0
        (b"\x0a\x03ab", "is not a tf.train.Example"),  # three bytes announced, two there
        (b"\x0a", "ends inside a number"),
        (b"\x0a\xff\xff", "ends inside a number"),
    ],
)
def test_a_message_of_another_kind_is_refused(message, reason):
    with pytest.raises(ValueError, match=reason):
        list(tfrecord.fields(message))


def test_a_record_as_long_as_its_header_says_is_not_read_further():
    # A header of 2^63 bytes with a right checksum, as a forged file may have.
    header = struct.pack("<Q", 1 << 63)
    record = header + tfrecord._masked(tfrecord.google_crc32c.value(header)) + b"abcd" * 2
    with pytest.raises(
        ValueError, match="has 4 bytes of data, its header says 9223372036854775808"
    ):
        tfrecord.data_of(record)
