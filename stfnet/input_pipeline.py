"""From records to batches of clips. Only the images that a plan names are decoded."""

import contextlib
import dataclasses
import os

import numpy as np
import tensorflow as tf

from preprocessing.records import RecordSet
from preprocessing.records.reader import RecordReader
from stfnet.augmentation import augmenter
from stfnet.config import ClipConfig
from stfnet.plans import ClipPlan

PREFETCHED_BATCHES = 2


@contextlib.contextmanager
def naming_damage(reader: RecordReader):
    """Turns what TensorFlow makes of a damaged record into the error that names it.

    Args:
        reader: of the `clip_dataset` that is read inside the block.

    Raises:
        DamagedRecordError: a record that was read inside the block is damaged.
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
    augmentation: str = "none",
    reader: RecordReader | None = None,
) -> tf.data.Dataset:
    """Reads the clips of a plan, in its order.

    Args:
        record_set: of the records.
        plan: the clips; its length is a multiple of `batch_size`.
        clip: the clip configuration.
        batch_size: clips a batch.
        augmentation: what the plan may ask for (`none`, `flip`, `crop`, `flip_crop`).
        reader: of the same records; None makes one.

    Returns:
        tf.data.Dataset of dictionaries: `rgb` uint8 (B, T, H, W, 3), `fields` uint8
        (B, T, L, 2, H, W), `label` int64 (B,), `weight` float32 (B,), `video` int64 (B,);
        `network_inputs` makes the network's inputs of them.
    """
    rows = {
        "label": np.array([record_set.videos[k].label for k in plan.video], np.int64),
        **{field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)},
    }
    decode_clips = (reader or RecordReader(record_set)).clips
    augment = augmenter(augmentation)
    size, length = clip.image_size, clip.num_frames
    shapes = (
        (batch_size, length, size, size, 3),
        (batch_size, length, clip.flow_length, 2, size, size),
    )

    def read(rows):
        # Python code: it decodes each image into its place in the batch, where TensorFlow's
        # operations would copy them there afterwards.
        images = tf.numpy_function(
            decode_clips,
            [rows["video"], rows["frames"], rows["flow"]],
            [tf.uint8, tf.uint8],
            stateful=False,
        )
        rgb, fields = augment(rows, *map(tf.ensure_shape, images, shapes))
        kept = {name: rows[name] for name in ("label", "weight", "video")}
        return {"rgb": rgb, "fields": fields, **kept}

    dataset = tf.data.Dataset.from_tensor_slices(rows).batch(batch_size, drop_remainder=True)
    cores = len(os.sched_getaffinity(0))
    dataset = dataset.map(read, num_parallel_calls=cores, deterministic=True)
    # Without autotuning, whose thread delays the end of every iterator by seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(PREFETCHED_BATCHES).with_options(options)


def network_inputs(batch):
    """A batch as the network takes it: the planes of the flow fields become channels.

    Part of the step and not of the pipeline, because the CPU would take half as long for it as for
    decoding, and the device that trains takes next to no time.

    Args:
        batch: `rgb` uint8 (B, T, H, W, 3) and `fields` uint8 (B, T, L, 2, H, W), of `clip_dataset`.

    Returns:
        Dictionary of `rgb` and `flow`, uint8 (B, T, H, W, 2L), channels x1, y1, x2, y2, ...
    """
    _, frames, length, _, height, width = batch["fields"].shape
    stacks = tf.transpose(batch["fields"], (0, 1, 4, 5, 2, 3))  # b t l xy h w -> b t h w l xy
    stacks = tf.reshape(stacks, (-1, frames, height, width, 2 * length))
    return {"rgb": batch["rgb"], "flow": stacks}
