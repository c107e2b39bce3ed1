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


def read_json(cls, path):
    """Reads a configuration of class `cls` from a JSON file."""
    path = Path(path)
    try:
        return from_dict(cls, json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: is {path.parent} the folder of a run?") from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
