"""From records to batches of clips.

Every epoch is planned before it is read: which videos, in which order, which of their frames and
flow fields, which of them mirrored. The plan is a pure function of the seed, the stage and the
epoch, so a run that stops in the middle of an epoch goes on at the very clip where it was,
and workers take their share of one and the same plan. Only the images of the plan are decoded.
"""

import contextlib
import dataclasses
import functools
import os

import numpy as np
import tensorflow as tf

from preprocessing.errors import UserError
from preprocessing.records.reader import RecordReader
from stfnet import sampling
from stfnet.config import ClipConfig, RunConfig, TrainingConfig

MIRRORED, CROPPED = ("flip", "flip_crop"), ("crop", "flip_crop")  # values of augmentation
SMALLEST_CROP = 0.75  # of the side
PREFETCHED_BATCHES = 2


@dataclasses.dataclass(frozen=True)
class ClipPlan:
    """M clips to be read.

    Attributes:
        video: int64 (M,), positions in `record_set.videos`.
        frames: int64 (M, T), frame numbers.
        flow: int64 (M, T, L), flow field numbers.
        flip: bool (M,), whether the clip is mirrored left to right.
        crop: float32 (M, 3), top, left and side of the part that is kept, as shares of the side.
        weight: float32 (M,), 1, or 0 for a clip that only fills the last batch.
    """

    video: np.ndarray
    frames: np.ndarray
    flow: np.ndarray
    flip: np.ndarray
    crop: np.ndarray
    weight: np.ndarray

    def __len__(self):
        return len(self.video)

    def __getitem__(self, rows):
        return ClipPlan(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))


def check_records(record_set, config: RunConfig):
    """Compares a record set with a run's configuration where the two meet.

    Raises:
        UserError: T, L, image size, resize mode, flow bound or the classes differ; the message
            names both values and the way out.
    """
    clip = config.model.clip
    stored = {**record_set.clip, "flow_bound": record_set.encoding["flow_bound"]}
    again = {
        "num_frames": "only metadata.json is rewritten",
        "flow_length": "only metadata.json is rewritten",
    }
    for name in ("num_frames", "flow_length", "image_size", "resize", "flow_bound"):
        if stored[name] != getattr(clip, name):
            raise UserError(
                f"{record_set.folder}: records were made with {name}={stored[name]}, but the model "
                f"has clip.{name}={getattr(clip, name)}. Train with experiments.train "
                f"--config.model.clip.{name}={stored[name]}, or prepare again with "
                f"experiments.prepare --{name}={getattr(clip, name)} "
                f"({again.get(name, 'into another folder')})"
            )
    if tuple(record_set.classes) != tuple(config.classes):
        raise UserError(
            f"{record_set.folder}: its {len(record_set.classes)} classes "
            f"({', '.join(record_set.classes[:3])}, ...) are not the {len(config.classes)} the "
            f"model was trained on ({', '.join(config.classes[:3])}, ...)"
        )


def _plan(record_set, clip: ClipConfig, positions, choose):
    frames, flow = [], []
    for position in positions:
        count = record_set.videos[position].num_frames
        try:
            chosen = choose(count)
        except UserError as error:
            raise UserError(f"{record_set.videos[position].id}: {error}") from error
        frames.append(chosen)
        flow.append(sampling.flow_indices(chosen, count, clip.flow_length))
    size = len(positions)
    return ClipPlan(
        video=np.asarray(positions, np.int64),
        frames=np.array(frames, np.int64).reshape(size, clip.num_frames),
        flow=np.array(flow, np.int64).reshape(size, clip.num_frames, clip.flow_length),
        flip=np.zeros(size, bool),
        crop=np.tile(np.float32([0, 0, 1]), (size, 1)),
        weight=np.ones(size, np.float32),
    )


