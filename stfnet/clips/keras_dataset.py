"""Record sets as data sets for Keras' `fit`, on any backend, without TensorFlow."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from preprocessing import records
from preprocessing.records.reader import RecordReader
from stfnet import run
from stfnet.clips import plans
from stfnet.config import ClipConfig, LearnedConfig, RecordsConfig, TrainingConfig
from stfnet.networks import ModelConfig
from stfnet.run.config import RunConfig


class ClipDataset(keras.utils.PyDataset):
    """The clips of some videos of a record set, batch by batch.

    An item is (inputs, labels, weights): a dictionary of `rgb` uint8 (B, T, H, W, 3) and `flow`
    uint8 (B, T, H, W, 2L), the stacks' channels in the order x1, y1, x2, y2, ...; labels int64
    (B,); weights float32 (B,), all 1 without `training.class_weighted`.

    For training each epoch draws videos, intervals, starts, mirror images and crops again: those of
    `stfnet.clips.plans.plan_training` for the epoch, so the clips are those of
    `experiments.train` with the same settings. Else it is the test clip of each video (Eqs. 13-14),
    in the order of the positions, and the last batch may be smaller.

    Example:
        >>> clip = stfnet.ClipConfig(num_frames=3, image_size=32)
        >>> train, validation, test = stfnet.datasets("records", clip, batch_size=4)
        >>> inputs, labels, weights = train[0]  # the first batch
        >>> inputs["rgb"].shape, inputs["flow"].shape, labels.shape
        ((4, 3, 32, 32, 3), (4, 3, 32, 32, 8), (4,))

    Args:
        record_set: of the records.
        positions: integer array (V,), the videos in `record_set.videos`.
        clip: the clip configuration.
        training: `batch_size`, `seed` and how clips are drawn.
        shuffled: whether the clips are for training.
        streams: `both`, or the one stream, `rgb` or `flow`, that the network reads.
        workers, use_multiprocessing, max_queue_size: see `keras.utils.PyDataset`.
    """

    def __init__(
        self,
        record_set: records.RecordSet,
        positions: np.ndarray,
        clip: ClipConfig,
        training: TrainingConfig,
        shuffled: bool,
        streams: str = "both",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.record_set, self.positions = record_set, positions
        self.clip, self.training, self.shuffled = clip, training, shuffled
        self.streams = ("rgb", "flow") if streams == "both" else (streams,)
        self.epoch = 0
        self._reader: RecordReader | None = None
        self._plan = self._draw()

    @property
    def learned(self) -> LearnedConfig:
        """What a network that learns from these clips is saved with, see `stfnet.build_stfnet`."""
        record_set, training = self.record_set, self.training
        return LearnedConfig(
            tuple(record_set.classes),
            RecordsConfig.of(record_set),
            training.tau_range,
            training.frame_grid,
        )

    def __len__(self) -> int:
        return -(-len(self._plan) // self.training.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        if self._reader is None:  # of this process
            self._reader = RecordReader(self.record_set)
        size = self.training.batch_size
        rows = self._plan[index * size : (index + 1) * size]
        rgb, fields = self._reader.clips(rows.video, rows.frames, rows.flow, rows.flip)
        *shape, _, _, height, width = fields.shape  # b t l xy h w
        flow = fields.transpose(0, 1, 4, 5, 2, 3).reshape(*shape[:2], height, width, -1)
        inputs = {"rgb": rgb, "flow": flow}
        if rows.cropped:
            inputs = {name: _crop(inputs[name], rows.crop, name == "flow") for name in self.streams}
        labels = np.array([self.record_set.videos[k].label for k in rows.video], np.int64)
        return {name: inputs[name] for name in self.streams}, labels, rows.weight

    def on_epoch_end(self) -> None:
        """Draws the clips of the next epoch."""
        self.epoch += 1
        if self.shuffled:
            self._plan = self._draw()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_reader": None}  # mapped files stay in their process

    def _draw(self) -> plans.ClipPlan:
        set_, clip, training = self.record_set, self.clip, self.training
        if self.shuffled:
            return plans.plan_training(set_, self.positions, clip, training, 0, self.epoch)
        return plans.plan_evaluation(
            set_, self.positions, clip, 1, training.validation_clips, training.frame_grid
        )


def datasets(
    path: str | Path,
    clip: ClipConfig,
    batch_size: int = 8,
    protocol: str = "group",
    fold: str = "1",
    seed: int = 0,
    streams: str = "both",
    workers: int = 2,
    **settings: Any,
) -> tuple[ClipDataset, ClipDataset, ClipDataset]:
    """Training, validation and test part of a record set, for `fit` and `evaluate`.

    Example:
        >>> clip = stfnet.ClipConfig(num_frames=3, image_size=32)
        >>> train, validation, test = stfnet.datasets("records", clip, batch_size=8)
        >>> config = stfnet.ModelConfig(3, clip, width_divisor=32)
        >>> model = stfnet.build_stfnet(config, train.learned)
        >>> loss = "sparse_categorical_crossentropy"
        >>> model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
        >>> history = model.fit(train, validation_data=validation, verbose=0)
        >>> loss, accuracy = model.evaluate(test, verbose=0)

    Args:
        path: folder of the records, of `experiments.prepare`.
        clip: the clip configuration, which the records must have too.
        batch_size: clips a batch.
        protocol: how test and training are divided: `group`, `official` or `paper`.
        fold: which official split.
        seed: of the division and of everything that is drawn.
        streams: `both`, `rgb` or `flow`: what the network reads.
        workers: threads that read ahead.
        settings: others of `stfnet.config.TrainingConfig`, such as `tau_range=(2, 10)`,
            `augmentation="flip_crop"`, `frame_grid=16`, `validation_fraction=0.15`. With records
            that have a frame grid, that grid is taken. For clips as a loaded network had them:
            `tau_range=model.learned.tau_range, frame_grid=model.learned.frame_grid`.

    Returns:
        Three `ClipDataset`s. No group is in two of them under `group` and, where groups are known,
        `official`; under `paper` they leak.

    Raises:
        UserError: the folder holds no records, they were made for other clips, or a part of the
            division is empty.
    """
    record_set = records.load_record_set(Path(path))
    settings = {"frame_grid": record_set.clip["frame_grid"], **settings}
    training = TrainingConfig(batch_size=batch_size, seed=seed, **settings)
    model = ModelConfig(len(record_set.classes), clip)
    config = RunConfig(
        record_set.name, record_set.classes, model, training, protocol, fold, split_seed=seed
    )
    plans.check_records(record_set, config)
    located = run.locate(run.draw_videos(record_set, config), record_set)
    train, validation, test = (
        ClipDataset(record_set, positions, clip, training, shuffled, streams, workers=workers)
        for positions, shuffled in (
            (located.train, True),
            (located.val, False),
            (located.test, False),
        )
    )
    return train, validation, test


def _crop(images: np.ndarray, crop: np.ndarray, flow: bool) -> np.ndarray:
    """`stfnet.clips.input_pipeline.crop_and_enlarge` for one input, in NumPy."""
    size = images.shape[2]
    steps = np.arange(size, dtype=np.float32) / max(size - 1, 1)
    enlarged = np.empty(images.shape, np.uint8)
    for clip, (top, left, side) in enumerate(crop):
        values = images[clip]
        for axis, first in ((1, top), (2, left)):
            places = (first + steps * side) * (size - 1)
            low = np.clip(np.floor(places), 0, max(size - 2, 0)).astype(int)
            share = (places - low).reshape((1, -1, 1, 1) if axis == 1 else (1, 1, -1, 1))
            below = values.take(low, axis).astype(np.float32)
            above = values.take(np.minimum(low + 1, size - 1), axis)
            values = below + (above - below) * share
        if flow:  # displacements grow with the picture
            values = 128 + (values - 128) / side
        enlarged[clip] = np.clip(np.rint(values), 0, 255)
    return enlarged
