"""The networks that give features of frames: VGG-16 in both streams, or that of a trained run."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet import run, sampling
from stfnet.clips import input_pipeline, plans
from stfnet.config import ClipConfig
from stfnet.inference import prediction
from stfnet.networks import SmallDataConfig, parts
from stfnet.weights import has_fc1, load_vgg16_weights, vgg16_file

FC6 = parts.FC6
FC6_UNITS, FC1_SIZE = 4096, 224  # of VGG-16's fc1, and the image size that it needs
FC6_NEEDS = (
    "it needs weights with VGG-16's fc1, which the file without fully connected layers (notop) "
    f"lacks, and records of {FC1_SIZE} pixels"
)
RGB_INPUT, FLOW_INPUT = "imagenet", "centered"  # the scales of VGG-16's own inputs
TEMPORAL_CONV1 = "cross_modality"  # of the flow stream: no other has a first convolution for it
FRAMES_AT_ONCE = 16  # frames that pass through the streams together


def vgg16_streams(
    clip: ClipConfig,
    path: str | Path,
    flow_input: str = FLOW_INPUT,
    fc6: bool = False,
    levels: tuple[int, ...] = (5,),
    dtype: str | None = None,
) -> keras.Model:
    """VGG-16 over frames and over flow stacks, each of one frame at a time.

    The RGB stream is VGG-16. The flow stream's first convolution is the mean of the RGB filters for
    every channel (Wang et al. 2015).

    Args:
        clip: image size, L and flow bound.
        path: weights, as in `load_vgg16_weights`.
        flow_input: as in `ModelConfig`.
        fc6: whether to add VGG-16's fc1 after the RGB stream, as the layer `fc6`.
        levels: of `VGGStream`.
        dtype: name of the dtype policy; None for the global one.

    Returns:
        keras.Model with the layers `NAME_normalization` and `NAME_stream` of STFNet. Inputs uint8
        (B, 1, H, W, 3) and (B, 1, H, W, 2L).

    Raises:
        UserError: as `load_vgg16_weights`.
    """
    config = SmallDataConfig(1, clip, flow_input=flow_input, map_levels=levels)
    policy = keras.dtype_policies.get(dtype) if dtype else keras.config.dtype_policy()
    inputs = parts.make_inputs(config, frames=1)
    outputs = parts.stream_maps(config, parts.normalized(config, inputs, policy), policy)
    if fc6:
        x = parts.flattened(parts.pool5(outputs["rgb"]))[:, 0]
        outputs[FC6] = keras.layers.Dense(FC6_UNITS, activation="relu", name=FC6)(x)
    model = keras.Model(inputs, outputs, name="vgg16_streams")
    load_vgg16_weights(model, path, TEMPORAL_CONV1, "imagenet" if fc6 else "random")
    return model


class FrameNetwork:
    """The streams of a network over single frames, and its fc6.

    Args:
        model: with the layers `NAME_normalization` and `NAME_stream` of STFNet, and a layer `fc6`
            where it has one.
        clip: image size and L that it reads.
        identity: what else its features depend on, weights first of all, as JSON values.

    Attributes:
        clip, identity: as given.
        streams: names of the streams.
        map_shape: (h, w, channels) of a stream, of block 5 unless its levels are others.
        fc6_units: 0 without fc6.
    """

    def __init__(self, model: keras.Model, clip: ClipConfig, identity: dict[str, Any]):
        self.clip, self.identity = clip, identity
        self.streams = tuple(model.input)
        self.map_shape = tuple(next(iter(parts.streams_of(model).values())).output.shape[2:])
        self.fc6_units = 0
        if parts.has(model, FC6):
            # By the network's own graph, from the maps on.
            fc6 = model.get_layer(FC6).output
            self.fc6_units = fc6.shape[-1]
            after_streams = parts.from_maps(model, fc6)
            self._fc6 = tf.function(after_streams, reduce_retracing=True, autograph=False)
        self._maps = self._compiled(model)

    def sequences(self, num_frames: int) -> Iterator[np.ndarray]:
        """The frames of a video in the order in which they are computed.

        Args:
            num_frames: N, of the video.

        Returns:
            Iterator of int64 arrays, in which each frame comes once.
        """
        for first in range(0, num_frames, FRAMES_AT_ONCE):
            yield np.arange(first, min(first + FRAMES_AT_ONCE, num_frames))

    def maps(self, rgb: np.ndarray, fields: np.ndarray) -> dict[str, np.ndarray]:
        """Stream -> float32 (F, h, w, channels), the stream's map of each frame."""
        pieces = [
            self._maps(rgb[k : k + FRAMES_AT_ONCE], fields[k : k + FRAMES_AT_ONCE])
            for k in range(0, len(rgb), FRAMES_AT_ONCE)
        ]
        return {
            name: np.concatenate([piece[name].numpy() for piece in pieces]) for name in self.streams
        }

    def fc6(self, maps: dict[str, np.ndarray]) -> np.ndarray:
        """fc6 after its ReLU, float32 (F, units), of the maps of one sequence."""
        inputs = [maps[name][:, None] for name in self.streams]
        return np.asarray(self._fc6(inputs), np.float32)

    def _compiled(self, model: keras.Model) -> Callable:
        size, length = self.clip.image_size, self.clip.flow_length

        @tf.function(
            input_signature=(
                tf.TensorSpec((None, size, size, 3), tf.uint8),
                tf.TensorSpec((None, length, 2, size, size), tf.uint8),
            ),
            autograph=False,
        )
        def compute(rgb, fields):
            inputs = input_pipeline.network_inputs({"rgb": rgb[:, None], "fields": fields[:, None]})
            return {
                name: tf.cast(parts.map_of(model, name, inputs[name])[:, 0], tf.float32)
                for name in model.input
            }

        return compute


