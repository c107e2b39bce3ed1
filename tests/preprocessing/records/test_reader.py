"""Clips read from the shards and from memory, against TensorFlow's parsing and decoding."""

import dataclasses
import os
import resource
import shutil

import numpy as np
import pytest
import tensorflow as tf

from preprocessing import records
from preprocessing.records import grid
from preprocessing.records.reader import RecordReader

POSITIONS = np.array([7, 0, 11])
FRAMES = np.array([[0, 3, 3], [1, 2, 7], [6, 0, 5]])
FLOW = np.array([[[0, 1], [5, 2], [6, 6]], [[4, 4], [0, 0], [1, 2]], [[3, 5], [6, 1], [2, 0]]])


def _images(record_set, position):
    """(frames, fields) of a video, parsed and decoded by TensorFlow."""
    video = record_set.videos[position]
    shard = record_set.shard_paths[video.shard].read_bytes()
    data = shard[video.offset + 12 : video.offset + video.length - 4]  # without the checksums
    feature = tf.train.Example.FromString(data).features.feature

    def decoded(name, channels):
        return [
            tf.io.decode_jpeg(image, channels, dct_method="INTEGER_ACCURATE").numpy()
            for image in feature[name].bytes_list.value
        ]

    return decoded("frames", 3), [image.reshape(2, 32, 32) for image in decoded("flow", 1)]


def test_chosen_images_are_those_that_tensorflow_decodes(tiny_records):
    reader = RecordReader(tiny_records)
    for _ in range(2):  # with the checksums, then without
        rgb, fields = reader.clips(POSITIONS, FRAMES, FLOW)
        assert (rgb.shape, fields.shape) == ((3, 3, 32, 32, 3), (3, 3, 2, 2, 32, 32))
        for clip, position in enumerate(POSITIONS):
            stored_frames, stored_fields = _images(tiny_records, position)
            for t in range(3):
                np.testing.assert_array_equal(rgb[clip, t], stored_frames[FRAMES[clip, t]])
                for k in range(2):
                    np.testing.assert_array_equal(
                        fields[clip, t, k], stored_fields[FLOW[clip, t, k]]
                    )


