"""Configurations: frozen dataclasses written as JSON beside every checkpoint.

A model, its checkpoints and the records it reads each carry these values, and are compared where
they meet, so that a model never sees a clip of another length, size or encoding than its own.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from preprocessing.errors import UserError


def _check_choice(name, value, choices):
    if value not in choices:
        raise UserError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")


def _check_at_least(name, value, minimum):
    if value < minimum:
        raise UserError(f"{name}={value} is too small: it must be at least {minimum}")


@dataclasses.dataclass(frozen=True)
class ClipConfig:
    """What one clip is, as the network sees it.

    Attributes:
        num_frames: T, frames sampled from a video.
        flow_length: L, flow fields stacked around each sampled frame (2L channels).
        image_size: side of the square frames and flow fields, in pixels.
        resize: how frames reached that size: `stretch`, or `crop` (short side, then centre).
        short_video: a video of fewer than T frames repeats its last frame (`pad_last`), starts
            again (`loop`) or is refused (`error`).
        flow_bound: displacement in pixels that encodes to the ends of the 8-bit range.
    """

    num_frames: int = 17
    flow_length: int = 4
    image_size: int = 224
    resize: str = "stretch"
    short_video: str = "pad_last"
    flow_bound: float = 20.0

    def __post_init__(self):
        _check_at_least("clip.num_frames", self.num_frames, 1)
        _check_at_least("clip.flow_length", self.flow_length, 1)
        _check_at_least("clip.image_size", self.image_size, 16)
        _check_choice("clip.resize", self.resize, ("stretch", "crop"))
        _check_choice("clip.short_video", self.short_video, ("pad_last", "loop", "error"))
        if not self.flow_bound > 0:
            raise UserError(f"clip.flow_bound={self.flow_bound} must be above 0 pixels")


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The network of Ou & Sun 2019, with a switch for every point the paper leaves open.

    Attributes:
        num_classes: classes of the softmax.
        clip: the clips it reads.
        lstm_units: hidden units of each of the three LSTMs.
        fc6_units: units of fc6 behind the fusion.
        width_divisor: every VGG and fusion channel count is divided by this (1: the paper's).
        streams: `both`, or one stream alone (`rgb`, `flow`) for the ablation: the missing
            stream's features are left out and the fusion convolution reads the other's alone.
        rgb_input: `imagenet` (BGR minus the ImageNet mean) or `unit` (RGB in [-1, 1], for
            streams trained from scratch).
        flow_input: `centered` (v - 128) or `pixels` ((v - 128) * flow_bound / 127.5).
        fusion_init: `glorot_uniform` or `identity_sum` (the sum of both streams).
        fusion_relu: whether a ReLU follows the fusion convolution.
        normalize: LSTM normalisation of the three sigmoid gates (`gates`) or also of the
            candidate and the cell state (`all`).
        lstm_statistics: over the units of an example (`layer`) or over the batch (`batch`).
        merge: how the two sequence LSTMs meet: `concat`, `sum` or `product`.
        fc6_dropout, lstm_dropout: dropout rates.
    """

    num_classes: int
    clip: ClipConfig = dataclasses.field(default_factory=ClipConfig)
    lstm_units: int = 101
    fc6_units: int = 4096
    width_divisor: int = 1
    streams: str = "both"
    rgb_input: str = "imagenet"
    flow_input: str = "centered"
    fusion_init: str = "glorot_uniform"
    fusion_relu: bool = True
    normalize: str = "gates"
    lstm_statistics: str = "layer"
    merge: str = "concat"
    fc6_dropout: float = 0.5
    lstm_dropout: float = 0.25

    def __post_init__(self):
        for name in ("num_classes", "lstm_units", "fc6_units", "width_divisor"):
            _check_at_least(f"model.{name}", getattr(self, name), 1)
        if 64 % self.width_divisor:
            raise UserError(f"model.width_divisor={self.width_divisor} does not divide 64")
        _check_choice("model.streams", self.streams, ("both", "rgb", "flow"))
        _check_choice("model.rgb_input", self.rgb_input, ("imagenet", "unit"))
        _check_choice("model.flow_input", self.flow_input, ("centered", "pixels"))
        _check_choice("model.fusion_init", self.fusion_init, ("glorot_uniform", "identity_sum"))
        _check_choice("model.normalize", self.normalize, ("gates", "all"))
        _check_choice("model.lstm_statistics", self.lstm_statistics, ("layer", "batch"))
        _check_choice("model.merge", self.merge, ("concat", "sum", "product"))


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How the network is trained (SPEC section 3).

    Stage k trains at `learning_rates[k]` for at most `max_epochs[k]` epochs, from the best
    weights of stage k - 1, and ends early when validation has not improved for `patience` epochs.

    Attributes:
        learning_rates, max_epochs: one value a stage, two stages in the paper.
        patience: epochs without a better validation accuracy (at equal accuracy: loss) that end
            a stage, as the paper's "until the accuracy is steady".
        batch_size: clips an optimiser step, over all devices.
        accumulation_steps: parts in which each device computes its share of the batch, one after
            the other, to save memory.
        optimizer: `adam`, `adamw` or `sgd` (momentum 0.9).
        weight_decay: decoupled weight decay of `adamw`.
        warmup_epochs: epochs at the start of a stage with a linearly rising learning rate.
        schedule: `constant`, or `cosine` to zero over the stage.
        clip_norm: gradients are scaled down to this global norm; 0 leaves them alone.
        label_smoothing: share of each label that is spread over all classes.
        tau_range: lowest and highest interval between sampled frames, both included.
        clips_per_video: clips drawn from each training video in an epoch.
        balanced: draw every class equally often, whatever its share of the videos.
        augmentation: `none` (the paper's: random start and interval only), `flip` (mirrored
            clips with the x flow turned), `crop` (a random square, enlarged; for actions that
            a mirror turns into others) or `flip_crop`.
        validation_fraction: share of each class's training videos held back for validation, by
            whole groups.
        weights: what to start from: VGG-16 weights for both streams (an .h5 file or `imagenet`),
            the network of another run (its best.keras) or, empty, nothing.
        temporal_conv1: `random` (the paper's) or `cross_modality`.
        fc6_init: `random`, or `imagenet` for VGG-16's own fc1.
        frozen_blocks: VGG blocks kept at their initial weights, for each stage: 0 none (the
            paper's), 5 the whole streams.
        ema: decay of the running mean of the weights that is evaluated and kept; 0 for none.
        precision: `float32`, `mixed_bfloat16` or `mixed_float16` (with loss scaling).
        remat: compute the streams' activations again in the backward pass instead of keeping them.
        jit_compile: compile the training step with XLA.
        checkpoint_minutes: longest time between two checkpoints; one is written after each epoch.
        seed: of initial weights, dropout, data order and sampling.
    """

    learning_rates: tuple = (1e-5, 1e-6)
    max_epochs: tuple = (140, 46)
    patience: int = 10
    batch_size: int = 1
    accumulation_steps: int = 1
    optimizer: str = "adam"
    weight_decay: float = 0.0
    warmup_epochs: float = 0.0
    schedule: str = "constant"
    clip_norm: float = 0.0
    label_smoothing: float = 0.0
    tau_range: tuple = (2, 10)
    clips_per_video: int = 1
    balanced: bool = False
    augmentation: str = "none"
    validation_fraction: float = 0.15
    weights: str = ""
    temporal_conv1: str = "random"
    fc6_init: str = "random"
    frozen_blocks: tuple = (0, 0)
    ema: float = 0.0
    precision: str = "float32"
    remat: bool = False
    jit_compile: bool = False
    checkpoint_minutes: float = 10.0
    seed: int = 0

    def __post_init__(self):
        stages = len(self.learning_rates)
        for name in ("max_epochs", "frozen_blocks"):
            if len(getattr(self, name)) != stages:
                raise UserError(
                    f"training.{name}={getattr(self, name)} has {len(getattr(self, name))} "
                    f"values, but training.learning_rates has {stages}: one a stage is needed"
                )
        for name in ("batch_size", "accumulation_steps", "clips_per_video", "patience"):
            _check_at_least(f"training.{name}", getattr(self, name), 1)
        if len(self.tau_range) != 2 or not 1 <= self.tau_range[0] <= self.tau_range[1]:
            raise UserError(f"training.tau_range={self.tau_range} is not (lowest, highest) >= 1")
        if not 0 <= self.validation_fraction < 1:
            raise UserError(
                f"training.validation_fraction={self.validation_fraction} is not in [0, 1)"
            )
        _check_choice("training.optimizer", self.optimizer, ("adam", "adamw", "sgd"))
        _check_choice("training.schedule", self.schedule, ("constant", "cosine"))
        _check_choice(
            "training.augmentation", self.augmentation, ("none", "flip", "crop", "flip_crop")
        )
        _check_choice("training.temporal_conv1", self.temporal_conv1, ("random", "cross_modality"))
        _check_choice("training.fc6_init", self.fc6_init, ("random", "imagenet"))
        _check_choice(
            "training.precision", self.precision, ("float32", "mixed_bfloat16", "mixed_float16")
        )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything a run was made with; `config.json` in its folder.

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
    protocol: str = "group"
    fold: str = "1"
    split_seed: int = 0
    split_from: str = ""

    def __post_init__(self):
        object.__setattr__(self, "fold", str(self.fold))  # a number before folds had names
        _check_choice("protocol", self.protocol, ("official", "group", "paper"))


def to_dict(config) -> dict:
    """The dataclass as nested dictionaries of JSON values."""
    return dataclasses.asdict(config)


def from_dict(cls, values: Mapping):
    """Builds the dataclass `cls` from nested mappings.

    Raises:
        UserError: a key is unknown or a required one is missing.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise UserError(
            f"{cls.__name__} has no setting {', '.join(unknown)}; it has {', '.join(fields)}"
        )
    built = {}
    for name, value in values.items():
        kind = fields[name].type
        if dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
            value = from_dict(kind, value)
        elif isinstance(value, list):
            value = tuple(value)
        built[name] = value
    try:
        return cls(**built)
    except TypeError as error:
        raise UserError(f"{cls.__name__}: {error}") from error


def read_json(cls, path, beside=()):
    """Reads a configuration of class `cls` from a JSON file.

    Args:
        cls: the dataclass.
        path: of the file.
        beside: keys that may stand in the file and are none of the configuration's.

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
