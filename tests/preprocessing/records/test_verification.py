import dataclasses
import hashlib
import io
import shutil

import pytest

from preprocessing import records
from preprocessing.preparation import conversion
from preprocessing.records import tfrecord, verification


@pytest.fixture
def videos(tmp_path, write_video):
    for index in range(4):
        write_video(tmp_path / "actions" / "Bow" / f"{index}.mp4", 4, seed=index)
    return tmp_path / "actions"


@pytest.fixture
def record_set(videos, prepare):
    return prepare(videos).record_set


def _verify(record_set):
    return {fault.video_id: fault.reason for fault in verification.verify(record_set, 1)}


def test_faults_are_reported_and_repaired(record_set, videos, prepare):
    assert _verify(record_set) == {}
    shard = record_set.shard_paths[0]
    whole = shard.read_bytes()

    damaged = bytearray(whole)
    second, third = record_set.videos[1:3]
    damaged[second.offset + second.length // 2] ^= 1
    damaged[third.offset] ^= 1
    shard.write_bytes(damaged)
    assert _verify(record_set) == {
        second.id: "the checksum of its data is wrong",
        third.id: "the checksum of its length is wrong",
    }

    # What the metadata say must be what the records hold.
    shard.write_bytes(whole)
    wrong = dataclasses.replace(second, num_frames=5)
    changed = (record_set.videos[0], wrong, *record_set.videos[2:])
    (reason,) = _verify(dataclasses.replace(record_set, videos=changed)).values()
    assert reason == "holds 4 frames and 3 flow fields, the metadata say 5 frames"
    larger = dataclasses.replace(record_set, clip={**record_set.clip, "image_size": 32})
    assert _verify(larger)[second.id] == "frame 0 is of shape (16, 16, 3), needed is (32, 32, 3)"

    # A lost shard is prepared again, byte for byte.
    others = {path.name: path.read_bytes() for path in shard.parent.iterdir() if path != shard}
    shard.unlink()
    assert prepare(videos).record_set == record_set
    assert shard.read_bytes() == whole
    assert all((shard.parent / name).read_bytes() == data for name, data in others.items())


def test_a_changed_byte_is_detected_even_where_its_checksum_was_computed_again(record_set):
    shard, video = record_set.shard_paths[0], record_set.videos[1]
    content = shard.read_bytes()
    data = bytearray(tfrecord.data_of(content[video.offset :][: video.length]))
    image = records.view_example(data)["frames"][2]
    image[len(image) // 2] ^= 1  # inside the JPEG's coefficients: it still decodes
    record = io.BytesIO()
    assert tfrecord.write(record, len(data), [bytes(data)]) == video.length
    with shard.open("r+b") as file:
        file.seek(video.offset)
        file.write(record.getvalue())
    (reason,) = _verify(record_set).values()
    sha256 = hashlib.sha256(record.getvalue()).hexdigest()
    assert reason == f"its SHA-256 is {sha256}, the metadata say {video.record_sha256}"
    # Without digests, as in sets of a version that wrote none, it is not noticed.
    old = tuple(dataclasses.replace(v, record_sha256="") for v in record_set.videos)
    assert _verify(dataclasses.replace(record_set, videos=old, sha256="")) == {}


def test_the_numbers_of_a_grid_are_verified(videos, prepare):
    settings = conversion.Settings(image_size=16, frame_grid=2, flow_length=1)
    record_set = prepare(videos, settings=settings).record_set
    assert _verify(record_set) == {}
    for changes, said in (
        ({"frame_grid": 0, "flow_length": 4}, "4 frames"),
        ({"frame_grid": 3}, "4 frames and frame_grid=3"),
    ):
        other = dataclasses.replace(record_set, clip={**record_set.clip, **changes})
        assert set(_verify(other).values()) == {
            f"holds 2 frames and 2 flow fields, the metadata say {said}"
        }


def test_a_list_of_videos_that_was_changed_is_detected(record_set):
    swapped = record_set.videos[::-1]
    (fault,) = verification.verify(dataclasses.replace(record_set, videos=swapped), 1)
    assert (fault.video_id, fault.shard) == ("", "metadata.json")
    assert fault.reason.endswith(f"it says {record_set.sha256}")


def test_a_record_with_an_image_that_does_not_decode(record_set, tmp_path):
    video = record_set.videos[0]
    path = tmp_path / "one"
    with path.open("wb") as file, records.ExampleWriter(video.id, video.label) as writer:
        for index in range(4):
            writer.add_frame(b"no jpeg" if index == 2 else _frame(record_set, video, index))
        for _ in range(3):
            writer.add_flow(b"")
        length = writer.write_record(file)
    shutil.move(path, record_set.shard_paths[0])
    videos = (dataclasses.replace(video, offset=0, length=length, record_sha256=""),)
    assert _verify(dataclasses.replace(record_set, videos=videos)) == {
        video.id: "frame 2 does not decode"
    }


def _frame(record_set, video, index):
    return bytes(records.read_video(record_set, video)["frames"][index])
