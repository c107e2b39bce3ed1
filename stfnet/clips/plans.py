"""Plans of clips: which videos, in which order, which of their frames and flow fields.

Every epoch is planned before anything is read. A training plan is a pure function of the seed, the
stage and the epoch, so a run that stops in the middle of an epoch resumes at the very next clip,
and several workers take their parts of one and the same plan. NumPy only.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet import sampling
from stfnet.config import ClipConfig, TrainingConfig
from stfnet.run.config import RunConfig

MIRRORED, CROPPED = ("flip", "flip_crop"), ("crop", "flip_crop")  # values of augmentation
# Fields of `ClipConfig` that the records must have too.
_STORED = ("image_size", "resize", "fps", "repeats", "flow_bound")
SMALLEST_CROP = 0.75  # of the side
WHOLE_IMAGE = np.array([0, 0, 1], np.float32)  # top, left and side of a crop


@dataclasses.dataclass(frozen=True)
class ClipPlan:
    """M clips to be read.

    Attributes:
        video: int64 (M,), positions in `record_set.videos`.
        frames: int64 (M, T), frame numbers.
        flow: int64 (M, T, L), flow field numbers.
        flip: bool (M,), whether the clip is mirrored left to right.
        crop: float32 (M, 3), top, left and side of the square that is kept, as fractions of the
            image's side.
        weight: float32 (M,), 1, the weight of the clip's class in the loss, or 0 for a clip that
            only fills the last batch.
    """

    video: np.ndarray
    frames: np.ndarray
    flow: np.ndarray
    flip: np.ndarray
    crop: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.video)

    @property
    def cropped(self) -> bool:
        """Whether a clip is cropped."""
        return bool((self.crop[:, 2] < 1).any())

    def __getitem__(self, rows: Any) -> "ClipPlan":
        """The clips that a slice or an index array selects."""
        return ClipPlan(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))


def check_records(record_set: RecordSet, config: RunConfig) -> None:
    """Compares a record set with a run's configuration.

    Raises:
        UserError: one of _STORED or the classes differ; the message names both values and the way
            out.
    """
    check_clip(record_set, config.model.clip)
    check_grid(record_set, config.model.clip, config.training.frame_grid)
    if tuple(record_set.classes) != tuple(config.classes):
        differing = [
            f"{owner} {', '.join(sorted(own - other)[:3])}"
            + (f" and {len(own - other) - 3} more" if len(own - other) > 3 else "")
            for owner, own, other in (
                ("only the records have", set(record_set.classes), set(config.classes)),
                ("only the model has", set(config.classes), set(record_set.classes)),
            )
            if own - other
        ]
        raise UserError(
            f"{record_set.folder}: its {len(record_set.classes)} classes are not the "
            f"{len(config.classes)} that the model was trained on: "
            f"{'; '.join(differing) or 'they stand in another order'}"
        )


def check_clip(record_set: RecordSet, clip: ClipConfig) -> None:
    """Checks that records were made as a clip is read; the UserError names values and ways out."""
    stored = {**record_set.clip, "flow_bound": record_set.encoding["flow_bound"]}
    for name in _STORED:
        if stored[name] != (needed := getattr(clip, name)):
            raise UserError(
                f"{record_set.folder}: records were made with {name}={stored[name]}, but the model "
                f"has clip.{name}={needed}. Train with experiments.train "
                f"--config.model.clip.{name}={stored[name]}, or prepare again with "
                f"experiments.prepare --{name}={needed} (into another folder)"
            )


def check_grid(record_set: RecordSet, clip: ClipConfig, frame_grid: int) -> None:
    """Checks that records hold what clips read, where they do not hold everything.

    Args:
        record_set: of the records.
        clip: the clip configuration.
        frame_grid: `training.frame_grid`.

    Raises:
        UserError: they have another grid, or fields for smaller stacks alone.
    """
    grid, length = record_set.clip["frame_grid"], record_set.clip["flow_length"]
    if grid not in (0, frame_grid):
        raise UserError(
            f"{record_set.folder}: records hold {grid} frames of each video, and "
            f"training.frame_grid={frame_grid} reads {frame_grid or 'all'}: train with "
            f"experiments.train --config.training.frame_grid={grid}, or prepare again, into "
            f"another folder, with experiments.prepare --frame_grid={frame_grid}"
        )
    if grid and clip.flow_length > length:
        raise UserError(
            f"{record_set.folder}: records hold the flow of stacks of up to {length} fields, and "
            f"the model has clip.flow_length={clip.flow_length}: prepare again, into another "
            f"folder, with experiments.prepare --frame_grid={grid} "
            f"--flow_length={clip.flow_length}"
        )


def short_videos(record_set: RecordSet, positions: np.ndarray, clip: ClipConfig) -> list[str]:
    """A line that says how many videos have fewer frames than a clip; none where none has."""
    short = sum(record_set.videos[k].num_frames < clip.num_frames for k in positions)
    if not short:
        return []
    return [
        f"{short} of {len(positions)} videos have fewer frames than the T={clip.num_frames} of a "
        f"clip: clip.short_video={clip.short_video} says how they are read"
    ]


def _plan(
    record_set: RecordSet,
    clip: ClipConfig,
    positions: np.ndarray,
    choose: Callable[[int, int], np.ndarray],
) -> ClipPlan:
    """A clip for each row, of the frames that `choose` takes, or of the nearest that are stored.

    `choose` is a function of the row and of the number of frames of its video.
    """
    frames, flow = [], []
    for row, position in enumerate(positions):
        count = record_set.videos[position].num_frames
        try:
            chosen = choose(row, count)
        except UserError as error:
            raise UserError(f"{record_set.videos[position].id}: {error}") from error
        chosen = sampling.snap(chosen, sampling.frame_grid(count, record_set.clip["frame_grid"]))
        frames.append(chosen)
        flow.append(sampling.flow_indices(chosen, count, clip.flow_length))
    size = len(positions)
    return ClipPlan(
        video=np.asarray(positions, np.int64),
        frames=np.array(frames, np.int64).reshape(size, clip.num_frames),
        flow=np.array(flow, np.int64).reshape(size, clip.num_frames, clip.flow_length),
        flip=np.zeros(size, bool),
        crop=np.tile(WHOLE_IMAGE, (size, 1)),
        weight=np.ones(size, np.float32),
    )


def plan_training(
    record_set: RecordSet,
    positions: np.ndarray,
    clip: ClipConfig,
    training: TrainingConfig,
    stage: int,
    epoch: int,
) -> ClipPlan:
    """One epoch's clips in a new random order; whole batches only.

    Args:
        record_set: of the records.
        positions: integer array (V,), the training videos in `record_set.videos`.
        clip, training: the configurations.
        stage, epoch: 0-based numbers that, with `training.seed`, determine every random choice.

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

    def choose(_: int, count: int) -> np.ndarray:
        chosen = sampling.train_indices(
            count, clip.num_frames, training.tau_range, rng, clip.short_video
        )
        return sampling.snap(chosen, sampling.frame_grid(count, training.frame_grid))

    plan = _plan(record_set, clip, order, choose)
    if training.class_weighted:
        labels = np.array([record_set.videos[k].label for k in plan.video])
        weight = class_weights(record_set, positions)[labels]
        plan = dataclasses.replace(plan, weight=weight.astype(np.float32))
    if training.augmentation in MIRRORED:
        plan = dataclasses.replace(plan, flip=rng.random(len(plan)) < 0.5)
    if training.augmentation in CROPPED:
        side = rng.uniform(SMALLEST_CROP, 1, len(plan))
        corner = rng.uniform(0, 1, (2, len(plan))) * (1 - side)
        plan = dataclasses.replace(plan, crop=np.stack([*corner, side], 1).astype(np.float32))
    return plan


