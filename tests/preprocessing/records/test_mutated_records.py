"""Records and images that somebody damaged, on purpose or not: an error, never a crash."""

import collections
import struct
import zlib

import cv2
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from preprocessing import records
from preprocessing.records import image_layout, tfrecord
from preprocessing.records.example import view_example

SIZE = 16
FEW, MANY = 300, 3_000


def _record(image_format):
    """A video of three frames, as its serialized Example."""
    generator = np.random.default_rng(0)
    with records.ExampleWriter("v_Jump_g01_c01", 3) as writer:
        for k in range(3):
            frame = generator.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
            writer.add_frame(records.encode_frame(frame, image_format, 95))
            if k:
                planes = generator.integers(0, 256, (2, SIZE, SIZE), np.uint8)
                writer.add_flow(records.encode_field(planes, image_format, 95))
        return writer.serialized()


RECORDS = {name: _record(name) for name in records.IMAGE_FORMATS}
IMAGES = {name: bytes(view_example(RECORDS[name])["flow"][0]) for name in RECORDS}


@st.composite
def mutated(draw, originals):
    """One of the originals after one to four changes, most of them small."""
    data = bytearray(draw(st.sampled_from(sorted(originals.values()))))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["byte", "bytes", "cut", "delete", "insert", "repeat"]))
        length = draw(st.integers(1, 12))
        if kind == "byte" and data:
            data[place] = draw(st.integers(0, 255))
        elif kind == "bytes":
            data[place : place + length] = draw(st.sampled_from([b"\xff", b"\0", b"\x80"])) * length
        elif kind == "cut":
            del data[place:]
        elif kind == "delete":
            del data[place : place + length]
        elif kind == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=12))
        else:
            data[place:place] = data[place : place + length * 8]
    return bytes(data)


def _read(data):
    """What training does with a record: every frame and field."""
    parsed = view_example(data)
    for image in parsed["frames"]:
        frame = image_layout.decode_frame(image)
        assert frame.dtype == np.uint8 and frame.ndim == 3
    for image in parsed["flow"]:
        field = image_layout.decode_field(image)
        assert field.dtype == np.uint8 and field.shape[0] == 2


def _outcomes(strategy, read, count):
    """How many of `count` mutations are read, and how many refused by a ValueError."""
    outcomes = collections.Counter()

    @hypothesis.settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(strategy)
    def check(data):
        try:
            read(data)
            outcomes["read"] += 1
        except ValueError:
            outcomes["refused"] += 1

    check()
    return outcomes


COUNTS = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_record_is_read_or_refused(count):
    outcomes = _outcomes(mutated(RECORDS), _read, count)
    assert outcomes["refused"] > count / 2  # few changes leave every length and image whole
    assert outcomes["read"]


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_flow_image_is_decoded_or_refused(count):
    outcomes = _outcomes(mutated(IMAGES), image_layout.decode_field, count)
    assert min(outcomes["read"], outcomes["refused"]) > count / 50


@pytest.mark.parametrize("count", COUNTS)
def test_a_mutated_tfrecord_is_read_or_refused(count):
    shards = {}
    for name, data in RECORDS.items():
        header = struct.pack("<Q", len(data))
        shards[name] = header + _masked(header) + data + _masked(data)
    for whole in shards.values():
        assert bytes(tfrecord.data_of(whole)) in RECORDS.values()
    outcomes = _outcomes(mutated(shards), lambda data: _read(tfrecord.data_of(data)), count)
    assert outcomes["refused"] > count / 2  # by their checksums


def _masked(data):
    return tfrecord._masked(tfrecord.google_crc32c.value(data))


def test_a_number_without_end_is_refused():
    with pytest.raises(ValueError, match="ends inside a number"):
        view_example(b"\x80" * 10_000 + b"\x01")


@pytest.fixture(params=records.IMAGE_FORMATS)
def claiming(request, tmp_path):
    """An image file of some hundred bytes that says it has 30,000 x 30,000 pixels."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    if request.param == "png":
        data = bytearray(cv2.imencode(".png", image)[1].tobytes())
        data[16:24] = struct.pack(">II", 30_000, 30_000)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    else:
        data = bytearray(cv2.imencode(".jpg", image)[1].tobytes())
        start = data.find(b"\xff\xc0") + 5
        data[start : start + 4] = struct.pack(">HH", 30_000, 30_000)
    path = tmp_path / f"claiming.{request.param}"
    path.write_bytes(data)
    return path


def test_an_image_that_claims_a_huge_size_takes_no_memory(run_python, claiming):
    program = f"""
import pathlib, re
from preprocessing.records import image_layout
try:
    image_layout.decode_frame(pathlib.Path({str(claiming)!r}).read_bytes())
except ValueError:
    status = pathlib.Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024)
"""
    done = run_python("-c", program)
    assert int(done.stdout) < 300  # megabytes
