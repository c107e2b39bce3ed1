"""The maps of the streams' frozen blocks, computed once and read by every epoch.

Blocks whose weights stay as they are give the same maps for a frame in every epoch: those of all
five are X_a and X_b (the input of Eq. 1), those of fewer the input of the next block. Maps of the
same block, records, settings and weights lie in a folder named by their digest, with
`features.json`, which has what the digest is of. For video k of the record set there is
`k-STREAM.npy`: float16 (N, height, width, channels), the map of each of its frames (`map_shape`);
of a mirrored video `k-STREAM-mirrored.npy`. A map is rounded to 11 significant bits (relative error
at most 2^-11, against 2^-8 of bfloat16).
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from preprocessing.records.reader import RecordReader
from stfnet import input_pipeline, sampling
from stfnet.augmentation import mirror
from stfnet.config import WHOLE_STREAM, ModelConfig, RunConfig, to_dict
from stfnet.layers import vgg_stream
from stfnet.model import STFNet
from stfnet.plans import CROPPED, MIRRORED, ClipPlan

FORMAT = 1
FEATURES_FILE = "features.json"
FRAMES_AT_ONCE = 16  # frames that pass through the streams together
LARGEST = float(np.finfo(np.float16).max)


def map_shape(model: ModelConfig, block: int) -> tuple[int, int, int]:
    """(height, width, channels) of a frame's map at the end of a block, 1 to 5."""
    size = (model.clip.image_size, model.clip.image_size)
    return vgg_stream.map_shape(size, block, model.width_divisor)


def head(model: STFNet, block: int) -> keras.Model:
    """What follows a block of both streams, with the network's weights: from maps to the logits.

    Args:
        model: the network.
        block: at whose end the maps are, 1 to 5; the next blocks are part of the head.

    Returns:
        keras.Model, whose inputs have the names of the network's inputs: float16
        (B, T, *map_shape).
    """
    streams = {name: model.get_layer(f"{name}_stream") for name in model.input}
    rest = keras.Model(
        [stream.output for stream in streams.values()], model.get_layer("logits").output
    )
    shape = (model.config.clip.num_frames, *map_shape(model.config, block))
    inputs = {name: keras.Input(shape, dtype="float16", name=name) for name in streams}
    outputs = [stream(inputs[name], first=block + 1) for name, stream in streams.items()]
    return keras.Model(inputs, rest(outputs))


def identity(
    model: keras.Model, record_set: RecordSet, config: RunConfig, block: int
) -> dict[str, Any]:
    """What maps depend on, as JSON values: records, clip, inputs, and weights up to the block."""
    digest = hashlib.sha256()
    for name in model.input:
        stream = model.get_layer(f"{name}_stream")
        for number in range(1, block + 1):
            for convolution in stream.convolutions_of(number):
                for variable in convolution.variables:
                    digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    clip = to_dict(config.model.clip)
    return {
        "format": FORMAT,
        # Sets from before digests are told from each other by where they lie.
        "records": record_set.sha256 or str(record_set.folder.resolve()),
        "videos": [(video.id, video.num_frames, video.length) for video in record_set.videos],
        "precision": config.training.precision,
        "clip": {
            name: clip[name] for name in ("flow_length", "image_size", "resize", "flow_bound")
        },
        "inputs": {name: getattr(config.model, f"{name}_input") for name in model.input},
        "block": block,
        "weights_sha256": digest.hexdigest(),
    }


def forecast(
    record_set: RecordSet, positions: Iterable[int], config: RunConfig, block: int
) -> tuple[int, int]:
    """(maps of a block to be computed, their bytes) of all frames of some videos."""
    frames = sum(record_set.videos[k].num_frames for k in positions)
    maps = frames * len(config.model.input_channels)
    if config.training.augmentation in MIRRORED:
        maps *= 2
    return maps, maps * math.prod(map_shape(config.model, block)) * 2


def check(config: RunConfig, workers: int) -> None:
    """Checks that a run can train on maps.

    Args:
        config: of the run.
        workers: processes that train together.

    Raises:
        UserError: the first stage freezes no blocks, clips are cropped, or there are several
            workers.
    """
    training = config.training
    if not training.unchanged_blocks(0):
        raise UserError(
            f"--cache=features has no effect with training.frozen_blocks={training.frozen_blocks}: "
            f"the first stage must freeze blocks, 1 to {WHOLE_STREAM} (whole streams), or leave it "
            "out"
        )
    if training.augmentation in CROPPED:
        raise UserError(
            f"--cache=features keeps no maps of crops, and training.augmentation is "
            f"{training.augmentation}: set it to none or flip, or leave --cache=features out"
        )
    if workers > 1:
        raise UserError(
            f"--cache=features works in one process, and there are {workers} workers: leave it out"
        )


