"""The maps of the streams' frozen blocks, computed once and read by every epoch.

Blocks whose weights stay as they are give the same maps for a frame in every epoch: those of all
five are X_a and X_b (the input of Eq. 1), those of fewer the input of the next block. A stream's
maps of the same block, records, settings and weights lie in a folder named by their digest, with
`features.json`, which has what the digest is of. For video k of the record set there is `k.npy`:
float16 (F, height, width, channels), the maps (`parts.block_shape`) of its F frames of
`training.frame_grid`, of all frames without one; of a mirrored video `k-mirrored.npy`. A map is
rounded to 11 significant bits (relative error at most 2^-11, against 2^-8 of bfloat16).
"""

import contextlib
import errno
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
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
from stfnet import sampling
from stfnet.clips import input_pipeline
from stfnet.clips.plans import CROPPED, MIRRORED, WHOLE_IMAGE, ClipPlan
from stfnet.config import WHOLE_STREAM, to_dict
from stfnet.networks.parts import block_shape, map_of, streams_of
from stfnet.run.config import RunConfig

FORMAT = 1
FEATURES_FILE = "features.json"
FRAMES_AT_ONCE = 16  # frames that pass through the streams together


def identity(
    model: keras.Model,
    stream: str,
    record_set: RecordSet,
    config: RunConfig,
    block: int,
    test_clips: bool = False,
) -> dict[str, Any]:
    """What a stream's maps depend on, as JSON values: records, clip, input, weights, frames."""
    digest = hashlib.sha256()
    for number in range(1, block + 1):
        for convolution in streams_of(model)[stream].convolutions_of(number):
            for variable in convolution.variables:
                digest.update(keras.ops.convert_to_numpy(variable).tobytes())
    clip = to_dict(config.model.clip)
    needed = ["image_size", "resize"]
    if stream == "flow":
        needed += ["flow_length", "flow_bound"]
    frames: dict[str, Any] = {"frame_grid": config.training.frame_grid}
    if test_clips and not record_set.clip["frame_grid"]:
        frames = {"test_clip": [config.model.clip.num_frames, config.model.clip.short_video]}
    return {
        "format": FORMAT,
        # Sets from before digests are told from each other by where they lie.
        "records": record_set.sha256 or str(record_set.folder.resolve()),
        "videos": [(video.id, video.num_frames, video.length) for video in record_set.videos],
        **frames,
        "precision": config.training.precision,
        "clip": {name: clip[name] for name in needed},
        "stream": stream,
        "input": getattr(config.model, f"{stream}_input"),
        "block": block,
        "levels": config.model.map_levels if block == WHOLE_STREAM else (),
        "weights_sha256": digest.hexdigest(),
    }


