"""Configurations: frozen dataclasses written as JSON beside every checkpoint.

A model, its checkpoints and the records it reads each carry these values, and are compared where
they meet, so that a model never sees a clip of another length, size or encoding than its own.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from preprocessing import splits
from preprocessing.errors import UserError
from preprocessing.settings import RESIZE_MODES, check, setting
from stfnet.sampling import SHORT_VIDEO

# Choices that more than one module reads; all others stand at their setting alone.
RGB_INPUTS = ("imagenet", "unit")
FLOW_INPUTS = ("centered", "pixels")
NORMALIZE = ("none", "gates", "all")
FUSIONS = ("conv3d", "conv2d", "sum", "concat")
STATISTICS = ("layer", "batch")
TEMPORAL_CONV1 = ("random", "cross_modality")
FC6_INIT = ("random", "imagenet")
WHOLE_STREAM = 5  # blocks of VGG-16
STRATEGIES = ("auto", "one", "mirrored", "multi_worker")


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """What one clip is, as the network sees it."""

    # T, frames sampled from a video.
    num_frames: int = setting(17, "[1, 10000]")
    # L, flow fields stacked around each sampled frame (2L channels).
    flow_length: int = setting(4, "[1, 1000]")
    # Side of the square frames and flow fields, in pixels.
    image_size: int = setting(224, "[16, 8192]")
    # How frames reached that size: straight to the square, or short side then centre.
    resize: str = setting("stretch", RESIZE_MODES)
    # A video of fewer than T frames repeats its last frame, starts again, or is refused.
    short_video: str = setting("pad_last", SHORT_VIDEO)
    # Displacement in pixels that encodes to the ends of the 8-bit range.
    flow_bound: float = setting(20.0, "(0, 10000]")

    def __post_init__(self):
        check(self, "clip.")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network of Ou & Sun 2019, with a switch for every point the paper leaves open."""

    # Classes of the softmax.
    num_classes: int = setting(allowed="[1, 1000000]")
    # The clips it reads.
    clip: ClipConfig = dataclasses.field(default_factory=ClipConfig)
    # Hidden units of each of the three LSTMs.
    lstm_units: int = setting(101, "[1, 100000]")
    # Units of fc6 after the fusion.
    fc6_units: int = setting(4096, "[1, 1000000]")
    # Every VGG and fusion channel count is divided by this (1: the paper's).
    width_divisor: int = setting(1, "[1, 64]")
    # `both`, or one stream alone for the ablation: the missing stream's features are left out and
    # the fusion convolution reads the other's alone.
    streams: str = setting("both", ("both", "rgb", "flow"))
    # BGR minus the ImageNet mean, or RGB in [-1, 1], for streams trained from scratch.
    rgb_input: str = setting("imagenet", RGB_INPUTS)
    # v - 128, or (v - 128) * flow_bound / 127.5.
    flow_input: str = setting("centered", FLOW_INPUTS)
    # Batch normalisation of each stream's map before the fusion, so that channels and streams of
    # different scale count alike; for frozen streams and little data.
    map_norm: bool = False
    # How the streams meet: the paper's 3-D convolution, one over space alone, or without weights
    # their sum or their interleaved channels.
    fusion: str = setting("conv3d", FUSIONS)
    # Filters of the fusion convolution, divided by width_divisor.
    fusion_filters: int = setting(512, "[1, 8192]")
    # `identity_sum`: the fusion starts as the sum of both streams.
    fusion_init: str = setting("glorot_uniform", ("glorot_uniform", "identity_sum"))
    # Whether a ReLU follows the fusion convolution.
    fusion_relu: bool = True
    # What the LSTMs read: the fused map X_conv, its fully connected layer X_fc, or both (the
    # paper).
    branches: str = setting("both", ("both", "conv", "fc"))
    # Mean of X_conv over its cells before its LSTM, which then has 512 inputs a frame in place of
    # 100,352.
    conv_pool: bool = False
    # LSTM normalisation of the three sigmoid gates, of none, or also of the candidate and the cell
    # state.
    normalize: str = setting("gates", NORMALIZE)
    # Mean and variance over the units of an example, or over the batch.
    lstm_statistics: str = setting("layer", STATISTICS)
    # How the two sequence LSTMs meet.
    merge: str = setting("concat", ("concat", "sum", "product"))
    # Dropout rates.
    fc6_dropout: float = setting(0.5, "[0, 1)")
    lstm_dropout: float = setting(0.25, "[0, 1)")
    # Chance that a training clip lacks one of its two streams, so that neither is all that is
    # learned.
    stream_dropout: float = setting(0.0, "[0, 1)")
    # Chance that a channel of the streams' maps is left out of a whole training clip.
    map_dropout: float = setting(0.0, "[0, 1)")

    def __post_init__(self):
        check(self, "model.")
        if not isinstance(self.clip, ClipConfig):
            raise UserError(
                f"model.clip={self.clip!r} is not a group of settings (num_frames, ...)"
            )
        if self.stream_dropout and self.streams != "both":
            raise UserError(
                f"model.stream_dropout={self.stream_dropout} needs both streams, and model.streams "
                f"is {self.streams}: set one of them"
            )
        if self.fusion_filters % self.width_divisor:
            raise UserError(
                f"model.width_divisor={self.width_divisor} does not divide "
                f"model.fusion_filters={self.fusion_filters}"
            )
        if 64 % self.width_divisor:
            raise UserError(f"model.width_divisor={self.width_divisor} does not divide 64")

    @property
    def input_channels(self) -> dict[str, int]:
        """Channels of each input of the network, by its name, in their order."""
        channels = {"rgb": 3, "flow": 2 * self.clip.flow_length}
        return {name: n for name, n in channels.items() if self.streams in ("both", name)}

    @property
    def fused_channels(self) -> int:
        """Channels of X_conv."""
        if self.fusion in ("conv3d", "conv2d"):
            return self.fusion_filters // self.width_divisor
        streams = len(self.input_channels) if self.fusion == "concat" else 1
        return streams * 512 // self.width_divisor


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained (docs/fidelity.md, "Training").

    Stage k trains at `learning_rates[k]` for at most `max_epochs[k]` epochs, from the best
    weights of stage k - 1, and ends early when validation has not improved for `patience` epochs.
    """

    # One value a stage, two stages in the paper.
    learning_rates: tuple[float, ...] = setting((1e-5, 1e-6), "(0, 1e38]")
    max_epochs: tuple[int, ...] = setting((140, 46), "[1, 1000000]")
    # Epochs without a better validation accuracy (at equal accuracy: loss) that end a stage, as
    # the paper's "until the accuracy is steady".
    patience: int = setting(10, "[1, 1000000]")
    # Clips an optimiser step, over all devices.
    batch_size: int = setting(1, "[1, 1000000]")
    # Microbatches into which a device divides its clips of a batch, computed one after the other to
    # save memory.
    accumulation_steps: int = setting(1, "[1, 1000000]")
    # `sgd` has momentum 0.9.
    optimizer: str = setting("adam", ("adam", "adamw", "sgd"))
    # Decoupled weight decay of `adamw`.
    weight_decay: float = setting(0.0, "[0, 1e6]")
    # Epochs at the start of a stage with a linearly rising learning rate.
    warmup_epochs: float = setting(0.0, "[0, 1e6]")
    # `cosine` falls to zero over the stage.
    schedule: str = setting("constant", ("constant", "cosine"))
    # Gradients are scaled down to this global norm; 0 leaves them alone.
    clip_norm: float = setting(0.0, "[0, 1e38]")
    # Fraction of each label that is spread over all classes.
    label_smoothing: float = setting(0.0, "[0, 1)")
    # Lowest and highest interval between sampled frames, both included.
    tau_range: tuple[int, ...] = setting((2, 10), "[1, 1000000]")
    # Number of frames, spread evenly over a video, from which clips of training and validation are
    # taken: each sampled frame gives way to the nearest of them. 0 takes any frame. With few of
    # them, --cache=features has few maps to compute.
    frame_grid: int = setting(0, "[0, 100000]")
    # Clips drawn from each training video in an epoch.
    clips_per_video: int = setting(1, "[1, 10000]")
    # Clips of each validation video, of which the first is the test clip.
    validation_clips: int = setting(1, "[1, 1000]")
    # Draw every class equally often, however many videos it has.
    balanced: bool = False
    # Weight a clip's loss with the inverse frequency of its class (1 on average).
    class_weighted: bool = False
    # `none` is the paper's: random start and interval only. `flip`: mirrored clips with the x flow
    # turned. `crop`: a random square, enlarged; for actions that a mirror turns into others.
    augmentation: str = setting("none", ("none", "flip", "crop", "flip_crop"))
    # Fraction of each class's training videos held back for validation, by whole groups.
    validation_fraction: float = setting(0.15, "[0, 1)")
    # `K/N`: in place of that fraction, the K-th of N parts of the training videos, divided by
    # whole groups. Empty for the fraction.
    validation_fold: str = ""
    # Which epoch is kept: the `best` on validation, or the `last` of all, whatever validation says.
    keep: str = setting("best", ("best", "last"))
    # What to start from: VGG-16 weights for both streams (an .h5 file or `imagenet`), the network
    # of another run (its best.keras) or, empty, nothing.
    weights: str = ""
    # First convolution of the flow stream: the paper's, or the mean of the RGB filters.
    temporal_conv1: str = setting("random", TEMPORAL_CONV1)
    # `imagenet` is VGG-16's own fc1.
    fc6_init: str = setting("random", FC6_INIT)
    # VGG blocks kept at their initial weights, for each stage: 0 none (the paper's), 5 the whole
    # streams.
    frozen_blocks: tuple[int, ...] = setting((0, 0), "[0, 5]")
    # Decay of the running mean of the weights that is evaluated and kept; 0 for none.
    ema: float = setting(0.0, "[0, 1)")
    # `mixed_float16` comes with loss scaling.
    precision: str = setting("float32", ("float32", "mixed_bfloat16", "mixed_float16"))
    # Compute the streams' activations again in the backward pass instead of keeping them.
    remat: bool = False
    # Compile the training step with XLA; on one device.
    jit_compile: bool = False
    # Longest time between two checkpoints, 0 for one after each step; an epoch ends with one.
    checkpoint_minutes: float = setting(10.0, "[0, 1e6]")
    # Of initial weights, dropout, data order and sampling.
    seed: int = setting(0, "[0, 4294967295]")

    def __post_init__(self):
        check(self, "training.")
        stages = len(self.learning_rates)
        if not stages:
            raise UserError("training.learning_rates=() has no stage: give a rate for each stage")
        for name in ("max_epochs", "frozen_blocks"):
            if len(getattr(self, name)) != stages:
                raise UserError(
                    f"training.{name}={getattr(self, name)} has {len(getattr(self, name))} "
                    f"values, but training.learning_rates has {stages}: one a stage is needed"
                )
        if len(self.tau_range) != 2 or self.tau_range[0] > self.tau_range[1]:
            raise UserError(f"training.tau_range={self.tau_range} is not (lowest, highest)")
        if self.warmup_epochs > min(self.max_epochs):
            raise UserError(
                f"training.warmup_epochs={self.warmup_epochs} is longer than a stage of "
                f"training.max_epochs={self.max_epochs}: its learning rate would not be reached"
            )
        self._check_fold()
        self._refuse_without_effect()

    def _check_fold(self):
        part, _, parts = self.validation_fold.partition("/")
        if self.validation_fold and not (
            part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts) and int(parts) > 1
        ):
            raise UserError(
                f"training.validation_fold={self.validation_fold!r} is not K/N, such as 1/5: fold "
                "K of N, N at least 2"
            )

    @property
    def held_back(self) -> float:
        """Fraction of the training videos that validation has; 0 where it is the test part."""
        if self.validation_fold:
            return 1 / int(self.validation_fold.partition("/")[2])
        return self.validation_fraction

    def unchanged_blocks(self, stage: int) -> int:
        """Number of first VGG blocks that no stage up to this one (0-based) trains."""
        return min(self.frozen_blocks[: stage + 1])

    def _refuse_without_effect(self):
        if self.weight_decay and self.optimizer != "adamw":
            raise UserError(
                f"training.weight_decay={self.weight_decay} has no effect with "
                f"training.optimizer={self.optimizer}: set optimizer=adamw or weight_decay=0.0"
            )
        if self.balanced and self.class_weighted:
            raise UserError(
                "training.balanced and training.class_weighted both make up for classes of "
                "different size: set one of them"
            )
        if self.temporal_conv1 != "random" and not self.weights:
            raise UserError(
                f"training.temporal_conv1={self.temporal_conv1} has no effect without "
                "training.weights: set weights=imagenet or temporal_conv1=random"
            )
        if self.fc6_init != "random" and (not self.weights or self.weights.endswith(".keras")):
            raise UserError(
                f"training.fc6_init={self.fc6_init} has no effect with training.weights="
                f"{self.weights!r}: set weights=imagenet or fc6_init=random"
            )


def microbatches_per_device(training: TrainingConfig, devices: int) -> int:
    """Number of microbatches that each device computes, one after the other, for a batch.

    A microbatch has `batch_size / accumulation_steps` clips, or fewer where that does not divide
    the device's clips: what fits one device's memory fits each of several.

    Args:
        training: TrainingConfig.
        devices: number of devices among which a batch is divided.

    Raises:
        UserError: the batch cannot be divided.
    """
    size, steps = training.batch_size, training.accumulation_steps
    if size % devices:
        raise UserError(
            f"training.batch_size={size} cannot be shared by {devices} devices: it must be a "
            "multiple of their number"
        )
    if size % steps:
        raise UserError(
            f"training.accumulation_steps={steps} does not divide training.batch_size={size}"
        )
    clips = size // devices
    fewest = -(-clips * steps // size)
    return next(count for count in range(fewest, clips + 1) if clips % count == 0)


def check_together(model: ModelConfig, training: TrainingConfig, devices: int = 1) -> None:
    """Checks the settings of one configuration that depend on the other.

    Args:
        model, training: the configurations of a run.
        devices: number of devices among which a batch is divided.

    Raises:
        UserError: the batch cannot be divided evenly, statistics are taken over the batch where a
            device computes one clip at a time, or VGG-16's weights do not fit the network.
    """
    if training.weights and not training.weights.endswith(".keras"):
        needed = [("width_divisor", model.width_divisor, 1)]
        if training.fc6_init == "imagenet":
            needed += [("fc6_units", model.fc6_units, 4096)]
            needed += [("clip.image_size", model.clip.image_size, 224)]
        for name, value, fitting in needed:
            if value != fitting:
                raise UserError(
                    f"training.weights={training.weights} are VGG-16's and need model.{name}="
                    f"{fitting}, not {value}"
                )
    microbatch = training.batch_size // devices // microbatches_per_device(training, devices)
    if model.lstm_statistics == "batch" and microbatch == 1:
        raise UserError(
            f"model.lstm_statistics=batch needs two clips or more at a time, but training."
            f"batch_size={training.batch_size} over {devices} device(s) x accumulation_steps="
            f"{training.accumulation_steps} leaves one: set a larger batch_size or "
            "lstm_statistics=layer"
        )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Every setting of a run; `config.json` in its folder.

    Attributes:
        name: name of the data set.
        classes: class names, in the order of the softmax.
        protocol, fold, split_seed: the split of the videos (see `preprocessing.splits`).
        split_from: folder of another run whose videos keep their parts; empty for none.
        model, training: the two configurations.
    """

    name: str
    classes: tuple
    model: ModelConfig
    training: TrainingConfig
    protocol: str = setting("group", splits.PROTOCOLS)
    fold: str = "1"
    split_seed: int = setting(0, "[0, 4294967295]")
    split_from: str = ""

    def __post_init__(self):
        object.__setattr__(self, "fold", str(self.fold))  # a number before folds had names
        check(self)
        for name, kind in (("model", ModelConfig), ("training", TrainingConfig)):
            if not isinstance(getattr(self, name), kind):
                raise UserError(f"{name}={getattr(self, name)!r} is not a group of settings")
        check_together(self.model, self.training)