class Features:
    """The maps of a record set's videos.

    Args:
        folder: in which maps are kept; made if missing. Runs can share it.
        model: the network with the frozen blocks.
        record_set: of the records.
        config: of the run.
        block: at whose end the maps are, 1 to 5.

    Attributes:
        folder: of these maps.
        block: see above.
        streams: names of the network's inputs.
        damage: see `input_pipeline.Reader`.
    """

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        record_set: RecordSet,
        config: RunConfig,
        block: int,
    ):
        values = identity(model, record_set, config, block)
        text = json.dumps(values, sort_keys=True)
        self.folder = Path(folder) / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.block = block
        self.streams = tuple(model.input)
        self._model, self._record_set, self._config = model, record_set, config
        self._mapped: dict[Path, np.ndarray] = {}
        self.damage: UserError | None = None
        self.folder.mkdir(parents=True, exist_ok=True)
        files.write_json(self.folder / FEATURES_FILE, values)

    def compute(
        self, positions: Iterable[int], must_stop: Callable[[], bool] = lambda: False
    ) -> bool:
        """Computes the maps of all frames of videos that have none yet.

        Args:
            positions: of the videos in the record set.
            must_stop: asked before each video.

        Returns:
            Whether all are there; not, where it had to stop.

        Raises:
            UserError: another process computes them, the disk is full, or a map has values that
                float16 cannot hold.
        """
        flips = (False, True) if self._config.training.augmentation in MIRRORED else (False,)
        with files.locked(self.folder, "computation of maps"):
            files.remove_partial(self.folder)
            missing = [
                (k, flip)
                for k in positions
                for flip in flips
                if not all(self._path(k, name, flip).is_file() for name in self.streams)
            ]
            if not missing:
                return True
            positions = {k for k, _ in missing}
            maps, size = forecast(self._record_set, positions, self._config, self.block)
            print(
                f"computing {maps:,} maps of the frozen blocks 1 to {self.block} once, "
                f"{size / 1e6:,.0f} MB, in {self.folder}",
                flush=True,
            )
            reader = RecordReader(self._record_set)
            run = self._compiled()
            frames = sum(self._record_set.videos[k].num_frames for k, _ in missing)
            with tqdm(total=frames, unit="frame", desc="maps", leave=False) as bar:
                for k, flip in missing:
                    if must_stop():
                        return False
                    self._compute_video(k, flip, reader, run, bar.update)
        return True

    def _path(self, position: int, stream: str, flip: bool) -> Path:
        return self.folder / f"{position:06d}-{stream}{'-mirrored' if flip else ''}.npy"

    def _compiled(self) -> Callable:
        """Function of (rgb, fields, flip) of FRAMES_AT_ONCE frames: stream -> float32 maps."""
        clip, model = self._config.model.clip, self._model
        size = clip.image_size

        @tf.function(
            input_signature=(
                tf.TensorSpec((1, FRAMES_AT_ONCE, size, size, 3), tf.uint8),
                tf.TensorSpec((1, FRAMES_AT_ONCE, clip.flow_length, 2, size, size), tf.uint8),
                tf.TensorSpec((), tf.bool),
            )
        )
        def run(rgb, fields, flip):
            one = tf.cond(flip, lambda: mirror(rgb[0], fields[0]), lambda: (rgb[0], fields[0]))
            batch = {"rgb": one[0][None], "fields": one[1][None]}
            inputs = input_pipeline.network_inputs(batch)
            return {
                name: tf.cast(
                    model.get_layer(f"{name}_stream")(
                        model.get_layer(f"{name}_normalization")(inputs[name]), last=self.block
                    )[0],
                    tf.float32,
                )
                for name in self.streams
            }

        return run

    def _compute_video(self, position, flip, reader, run, report) -> None:
        video, length = self._record_set.videos[position], self._config.model.clip.flow_length
        maps: dict[str, list[np.ndarray]] = {name: [] for name in self.streams}
        for first in range(0, video.num_frames, FRAMES_AT_ONCE):
            count = min(FRAMES_AT_ONCE, video.num_frames - first)
            frames = np.minimum(np.arange(first, first + FRAMES_AT_ONCE), video.num_frames - 1)
            fields = sampling.flow_indices(frames, video.num_frames, length)
            clip = reader.clips([position], frames[None], fields[None])
            for name, value in run(*clip, flip).items():
                maps[name].append(value.numpy()[:count])
            report(count)
        for name, pieces in maps.items():
            whole = np.concatenate(pieces)
            if not np.abs(whole).max() <= LARGEST:
                raise UserError(
                    f"the {name} stream's maps of {video.id} reach {np.abs(whole).max()}, which "
                    "float16 cannot hold: train without --cache=features"
                )
            with files.writing(self._path(position, name, flip)) as file:
                np.save(file, whole.astype(np.float16))

    def clips(
        self, positions: np.ndarray, frames: np.ndarray, flip: np.ndarray
    ) -> list[np.ndarray]:
        """The maps of clips, one float16 (B, T, *map_shape) for each stream.

        Args:
            positions: integer array (B,), of the videos in the record set.
            frames: integer array (B, T), frame numbers.
            flip: bool (B,), whether a clip is mirrored.
        """
        return [
            np.stack(
                [
                    self._map(self._path(position, name, mirrored))[numbers]
                    for position, numbers, mirrored in zip(positions, frames, flip, strict=True)
                ]
            )
            for name in self.streams
        ]

    def _map(self, path: Path) -> np.ndarray:
        if path not in self._mapped:
            try:
                self._mapped[path] = np.load(path, mmap_mode="r")
            except (OSError, ValueError, EOFError) as error:
                self.damage = UserError(
                    f"{path} is missing or damaged ({error}): delete it and start the same command "
                    "again, which computes it again"
                )
                raise self.damage from error
        return self._mapped[path]


def map_dataset(
    features: Features,
    record_set: RecordSet,
    plan: ClipPlan,
    config: RunConfig,
    batch_size: int,
) -> tf.data.Dataset:
    """As `input_pipeline.clip_dataset`, with the maps of the streams in place of their inputs.

    Returns:
        tf.data.Dataset of dictionaries: for each stream float16 (B, T, *map_shape), `label` int64
        (B,), `weight` float32 (B,), `video` int64 (B,).
    """
    model = config.model
    shape = (batch_size, model.clip.num_frames, *map_shape(model, features.block))

    def read(rows):
        maps = tf.numpy_function(
            features.clips,
            [rows["video"], rows["frames"], rows["flip"]],
            [tf.float16] * len(features.streams),
            stateful=False,
        )
        maps = [tf.ensure_shape(value, shape) for value in maps]
        return dict(zip(features.streams, maps, strict=True))

    return input_pipeline.planned_dataset(record_set, plan, batch_size, read)