def check(config: RunConfig, workers: int) -> None:
    """Checks that a run can train on maps.

    Args:
        config: of the run.
        workers: processes that train together.

    Raises:
        UserError: the first stage freezes no blocks, clips are cropped, there are several
            workers, or the network has no VGG-16.
    """
    training = config.training
    if not config.model.vgg16:
        raise UserError(
            "--cache=features keeps the maps of VGG-16's blocks, and the network "
            f"{config.model.network} has none: leave --cache=features out"
        )
    if not training.unchanged_blocks(0):
        raise UserError(
            f"--cache=features has no effect with training.frozen_blocks={training.frozen_blocks}: "
            f"the first stage must freeze blocks, 1 to {WHOLE_STREAM} (whole streams), or leave it "
            "out"
        )
    for stage in range(len(training.learning_rates)):
        block, levels = training.unchanged_blocks(stage), config.model.map_levels
        if levels[0] < block < WHOLE_STREAM:
            raise UserError(
                f"--cache=features would keep the maps of block {block} for stage {stage + 1} "
                f"(training.frozen_blocks={training.frozen_blocks}), and model.map_levels={levels} "
                "has an earlier one: leave --cache=features out, or that level"
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
        test_clips: whether the maps are those of each video's test clip (Eqs. 13-14) alone, not of
            `training.frame_grid`. Records with a grid hold nothing else, so that training and
            testing share the maps.

    Attributes:
        folders: name of an input of the network -> folder of its stream's maps.
        block: see above.
        damage: see `input_pipeline.Reader`.
    """

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        record_set: RecordSet,
        config: RunConfig,
        block: int,
        test_clips: bool = False,
    ):
        self.folders: dict[str, Path] = {}
        for stream in model.input:
            values = identity(model, stream, record_set, config, block, test_clips)
            text = json.dumps(values, sort_keys=True)
            path = Path(folder) / hashlib.sha256(text.encode()).hexdigest()[:16]
            path.mkdir(parents=True, exist_ok=True)
            files.write_json(path / FEATURES_FILE, values)
            self.folders[stream] = path
        self.block, self._test_clips = block, test_clips
        self._model, self._record_set, self._config = model, record_set, config
        self.damage: UserError | None = None

    def compute(
        self,
        positions: Iterable[int],
        must_stop: Callable[[], bool] = lambda: False,
        trained: Iterable[int] = (),
    ) -> bool:
        """Computes the maps that videos do not have yet, of all frames that a clip may have.

        Args:
            positions: of the videos in the record set.
            must_stop: asked before each video.
            trained: those whose clips training reads, mirrored too where its augmentation says so.

        Returns:
            Whether all are there; not, where it had to stop.

        Raises:
            UserError: another process computes them, the disk is full, or a map has values that
                float16 cannot hold.
        """
        asked = [(k, False) for k in positions]
        if self._config.training.augmentation in MIRRORED:
            asked += [(k, True) for k in trained]
        return all(self._compute(stream, asked, must_stop) for stream in self.folders)

    def _compute(self, stream, asked, must_stop) -> bool:
        folder = self.folders[stream]

        def missing():
            return [one for one in asked if not self._path(one[0], stream, one[1]).is_file()]

        if not missing():  # then another process may be writing those of other videos
            return True
        with files.locked(folder, "computation of maps"):
            files.remove_partial(folder)
            wanted = missing()
            if not wanted:  # another process has computed them just now
                return True
            maps = sum(len(self._frames(k)) for k, _ in wanted)
            size = maps * math.prod(block_shape(self._config.model, self.block)) * 2
            print(
                f"computing {maps:,} maps of the {stream} stream's frozen blocks 1 to {self.block} "
                f"once, {size / 1e6:,.0f} MB, in {folder}",
                flush=True,
            )
            wanted.sort(key=lambda one: self._record_set.videos[one[0]].shard)
            run, reader = self._compiled(stream), RecordReader(self._record_set)
            # Its threads read and decode while the network computes.
            clips = iter(
                input_pipeline.clip_dataset(
                    self._record_set, self._plan(wanted, stream), self._config.model.clip, 1, reader
                )
            )
            with (
                tqdm(total=maps, unit="map", desc=f"{stream} maps", leave=False) as bar,
                input_pipeline.naming_damage(reader),
            ):
                for k, flip in wanted:
                    if must_stop():
                        return False
                    count = len(self._frames(k))
                    pieces = [run(next(clips)) for _ in range(0, count, FRAMES_AT_ONCE)]
                    self._write(k, stream, flip, np.concatenate(pieces)[:count])
                    bar.update(count)
        return True

    def _plan(self, wanted: list[tuple[int, bool]], stream: str) -> ClipPlan:
        """Clips of FRAMES_AT_ONCE frames of each video, of one stream; the last frame fills up."""
        length, rows = self._config.model.clip.flow_length, []
        for k, flip in wanted:
            numbers = self._frames(k)
            numbers = np.pad(numbers, (0, -len(numbers) % FRAMES_AT_ONCE), mode="edge")
            count = self._record_set.videos[k].num_frames
            for some in numbers.reshape(-1, FRAMES_AT_ONCE):
                fields = sampling.flow_indices(some, count, length)
                of_stream = (some, fields[:, :0]) if stream == "rgb" else (some[:0], fields)
                rows.append((k, *of_stream, flip, WHOLE_IMAGE, np.float32(1)))
        return ClipPlan(*map(np.array, zip(*rows, strict=True)))

    def _frames(self, position: int) -> np.ndarray:
        """Numbers of the frames of a video that have maps, in rising order."""
        count = self._record_set.videos[position].num_frames
        if self._test_clips and not self._record_set.clip["frame_grid"]:
            clip = self._config.model.clip
            return np.unique(sampling.test_indices(count, clip.num_frames, clip.short_video))
        return sampling.frame_grid(count, self._config.training.frame_grid)

    def _path(self, position: int, stream: str, flip: bool) -> Path:
        return self.folders[stream] / f"{position:06d}{'-mirrored' if flip else ''}.npy"

    def _compiled(self, stream: str) -> Callable:
        """Function of a batch of `_plan`'s clips: float16 maps of FRAMES_AT_ONCE frames."""
        model = self._model

        @tf.function(autograph=False)
        def run(batch):
            x = input_pipeline.network_inputs(batch)[stream]
            return tf.cast(map_of(model, stream, x, self.block)[0], tf.float16)

        return run

    def _write(self, position: int, stream: str, flip: bool, maps: np.ndarray) -> None:
        if not np.isfinite(maps).all():
            raise UserError(
                f"the {stream} stream's maps of {self._record_set.videos[position].id} have values "
                "that float16 cannot hold: train without --cache=features"
            )
        with files.writing(self._path(position, stream, flip)) as file:
            np.save(file, maps)

    def dataset(self, plan: ClipPlan, batch_size: int) -> tf.data.Dataset:
        """As `input_pipeline.clip_dataset`, with the streams' maps in place of their inputs.

        Returns:
            tf.data.Dataset of dictionaries: for each stream float16 (B, T, *block_shape), `label`
            int64 (B,), `weight` float32 (B,), `video` int64 (B,).
        """
        model = self._config.model
        shape = (batch_size, model.clip.num_frames, *block_shape(model, self.block))
        outputs = {stream: tf.TensorSpec(shape, tf.float16) for stream in self.folders}
        fields = ("video", "frames", "flip")
        return input_pipeline.planned_dataset(
            self._record_set, plan, batch_size, self, fields, outputs
        )

    def clips(
        self, positions: np.ndarray, frames: np.ndarray, flip: np.ndarray
    ) -> list[np.ndarray]:
        """The maps of clips, one float16 (B, T, *block_shape) for each stream.

        Args:
            positions: integer array (B,), of the videos in the record set.
            frames: integer array (B, T), frame numbers.
            flip: bool (B,), whether a clip is mirrored.
        """
        return [
            np.stack(
                [
                    self._rows(
                        self._path(position, stream, mirrored),
                        np.searchsorted(self._frames(position), numbers),
                    )
                    for position, numbers, mirrored in zip(positions, frames, flip, strict=True)
                ]
            )
            for stream in self.folders
        ]

    def _rows(self, path: Path, rows: np.ndarray) -> np.ndarray:
        """Some maps of a video. The file is closed again: a process may have few open."""
        try:
            return np.load(path, mmap_mode="r")[rows]
        except (FileNotFoundError, ValueError, EOFError) as error:
            self.damage = UserError(
                f"{path} is missing or damaged ({error}): delete it and start the same command "
                "again, which computes it again"
            )
            raise self.damage from error
        except OSError as error:  # says nothing about the map
            advice = "start the same command again when it can"
            if error.errno in (errno.EMFILE, errno.ENFILE):
                advice = "allow more with `ulimit -n`, and start the same command again"
            self.damage = UserError(f"{path} cannot be opened ({error.strerror}): {advice}")
            raise self.damage from error


@contextlib.contextmanager
def reading(
    record_set: RecordSet,
    plan: ClipPlan,
    config: RunConfig,
    batch_size: int,
    maps: Features | None = None,
) -> Iterator[tf.data.Dataset]:
    """The clips of a plan, to be read in the block: the maps if given, else the images.

    Args:
        record_set: of the records.
        plan: the clips; its length is a multiple of `batch_size`.
        config: of the run.
        batch_size: clips a batch.
        maps: of the plan's videos, computed.

    Raises:
        UserError: what is read in the block is damaged.
    """
    source = maps or RecordReader(record_set)
    with input_pipeline.naming_damage(source):
        if isinstance(source, Features):
            yield source.dataset(plan, batch_size)
        else:
            clip = config.model.clip
            yield input_pipeline.clip_dataset(record_set, plan, clip, batch_size, source)