def to_dict(config: Any) -> dict[str, Any]:
    """The dataclass as nested dictionaries of JSON values."""
    return dataclasses.asdict(config)


ConfigT = TypeVar("ConfigT", ClipConfig, ModelConfig, TrainingConfig, RunConfig)


def from_dict(cls: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Builds the dataclass `cls` from nested mappings.

    Raises:
        UserError: `values` is not a mapping, a key is unknown, or a required one is missing.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{cls.__name__} is a group of settings, not {values!r}")
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UserError(
            f"{cls.__name__} has no setting {', '.join(unknown)}; it has {', '.join(fields)}"
        )
    settings = {}
    for name, value in values.items():
        kind: Any = fields[name].type
        is_group = dataclasses.is_dataclass(kind) and isinstance(value, Mapping)
        if is_group:
            value = from_dict(kind, value)
        elif isinstance(value, list):
            value = tuple(value)
        settings[name] = value
    try:
        return cls(**settings)
    except TypeError as error:
        raise UserError(f"{cls.__name__}: {error}") from error


def read_json(cls: type[ConfigT], path: Path, beside: Iterable[str] = ()) -> ConfigT:
    """Reads a configuration of class `cls` from a JSON file.

    Args:
        cls: the dataclass.
        path: of the file.
        beside: keys of the file that are not the configuration's.

    Raises:
        UserError: the file is missing, is not JSON, or holds no such configuration.
    """
    path = Path(path)
    try:
        values = json.loads(path.read_text())
        if not isinstance(values, dict):
            raise UserError(f"{path} holds no settings but {type(values).__name__}")
        return from_dict(cls, {name: value for name, value in values.items() if name not in beside})
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: is {path.parent} the folder of a run?") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
