"""The input pipeline against TensorFlow's decoding of the same records, image by image."""

import dataclasses
import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from preprocessing.records import DamagedRecordError
from preprocessing.records.reader import RecordReader
from stfnet import ClipConfig, sampling
from stfnet.clips import input_pipeline, plans

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


def _stored(record_set, video):
    """All images of a record, parsed and decoded by TensorFlow."""
    raw = record_set.shard_paths[video.shard].read_bytes()[video.offset + 12 :]
    example = tf.train.Example.FromString(raw[: video.length - 16]).features.feature

    def images(name, channels):
        stored = example[name].bytes_list.value
        return [
            tf.io.decode_jpeg(image, channels, dct_method="INTEGER_ACCURATE").numpy()
            for image in stored
        ]

    frames = images("frames", 3)
    flow = [(image[:32, :, 0], image[32:, :, 0]) for image in images("flow", 1)]
    return frames, flow


def test_a_test_clip_is_its_frames_and_its_flow_stacks(tiny_records):
    positions = np.arange(len(tiny_records.videos))[:5]
    plan = plans.plan_evaluation(tiny_records, positions, CLIP, batch_size=2)
    batches = list(input_pipeline.clip_dataset(tiny_records, plan, CLIP, 2))
    assert [batch["weight"].numpy().tolist() for batch in batches] == [[1, 1], [1, 1], [1, 0]]
    clips = [
        {name: value[k].numpy() for name, value in (b | input_pipeline.network_inputs(b)).items()}
        for b in batches
        for k in range(2)
    ]
    for position, clip in zip(positions, clips, strict=False):
        video = tiny_records.videos[position]
        assert clip["label"] == video.label
        frames, flow = _stored(tiny_records, video)
        numbers = sampling.test_indices(video.num_frames, 3)
        np.testing.assert_array_equal(clip["rgb"], [frames[t] for t in numbers])
        for row, t in enumerate(numbers):
            for place, k in enumerate((t - 2, t - 1, t, t + 1)):
                x, y = flow[min(max(k, 0), video.num_frames - 2)]
                stack = clip["flow"][row]
                np.testing.assert_array_equal(stack[..., 2 * place], x)
                np.testing.assert_array_equal(stack[..., 2 * place + 1], y)


def test_flow_of_a_square_moving_right_is_above_128(tiny_records):
    for name, low, high in (("Right", 2, 20), ("Left", -20, -2), ("Still", -2, 2)):
        label = tiny_records.classes.index(name)
        positions = [k for k, v in enumerate(tiny_records.videos) if v.label == label]
        plan = plans.plan_evaluation(tiny_records, positions, CLIP, 1)
        for batch in input_pipeline.clip_dataset(tiny_records, plan, CLIP, 1):
            x = batch["fields"].numpy()[0, 1, :, 0, 10:22, 8:24].astype(int) - 128
            assert low <= np.median(x) <= high  # 1 px a frame at 32 pixels is 6.4 levels


@pytest.mark.parametrize(
    ("kind", "mirrored", "cropped"),
    [
        ("none", False, False),
        ("flip", True, False),
        ("crop", False, True),
        ("flip_crop", True, True),
    ],
)
def test_clips_are_mirrored_and_cropped_as_augmentation_says(
    tiny_records, config, kind, mirrored, cropped
):
    training = dataclasses.replace(config.training, augmentation=kind)
    positions = np.arange(20)
    plan = plans.plan_training(tiny_records, positions, CLIP, training, stage=0, epoch=0)
    assert plan.flip.any() == mirrored and not plan.flip.all()
    assert (plan.crop != [0, 0, 1]).any() == cropped
    assert (plan.crop[:, :2] >= 0).all() and (plan.crop[:, :2] + plan.crop[:, 2:] <= 1).all()

    def read(plan):
        (batch,) = input_pipeline.clip_dataset(tiny_records, plan, CLIP, 20)
        return batch, input_pipeline.network_inputs(batch)

    neither = np.zeros(20, bool), np.tile(np.float32([0, 0, 1]), (20, 1))
    _, whole = read(dataclasses.replace(plan, flip=neither[0], crop=neither[1]))
    batch, shown = read(plan)
    assert ("crop" in batch) == cropped
    rgb, flow = (whole[name].numpy() for name in ("rgb", "flow"))
    for k in np.flatnonzero(plan.flip):
        rgb[k], flow[k] = rgb[k, :, :, ::-1], flow[k, :, :, ::-1]
        flow[k, ..., 0::2] = np.minimum(256 - flow[k, ..., 0::2].astype(int), 255)
    if cropped:
        rgb, flow = input_pipeline.crop_and_enlarge(rgb, flow, plan.crop)
    np.testing.assert_array_equal(shown["rgb"], rgb)
    np.testing.assert_array_equal(shown["flow"], flow)