def plan_training(record_set, positions, clip: ClipConfig, training: TrainingConfig, stage, epoch):
    """One epoch's clips in a new random order; whole batches only.

    Args:
        record_set: of the records.
        positions: videos of the training part.
        clip, training: the configurations.
        stage, epoch: 0-based numbers that, with `training.seed`, fix every random choice.

    Returns:
        ClipPlan of k * `training.batch_size` clips, k >= 1.
    """
    rng = np.random.default_rng([training.seed, stage, epoch])
    size = len(positions) * training.clips_per_video
    if training.balanced:
        labels = np.array([record_set.videos[k].label for k in positions])
        present = np.unique(labels)
        drawn = rng.permutation(np.resize(present, size))
        order = np.array([rng.choice(positions[labels == label]) for label in drawn])
    else:
        order = rng.permutation(np.repeat(positions, training.clips_per_video))
    batches = max(size // training.batch_size, 1)
    order = np.resize(order, batches * training.batch_size)
    plan = _plan(
        record_set,
        clip,
        order,
        lambda count: sampling.train_indices(
            count, clip.num_frames, training.tau_range, rng, clip.short_video
        ),
    )
    if training.augmentation in MIRRORED:
        plan = dataclasses.replace(plan, flip=rng.random(len(plan)) < 0.5)
    if training.augmentation in CROPPED:
        side = rng.uniform(SMALLEST_CROP, 1, len(plan))
        corner = rng.uniform(0, 1, (2, len(plan))) * (1 - side)
        plan = dataclasses.replace(plan, crop=np.stack([*corner, side], 1).astype(np.float32))
    return plan


def plan_evaluation(record_set, positions, clip: ClipConfig, batch_size):
    """The test clip of each video in order (Eqs. 13-14), filled up to whole batches.

    Returns:
        ClipPlan whose length is a multiple of `batch_size`; filling clips have weight 0.
    """
    plan = _plan(
        record_set,
        clip,
        positions,
        lambda count: sampling.test_indices(count, clip.num_frames, clip.short_video),
    )
    size = -(-len(plan) // batch_size) * batch_size
    filled = plan[np.minimum(np.arange(size), len(plan) - 1)]
    return dataclasses.replace(filled, weight=(np.arange(size) < len(plan)).astype(np.float32))


def network_inputs(batch):
    """A batch as the network takes it: the planes of the flow fields become channels.

    Part of the step and not of the pipeline, because the processor would take half as long for it
    as for decoding, and the device that trains takes next to nothing.

    Args:
        batch: `rgb` uint8 (B, T, H, W, 3) and `fields` uint8 (B, T, L, 2, H, W), of `clip_dataset`.

    Returns:
        Dictionary of `rgb` and `flow`, uint8 (B, T, H, W, 2L), channels x1, y1, x2, y2, ...
    """
    _, frames, length, _, height, width = batch["fields"].shape
    stacks = tf.transpose(batch["fields"], (0, 1, 4, 5, 2, 3))  # b t l xy h w -> b t h w l xy
    stacks = tf.reshape(stacks, (-1, frames, height, width, 2 * length))
    return {"rgb": batch["rgb"], "flow": stacks}


def mirror(rgb, fields):
    """Mirrors a clip left to right; the x flow turns its sign.

    Zero displacement is 128, so v becomes 256 - v (0, the clipped end, becomes 255).
    """
    rgb, fields = rgb[:, :, ::-1], fields[..., ::-1]
    turned = tf.cast(tf.minimum(256 - tf.cast(fields, tf.int32), 255), tf.uint8)
    return rgb, tf.where([[[True]], [[False]]], turned, fields)


def crop_and_enlarge(rgb, fields, crop):
    """Keeps the square `crop` (top, left, side; shares of the side) at the full size again.

    Flow is in pixels, so enlarging by 1 / side enlarges it too.
    """
    top, left, side = crop[0], crop[1], crop[2]
    size = rgb.shape[1:3]

    def enlarged(images):
        count = images.shape[0]
        box = tf.tile([[top, left, top + side, left + side]], (count, 1))
        return tf.image.crop_and_resize(tf.cast(images, tf.float32), box, tf.range(count), size)

    planes = enlarged(tf.reshape(fields, (-1, *size, 1)))
    planes = 128 + (planes - 128) / side
    return (
        tf.saturate_cast(tf.round(enlarged(rgb)), tf.uint8),
        tf.reshape(tf.saturate_cast(tf.round(planes), tf.uint8), fields.shape),
    )


@functools.lru_cache
def _augmenter(augmentation):
    """Function of a batch of the plan and its clips: the clips as the plan changes them."""

    def augment(arguments):
        flip, crop, rgb, fields = arguments
        if augmentation in MIRRORED:
            rgb, fields = tf.cond(flip, lambda: mirror(rgb, fields), lambda: (rgb, fields))
        if augmentation in CROPPED:
            rgb, fields = crop_and_enlarge(rgb, fields, crop)
        return rgb, fields

    @tf.function
    def augment_batch(rows, rgb, fields):
        if augmentation == "none":
            return rgb, fields
        arguments = rows["flip"], rows["crop"], rgb, fields
        signature = (
            tf.TensorSpec(rgb.shape[1:], tf.uint8),
            tf.TensorSpec(fields.shape[1:], tf.uint8),
        )
        return tf.map_fn(augment, arguments, fn_output_signature=signature)

    return augment_batch


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
    record_set, plan: ClipPlan, clip: ClipConfig, batch_size, augmentation="none", reader=None
):
    """Reads the clips of a plan, in its order.

    Args:
        record_set: of the records.
        plan: the clips; its length is a multiple of `batch_size`.
        clip: the clip configuration.
        batch_size: clips a batch.
        augmentation: what the plan may ask for (`none`, `flip`, `crop`, `flip_crop`).
        reader: RecordReader of the same records; None makes one.

    Returns:
        tf.data.Dataset of dictionaries: `rgb` uint8 (B, T, H, W, 3), `fields` uint8
        (B, T, L, 2, H, W), `label` int64 (B,), `weight` float32 (B,), `video` int64 (B,);
        `network_inputs` makes the network's inputs of them.
    """
    rows = {
        "label": np.array([record_set.videos[k].label for k in plan.video], np.int64),
        **{field.name: getattr(plan, field.name) for field in dataclasses.fields(plan)},
    }
    reader = reader or RecordReader(record_set)
    augment = _augmenter(augmentation)
    size, length = clip.image_size, clip.num_frames
    shapes = (
        (batch_size, length, size, size, 3),
        (batch_size, length, clip.flow_length, 2, size, size),
    )

    def read(rows):
        # Python code: it decodes each image into its place in the batch, where TensorFlow's
        # operations would copy them there afterwards.
        images = tf.numpy_function(
            reader.clips,
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
    # Without autotuning, whose thread holds up the end of every iterator for seconds.
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(PREFETCHED_BATCHES).with_options(options)