def class_weights(record_set: RecordSet, positions: np.ndarray) -> np.ndarray:
    """Weight of each class in the loss: inverse to its number of videos, 1 on average over these.

    Args:
        record_set: of the records.
        positions: integer array (V,), the training videos.

    Returns:
        float64 (C,); 0 for a class without a video.
    """
    labels = [record_set.videos[k].label for k in positions]
    counts = np.bincount(labels, minlength=len(record_set.classes))
    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = len(positions) / (present.sum() * counts[present])
    return weights


def plan_evaluation(
    record_set: RecordSet,
    positions: np.ndarray,
    clip: ClipConfig,
    batch_size: int,
    clips_per_video: int = 1,
    frame_grid: int = 0,
) -> ClipPlan:
    """The test clips of each video in order (Eqs. 13-14), filled up to whole batches.

    Args:
        record_set: of the records.
        positions: integer array (V,), videos in `record_set.videos`.
        clip: the clip configuration.
        batch_size: clips a batch.
        clips_per_video: K; 1 is the paper's clip, more start at `sampling.test_starts`.
        frame_grid: see `sampling.frame_grid`; each frame is replaced by the nearest of these. 0 is
            the paper's clip, and of records with a grid the nearest stored frames.

    Returns:
        ClipPlan whose length is a multiple of `batch_size`. Its first K * V rows are the clips,
        those of a video in neighbouring rows; the others only fill the batch and have weight 0.
    """

    def choose(row: int, count: int) -> np.ndarray:
        starts = sampling.test_starts(count, clip.num_frames, clips_per_video)
        start = starts[row % clips_per_video]
        chosen = sampling.test_indices(count, clip.num_frames, clip.short_video, start)
        return sampling.snap(chosen, sampling.frame_grid(count, frame_grid))

    plan = _plan(record_set, clip, np.repeat(positions, clips_per_video), choose)
    size = -(-len(plan) // batch_size) * batch_size
    filled = plan[np.minimum(np.arange(size), len(plan) - 1)]
    return dataclasses.replace(filled, weight=(np.arange(size) < len(plan)).astype(np.float32))