def test_a_part_of_an_epoch_is_read_as_in_the_whole(tiny_records, config):
    plan = plans.plan_training(tiny_records, np.arange(20), CLIP, config.training, stage=0, epoch=0)
    whole = list(input_pipeline.clip_dataset(tiny_records, plan, CLIP, 4))
    rest = list(input_pipeline.clip_dataset(tiny_records, plan[np.arange(8, 20)], CLIP, 4))
    assert len(whole) == 5
    for ours, theirs in zip(rest, whole[2:], strict=True):
        for name in ours:
            np.testing.assert_array_equal(ours[name].numpy(), theirs[name].numpy())


def test_a_damaged_record_in_a_pipeline_is_the_readers_error(damaged_records):
    plan = plans.plan_evaluation(damaged_records, np.arange(4), CLIP, 1)
    reader, name = RecordReader(damaged_records), damaged_records.videos[2].id
    with (
        pytest.raises(DamagedRecordError, match=f"the record of {name} is damaged") as caught,
        input_pipeline.naming_damage(reader),
    ):
        list(input_pipeline.clip_dataset(damaged_records, plan, CLIP, 1, reader=reader))
    assert caught.value is reader.damage


def test_other_errors_of_tensorflow_are_left_as_they_are(tiny_records):
    reader = RecordReader(tiny_records)
    with (
        pytest.raises(tf.errors.InvalidArgumentError, match="Incompatible shapes"),
        input_pipeline.naming_damage(reader),
    ):
        tf.raw_ops.Add(x=[1.0, 2.0], y=[1.0, 2.0, 3.0])


@pytest.mark.parametrize("given", [False, True])
def test_a_reader_lives_as_long_as_its_dataset_is_read(tiny_records, monkeypatch, given):
    readers = weakref.WeakSet()

    def make(record_set):
        readers.add(reader := RecordReader(record_set))
        return reader

    monkeypatch.setattr(input_pipeline, "RecordReader", make)
    plan = plans.plan_evaluation(tiny_records, np.arange(4), CLIP, 1)
    reader = make(tiny_records) if given else None
    batches = iter(input_pipeline.clip_dataset(tiny_records, plan, CLIP, 1, reader))
    del reader
    gc.collect()
    assert len(list(batches)) == 4 and len(readers) == 1
    del batches
    gc.collect()
    assert not readers


def test_enlarging_a_crop_enlarges_its_flow():
    rgb = np.random.default_rng(0).integers(0, 256, (1, 2, 32, 32, 3), np.uint8)
    flow = np.full((1, 2, 32, 32, 8), 138, np.uint8)  # 10 levels
    _, enlarged = input_pipeline.crop_and_enlarge(rgb, flow, tf.constant([[0.0, 0.0, 0.5]]))
    assert np.unique(enlarged).tolist() == [148]
    kept, same = input_pipeline.crop_and_enlarge(rgb, flow, tf.constant([[0.0, 0.0, 1.0]]))
    np.testing.assert_array_equal(kept, rgb)
    np.testing.assert_array_equal(same, flow)


@pytest.mark.parametrize("xla", [False, True])
def test_crops_are_those_of_tensorflow_but_for_the_rounding_of_a_half(xla):
    rng = np.random.default_rng(2)
    rgb = rng.integers(0, 256, (3, 2, 40, 40, 3), np.uint8)
    flow = rng.integers(0, 256, (3, 2, 40, 40, 4), np.uint8)
    side = rng.uniform(0.75, 1, 3)
    corner = rng.uniform(0, 1, (2, 3)) * (1 - side)
    crop = np.stack([*corner, side], 1).astype(np.float32)
    crop_and_enlarge = tf.function(input_pipeline.crop_and_enlarge, jit_compile=xla)
    ours = crop_and_enlarge(tf.constant(rgb), tf.constant(flow), tf.constant(crop))
    for k, (top, left, side) in enumerate(crop):
        box = [[top, left, top + side, left + side]] * 2
        frames, stacks = (
            tf.image.crop_and_resize(images[k].astype(np.float32), box, [0, 1], (40, 40)).numpy()
            for images in (rgb, flow)
        )
        np.testing.assert_allclose(ours[0][k], frames, atol=0.501)
        wanted = np.clip(128 + (stacks - 128) / side, 0, 255)
        np.testing.assert_allclose(ours[1][k], wanted, atol=0.501)
