"""A record's bytes against protocol buffers, its images against OpenCV and hand-made ones."""

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import records
from preprocessing.records import example

# Beyond 127 and 16,383 bytes a length takes a second and a third varint byte.
FRAMES = [b"a" * 5, b"b" * 200, b"c" * 20_000]
FLOW = [b"", b"d" * 130]


def _writer(video_id="v_Jump_g01_c01", label=3):
    writer = records.ExampleWriter(video_id, label)
    for image in FRAMES:
        writer.add_frame(image)
    for image in FLOW:
        writer.add_flow(image)
    return writer


def _protocol_buffer(video_id, label, flow=FLOW, fps=0.0):
    feature = tf.train.Feature
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "video_id": feature(bytes_list=tf.train.BytesList(value=[video_id.encode()])),
                "fps": feature(float_list=tf.train.FloatList(value=[fps])),
                "label": feature(int64_list=tf.train.Int64List(value=[label])),
                "frames": feature(bytes_list=tf.train.BytesList(value=FRAMES)),
                "flow": feature(bytes_list=tf.train.BytesList(value=flow)),
            }
        )
    )


@pytest.mark.parametrize(("label", "fps"), [(0, 0.0), (3, 29.97), (300, 25.0)])
def test_the_bytes_are_those_of_protocol_buffers(label, fps):
    with _writer("v_Über_g01_c01", label) as writer:
        writer.set_fps(fps)
        serialized = writer.serialized()
    expected = _protocol_buffer("v_Über_g01_c01", label, fps=fps)
    assert tf.train.Example.FromString(serialized) == expected
    assert serialized == expected.SerializeToString(deterministic=True)


def test_images_spooled_to_disk_give_the_same_bytes(tmp_path, monkeypatch):
    with _writer() as writer:
        in_memory = writer.serialized()
    monkeypatch.setattr(example, "_SPOOL_BYTES", 1000)
    monkeypatch.setattr(example, "_COPY_BYTES", 700)
    with _writer() as writer:
        assert writer._frames._rolled
        assert writer.serialized() == in_memory


def test_a_message_of_protocol_buffers_is_viewed_in_place():
    data = bytearray(_protocol_buffer("v_Über", 300).SerializeToString())
    viewed = records.view_example(data)
    assert viewed == {
        "video_id": "v_Über",
        "label": 300,
        "frames": FRAMES,
        "flow": FLOW,
        "frame_numbers": range(len(FRAMES)),
        "field_numbers": range(len(FLOW)),
    }
    viewed["frames"][0][:] = b"fresh"
    assert b"fresh" in data and b"aaaaa" not in data


def test_a_record_of_a_grid_says_which_frames_and_fields_it_holds():
    frames, fields = [0, 150, 70_000], [7, 150]
    with _writer() as writer:
        writer.set_numbers(frames, fields)
        serialized = writer.serialized()
    expected = _protocol_buffer("v_Jump_g01_c01", 3)
    for name, numbers in (("frame_numbers", frames), ("field_numbers", fields)):
        expected.features.feature[name].int64_list.value.extend(numbers)
    assert serialized == expected.SerializeToString(deterministic=True)
    viewed = records.view_example(serialized)
    assert (viewed["frame_numbers"], viewed["field_numbers"]) == (frames, fields)
    assert (viewed["frames"], viewed["flow"]) == (FRAMES, FLOW)


def test_images_of_a_header_that_lied_are_dropped():
    with _writer() as writer:
        writer.clear()
        assert writer.size == 0
        for image in FRAMES:
            writer.add_frame(image)
        for image in FLOW:
            writer.add_flow(image)
        with _writer() as other:
            assert writer.serialized() == other.serialized()


def test_stored_numbers_are_looked_up():
    wanted = np.array([[150, 0], [70_000, 150]])
    np.testing.assert_array_equal(example.places([0, 150, 70_000], wanted), [[1, 0], [2, 1]])
    np.testing.assert_array_equal(example.places(range(3), np.array([2, 0])), [2, 0])
    for missing in (1, 70_001):
        with pytest.raises(ValueError, match=f"does not hold number {missing}"):
            example.places([0, 150, 70_000], np.array([0, missing]))


@pytest.mark.parametrize("numbers", [[0, 1], [0, 2, 1], [0, 1, 1]])
def test_numbers_that_do_not_fit_the_images_are_damage(numbers):
    with _writer() as writer:
        writer.set_numbers(numbers, range(len(FLOW)))
        with pytest.raises(ValueError, match="numbers of 3 frames, or not in order"):
            records.view_example(writer.serialized())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "values to unpack"),
        (
            _protocol_buffer("v", 0).SerializeToString(deterministic=True)[:-1],
            "is not a tf.train.Example",
        ),
        (tf.train.Example(features={}).SerializeToString(), "values to unpack|has no feature"),
    ],
)
def test_what_is_no_record_is_an_error_of_its_value(data, message):
    with pytest.raises(ValueError, match=message):
        records.view_example(data)


def test_a_record_without_one_of_its_lists_is_refused_by_name():
    whole = _protocol_buffer("v", 0)
    del whole.features.feature["flow"]
    with pytest.raises(ValueError, match="has no feature 'flow'"):
        records.view_example(whole.SerializeToString())
