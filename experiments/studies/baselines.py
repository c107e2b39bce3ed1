"""The comparison of the paper's network with its baselines, the networks of other papers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.studies.variants import Study
from preprocessing.errors import UserError
from stfnet.run.config import RunConfig

REFERENCE = "stfnet"
_FRAMES = {"model.streams": "rgb", "model.stream_dropout": 0.0}  # a stream has none to leave out
# Name of a network in the study -> its settings.
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    REFERENCE: {},
    "two_stream": {"model.network": "two_stream"},
    "two_stream_fusion": {"model.network": "two_stream_fusion"},
    "lrcn": {"model.network": "lrcn"},
    "lrcn_frames": {"model.network": "lrcn", **_FRAMES},
    "deep_lstm": {"model.network": "deep_lstm"},
    "conv_pooling": {"model.network": "conv_pooling"},
    "two_stream_lstm": {"model.network": "two_stream_lstm"},
    "soft_attention": {"model.network": "soft_attention"},
    "tsn": {"model.network": "tsn"},
    "c3d": {"model.network": "c3d"},
}
WITHOUT_VGG = ("c3d",)
WITHOUT_FC6 = ("soft_attention", "tsn")  # networks that VGG-16's fc1 does not fit


def make(base: RunConfig, names: Iterable[str] = NETWORKS) -> Study:
    """The study on a configuration; STFNet is always there.

    A UserError where a name is unknown, or no videos are held back for validation.
    """
    names = [REFERENCE, *(name for name in names if name != REFERENCE)]
    if unknown := [name for name in names if name not in NETWORKS]:
        raise UserError(f"--baselines={','.join(unknown)}: give some of {', '.join(NETWORKS)}")
    if not base.training.held_back:
        raise UserError(
            "training.validation_fraction=0 makes the test part the validation part, on which "
            "learning rates would be chosen: give --config.training.validation_fraction=0.15"
        )
    return Study(
        "baselines",
        {name: {"model.network": base.model.network, **_settings(name, base)} for name in names},
        REFERENCE,
        "The fusion of both streams, the fully connected layer as attention and the normalised "
        "LSTMs recognise more than the networks of Tables 1 and 2.",
        needs={
            "model.network": ("stfnet", "small_data"),
            "model.streams": ("both",),
            "model.linear_parts": (0,),
            "training.train_on_validation": (False,),
        },
        of_networks=True,
    )


def _settings(name: str, base: RunConfig) -> dict[str, Any]:
    """The settings of a network: of one without VGG-16 also those that need none."""
    settings = dict(NETWORKS[name])
    if name in WITHOUT_VGG:
        settings |= {
            "training.weights": "",
            "training.frozen_blocks": (0,) * len(base.training.learning_rates),
            "training.temporal_conv1": "random",
            "training.fc6_init": "random",
            "training.remat": False,
        }
    elif name in WITHOUT_FC6:
        settings["training.fc6_init"] = "random"
    return settings


def rate_factors(texts: Sequence[str]) -> list[float]:
    """The numbers of --rate_factors; a UserError where they are not numbers above 0."""
    try:
        factors = [float(text) for text in texts]
    except ValueError:
        factors = []
    if not factors or not all(0 < factor < 1e9 for factor in factors):
        raise UserError(
            f"--rate_factors={','.join(texts)} are not numbers above 0: give such as 0.3,1,3"
        )
    return factors