def test_of_a_grid_the_stored_images_are_those_of_all(tiny_records, grid_records):
    positions = np.arange(len(grid_records.videos))
    assert [v.num_frames for v in grid_records.videos] == [
        v.num_frames for v in tiny_records.videos
    ]
    numbers = [grid.stored(video.num_frames, 3, 2) for video in grid_records.videos]
    frames = np.stack([frames for frames, _ in numbers])
    flow = np.stack([fields[[0, 1, -1]] for _, fields in numbers])[:, :, None]
    assert frames.shape == (24, 3) and max(frames[:, -1]) == 9
    for flip in (None, np.arange(24) % 2 == 0):
        stored = RecordReader(grid_records).clips(positions, frames, flow, flip)
        for one, other in zip(
            stored, RecordReader(tiny_records).clips(positions, frames, flow, flip), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(records.DamagedRecordError, match="does not hold number 1"):
        RecordReader(grid_records).clips(positions[:1], np.array([[0, 1]]), flow[:1])


def test_a_mirrored_clip_is_that_of_numpy_byte_for_byte(tiny_records):
    reader = RecordReader(tiny_records)
    rgb, fields = reader.clips(POSITIONS, FRAMES, FLOW)
    frames, planes = reader.clips(POSITIONS, FRAMES, FLOW, np.array([True, False, True]))
    np.testing.assert_array_equal(frames[1], rgb[1])
    np.testing.assert_array_equal(planes[1], fields[1])
    for k in (0, 2):
        np.testing.assert_array_equal(frames[k], rgb[k, :, :, ::-1])
        mirrored = fields[k, ..., ::-1].astype(int)
        np.testing.assert_array_equal(planes[k, :, :, 0], np.clip(256 - mirrored[:, :, 0], 0, 255))
        np.testing.assert_array_equal(planes[k, :, :, 1], mirrored[:, :, 1])


def test_clips_are_aligned_as_tensorflow_takes_them_over(tiny_records):
    for images in RecordReader(tiny_records).clips(POSITIONS, FRAMES, FLOW):
        assert images.ctypes.data % 64 == 0 and images.flags.c_contiguous


def _copy(record_set, folder):
    return records.load_record_set(shutil.copytree(record_set.folder, folder))


def test_clips_from_memory_are_those_of_the_shards_and_need_no_shard(tiny_records, tmp_path):
    copy = _copy(tiny_records, tmp_path / "records")
    reader = RecordReader(copy, cache_in_memory=POSITIONS)
    for shard in copy.shard_paths:
        shard.unlink()
    expected = RecordReader(tiny_records).clips(POSITIONS, FRAMES, FLOW)
    for ours, theirs in zip(reader.clips(POSITIONS, FRAMES, FLOW), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(records.DamagedRecordError, match=r"is gone, as where .* start the same"):
        reader.clips([1], FRAMES[:1], FLOW[:1])


def test_a_damaged_record_is_named_and_the_reader_remembers_it(damaged_records):
    reader = RecordReader(damaged_records)
    reader.clips([1, 3], FRAMES[:2], FLOW[:2])
    assert reader.damage is None
    name = damaged_records.videos[2].id
    with pytest.raises(records.DamagedRecordError, match=rf"record of {name} is damaged") as caught:
        reader.clips([1, 2], FRAMES[:2], FLOW[:2])
    assert reader.damage is caught.value
    assert f"experiments.prepare --verify={damaged_records.folder} lists" in str(caught.value)


def test_only_a_damaged_record_cannot_be_cached(damaged_records):
    RecordReader(damaged_records, cache_in_memory=[1, 3])
    name = damaged_records.videos[2].id
    with pytest.raises(records.DamagedRecordError, match=rf"record of {name} is damaged"):
        RecordReader(damaged_records, cache_in_memory=[1, 2])


def test_a_record_whose_image_does_not_decode_is_damaged(tiny_records, tmp_path):
    copy = _copy(tiny_records, tmp_path / "records")
    with (tmp_path / "one").open("wb") as file, records.ExampleWriter("v", 0) as writer:
        writer.add_frame(b"no image")
        writer.add_flow(b"")
        length = writer.write_record(file)
    shutil.move(tmp_path / "one", copy.shard_paths[0])
    video = records.RecordedVideo("v", 0, "Left", "g", {}, 1, 0.0, 0, 0, length)
    copy = records.RecordSet(**vars(copy) | {"videos": (video,)})
    frame, no_flow = np.array([[0]]), np.zeros((1, 1, 0), int)
    with pytest.raises(records.DamagedRecordError, match=r"of v is damaged \(an image cannot"):
        RecordReader(copy).clips([0], frame, no_flow)
    with pytest.raises(records.DamagedRecordError, match=r"of v is damaged \(an image cannot"):
        RecordReader(copy).clips([0], np.zeros((1, 0), int), np.array([[[0]]]))


def test_the_reader_starts_without_tensorflow(run_python):
    program = "import sys, preprocessing.records.reader; print('tensorflow' in sys.modules)"
    done = run_python("-c", program)
    assert done.stdout == "False\n", done.stderr


def test_a_set_may_have_more_shards_than_a_process_may_open(tiny_records, tmp_path):
    copy = dataclasses.replace(tiny_records, folder=tmp_path)
    names = [f"shard{k}" for k in range(300)]
    for name in names:
        os.link(tiny_records.shard_paths[0], tmp_path / name)
    (video,) = (one for one in copy.videos if not one.offset)
    videos = [dataclasses.replace(video, id=name, shard=k) for k, name in enumerate(names)]
    large = dataclasses.replace(copy, shards=tuple(names), videos=tuple(videos))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 150, limits[1]))
    try:
        reader = RecordReader(large)
        for _ in range(2):
            positions = np.arange(300)
            frames = np.zeros((300, 1), int)
            rgb, _ = reader.clips(positions, frames, np.zeros((300, 1, 1), int))
            assert (rgb == rgb[0]).all()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
