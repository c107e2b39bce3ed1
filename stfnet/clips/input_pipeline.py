"""From records to batches of clips. Only the images that a plan names are decoded."""

import contextlib
import dataclasses
import weakref
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import tensorflow as tf

from preprocessing import worker_pool
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from preprocessing.records.reader import RecordReader
from stfnet.clips.plans import ClipPlan
from stfnet.config import ClipConfig

PREFETCHED_BATCHES = 2


class Reader(Protocol):
    """What a dataset reads from, with Python code that TensorFlow calls."""

    @property
    def damage(self) -> UserError | None:
        """The error that damaged data raised last. TensorFlow replaces it by one of its own."""

    @property
    def clips(self) -> Callable[..., Sequence[np.ndarray]]:
        """Reads the clips of a batch by fields of its plan."""


@contextlib.contextmanager
def naming_damage(reader: Reader):
    """Turns what TensorFlow makes of damaged data into the error that names it.

    Args:
        reader: of the datasets that are read inside the block.

    Raises:
        UserError: what was read inside the block is damaged.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if reader.damage is None:
            raise
        raise reader.damage from error


def clip_dataset(
    record_set: RecordSet,
    plan: ClipPlan,
    clip: ClipConfig,
    batch_size: int,
    reader: RecordReader | None = None,
) -> tf.data.Dataset:
    """Reads the clips of a plan, in its order, mirrored where it says so.

    Args:
        record_set: of the records.
        plan: the clips; its length is a multiple of `batch_size`. No images are decoded of a stream
            of which it names none.
        clip: the clip configuration.
        batch_size: clips a batch.
        reader: of the same records; None makes one.

    Returns:
        tf.data.Dataset of dictionaries: `rgb` uint8 (B, T, H, W, 3), `fields` uint8
        (B, T, L, 2, H, W), `label` int64 (B,), `weight` float32 (B,), `video` int64 (B,), and where
        the plan crops clips `crop` float32 (B, 3); `network_inputs` makes the network's inputs of
        them.
    """
    size = clip.image_size
    shapes = {
        "rgb": (batch_size, *plan.frames.shape[1:], size, size, 3),
        "fields": (batch_size, *plan.flow.shape[1:], 2, size, size),
    }
    outputs = {name: tf.TensorSpec(shape, tf.uint8) for name, shape in shapes.items()}
    # Python code: it decodes each image into its place in the batch, where TensorFlow's operations
    # would copy them there afterwards.
    reader, fields = reader or RecordReader(record_set), ("video", "frames", "flow", "flip")
    return planned_dataset(record_set, plan, batch_size, reader, fields, outputs)


def planned_dataset(
    record_set: RecordSet,
    plan: ClipPlan,
    batch_size: int,
    reader: Reader,
    fields: Sequence[str],
    outputs: dict[str, tf.TensorSpec],
) -> tf.data.Dataset:
    """The clips of a plan in its order, from whatever reader, which lives as long as the dataset.

    Args:
        record_set: of the records.
        plan: the clips; its length is a multiple of `batch_size`.
        batch_size: clips a batch.
        reader: what reads the clips.
        fields: of the plan, what the reader takes of a batch.
        outputs: names, types and shapes of what it returns.

    Returns:
        tf.data.Dataset of what the reader returns, with `label` int64 (B,), `weight` float32 (B,),
        `video` int64 (B,), and where the plan crops clips `crop` float32 (B, 3).
    """
    # TensorFlow keeps the functions that datasets call to the end of the process.
    weak, added = weakref.proxy(reader), ["label", "weight", "video"] + ["crop"] * plan.cropped

    def clips(*values):
        return weak.clips(*values)

    rows = {
        "label": np.array([record_set.videos[k].label for k in plan.video], np.int64),
        **{field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)},
    }

    def read_batch(rows):
        types = [spec.dtype for spec in outputs.values()]
        read = tf.numpy_function(clips, [rows[name] for name in fields], types, stateful=False)
        for value, (name, spec) in zip(read, outputs.items(), strict=True):
            rows[name] = tf.ensure_shape(value, spec.shape)
        return {name: rows[name] for name in [*outputs, *added]}

    dataset = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size, drop_remainder=True)
    cores = worker_pool.cores()
    dataset = dataset.map(read_batch, num_parallel_calls=cores, deterministic=True)
    # Without autotuning, whose thread delays the end of every iterator by seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = dataset.prefetch(PREFETCHED_BATCHES).with_options(options)
    dataset.reader = reader  # for whoever reads it
    return dataset


def network_inputs(batch):
    """A batch as the network takes it: the planes of the flow fields become channels, crops large.

    Part of the step and not of the pipeline, because the CPU would take half as long for the planes
    as for decoding, and longer for crops, and the device that trains takes next to no time.

    Args:
        batch: `rgb` uint8 (B, T, H, W, 3), `fields` uint8 (B, T, L, 2, H, W) and where clips are
            cropped `crop` float32 (B, 3), of `clip_dataset`; or the streams' maps, of
            `Features.dataset`, which are returned as they are.

    Returns:
        Dictionary of `rgb` and `flow`, uint8 (B, T, H, W, 2L), channels x1, y1, x2, y2, ...
    """
    if "fields" not in batch:
        return batch
    fields = batch["fields"]
    _, frames, length, _, height, width = fields.shape
    stacks = tf.transpose(fields, (0, 1, 4, 5, 2, 3))  # b t l xy h w -> b t h w l xy
    stacks = tf.reshape(stacks, (tf.shape(fields)[0], frames, height, width, 2 * length))
    rgb = batch["rgb"]
    if "crop" in batch:
        rgb, stacks = crop_and_enlarge(rgb, stacks, batch["crop"])
    return {"rgb": rgb, "flow": stacks}


def crop_and_enlarge(rgb, flow, crop):
    """Keeps a square of each clip and enlarges it to the full size, bilinearly.

    The corner pixels are aligned, as in `tf.image.crop_and_resize`: pixel k of n stands at
    k / (n - 1) of the square. Flow is in pixels, so enlarging by 1 / side multiplies the
    displacements by 1 / side too.

    Args:
        rgb: uint8 (B, T, H, W, 3).
        flow: uint8 (B, T, H, W, 2L), stacks of flow fields.
        crop: float32 (B, 3), top, left and side of each clip's square, as fractions of the image's
            side.

    Returns:
        (rgb, flow) of the same shapes, rounded to uint8.
    """
    side = tf.reshape(crop[:, 2], (-1, 1, 1, 1, 1))
    displacements = (_enlarged(flow, crop) - 128) / side
    return _to_bytes(_enlarged(rgb, crop)), _to_bytes(128 + displacements)


def _enlarged(images, crop):
    """The squares of uint8 (B, T, H, W, C) at the full size, float32."""
    top, left, side = tf.unstack(crop, axis=1)
    rows = _between(images, top, side, axis=2)  # while they are bytes: the cheaper half
    return _between(rows, left, side, axis=3)


def _between(images, first, side, axis):
    """Interpolates along an axis at points from `first` to `first + side` of its length."""
    size = images.shape[axis]
    steps = tf.range(size, dtype=tf.float32) / max(size - 1, 1)
    places = (first[:, None] + steps * side[:, None]) * (size - 1)  # b n
    before = tf.clip_by_value(tf.floor(places), 0, max(size - 2, 0))
    index = tf.cast(before, tf.int32)
    shape = [-1, *(size if k == axis else 1 for k in range(1, 5))]
    share = tf.reshape(places - before, shape)

    def at(index):
        return tf.cast(tf.gather(images, index, axis=axis, batch_dims=1), tf.float32)

    low, high = at(index), at(tf.minimum(index + 1, size - 1))
    return low + (high - low) * share


def _to_bytes(values):
    return tf.saturate_cast(tf.round(values), tf.uint8)