class RunNetwork(FrameNetwork):
    """The network of a run. Its fc6 sees the frames beside each frame, as the fusion does.

    They lie at the interval of the test clip (Eqs. 13-14), of which the sequences are the shifted
    ones. A sequence passes fusion and fc6 in clips of T frames, of which the first and last are
    kept only where the sequence begins and ends; with T below 3 all are.
    """

    def sequences(self, num_frames: int) -> Iterator[np.ndarray]:
        interval = max(num_frames // self.clip.num_frames, 1)
        for first in range(interval):
            yield np.arange(first, num_frames, interval)

    def fc6(self, maps: dict[str, np.ndarray]) -> np.ndarray:
        count, length = len(maps[self.streams[0]]), self.clip.num_frames
        rows = np.empty((count, self.fc6_units), np.float32)
        for frames, kept in _windows(count, length, self.clip.short_video):
            clip = [maps[name][frames][None] for name in self.streams]
            rows[frames[kept]] = np.asarray(self._fc6(clip))[0, kept]
        return rows


def vgg16_network(record_set: RecordSet, path: str | Path) -> FrameNetwork:
    """VGG-16 over the frames and flow fields of a record set.

    Args:
        record_set: whose image size, L and flow bound the network reads.
        path: weights, a file or `imagenet`, as in `load_vgg16_weights`; with fc6 where the file has
            VGG-16's fc1 and the images have 224 pixels.

    Raises:
        UserError: as `load_vgg16_weights`.
    """
    path = vgg16_file(path)
    names = [field.name for field in dataclasses.fields(ClipConfig)]
    stored = {**record_set.clip, "flow_bound": record_set.encoding["flow_bound"]}
    clip = ClipConfig(**{name: stored[name] for name in names if name in stored})
    fc6 = clip.image_size == FC1_SIZE and has_fc1(path)
    model = vgg16_streams(clip, path, fc6=fc6)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    identity = {
        "network": "VGG-16",
        "sha256": digest,
        "rgb_input": RGB_INPUT,
        "flow_input": FLOW_INPUT,
        "temporal_conv1": TEMPORAL_CONV1,
    }
    return FrameNetwork(model, clip, identity)


def run_network(record_set: RecordSet, workdir: Path) -> RunNetwork:
    """The best network of a run.

    Args:
        record_set: of videos of any classes.
        workdir: folder of the run.

    Raises:
        UserError: the folder has no network, or one without VGG-16, or image size, resize mode or
            flow bound of the records are not those that it reads.
    """
    model, config = prediction.load_run(workdir)
    if not config.model.vgg16:
        raise UserError(
            f"{workdir} is a run of the network {config.model.network}, which has no features of "
            "single frames: name a run of another network"
        )
    plans.check_clip(record_set, config.model.clip)
    identity: dict[str, Any] = {"network": run.BEST_FILE, "sha256": run.network_sha256(workdir)}
    if config.model.map_levels != (5,):  # whose files an earlier version left broken
        identity["map_levels"] = list(config.model.map_levels)
    return RunNetwork(model, config.model.clip, identity)


def _windows(count: int, length: int, short_video: str) -> Iterator[tuple[np.ndarray, slice]]:
    """Clips of `length` frames that cover `count` frames.

    Returns:
        Iterator of (int64 (length,), slice): frames of a clip, and which of its places are kept;
        each frame is kept once.
    """
    if count < length:
        frames = sampling.test_indices(count, length, short_video)
        yield frames, slice(0, count)
        return
    margin = 1 if length > 2 else 0
    begin = done = 0
    while done < count:
        end = begin + length
        until = end - margin if end < count else count
        yield np.arange(begin, end), slice(done - begin, until - begin)
        done = until
        begin = min(done - margin, count - length)
