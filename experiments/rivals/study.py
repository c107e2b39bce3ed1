"""Which networks are compared, and the learning rate of each, chosen on the validation part."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.ablation import runs, studies
from experiments.ablation.studies import Study, Variant
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet.config import WITHOUT_VGG, RunConfig
from stfnet.evaluation import timing
from stfnet.evaluation.result_files import TIMING_FILE

REFERENCE = "stfnet"
FACTORS = (0.3, 1.0, 3.0)
_FRAMES = {"model.streams": "rgb", "model.stream_dropout": 0.0}  # a stream has none to leave out
# Name of a network in the study -> its settings.
NETWORKS: Mapping[str, Mapping[str, Any]] = {
    REFERENCE: {},
    "two_stream": {"model.architecture": "two_stream"},
    "two_stream_fusion": {"model.architecture": "two_stream_fusion"},
    "lrcn": {"model.architecture": "lrcn"},
    "lrcn_frames": {"model.architecture": "lrcn", **_FRAMES},
    "deep_lstm": {"model.architecture": "deep_lstm"},
    "conv_pooling": {"model.architecture": "conv_pooling"},
    "two_stream_lstm": {"model.architecture": "two_stream_lstm", **_FRAMES},
    "soft_attention": {"model.architecture": "soft_attention", **_FRAMES},
    "tsn": {"model.architecture": "tsn"},
    "c3d": {"model.architecture": "c3d", **_FRAMES},
}
WITHOUT_FC6 = ("soft_attention", "tsn")  # networks that VGG-16's fc1 does not fit


def make(base: RunConfig, names: Iterable[str] = NETWORKS) -> Study:
    """The study on a configuration.

    Args:
        base: the configuration.
        names: of networks; STFNet is always there.

    Raises:
        UserError: a name is unknown.
    """
    names = [REFERENCE, *(name for name in names if name != REFERENCE)]
    if unknown := [name for name in names if name not in NETWORKS]:
        raise UserError(f"--rivals={','.join(unknown)}: give some of {', '.join(NETWORKS)}")
    return Study(
        "rivals",
        {name: {"model.architecture": REFERENCE, **_settings(name, base)} for name in names},
        REFERENCE,
        "The fusion of both streams, the fully connected layer as attention and the normalised "
        "LSTMs recognise more than the networks of Tables 1 and 2.",
        needs={
            "model.architecture": (REFERENCE,),
            "model.streams": ("both",),
            "model.linear_parts": (0,),
            "training.train_on_validation": (False,),
        },
    )


def _settings(name: str, base: RunConfig) -> dict[str, Any]:
    """The settings of a network: of one without VGG-16 also those that need none."""
    settings = dict(NETWORKS[name])
    if settings.get("model.architecture") in WITHOUT_VGG:
        settings |= {
            "training.weights": "",
            "training.frozen_blocks": (0,) * len(base.training.learning_rates),
            "training.temporal_conv1": "random",
            "training.fc6_init": "random",
        }
    elif name in WITHOUT_FC6:
        settings["training.fc6_init"] = "random"
    return settings


def check(study: Study, base: RunConfig, factors: Sequence[float], cache: str) -> None:
    """Checks that every network can be trained here, before any is.

    Args:
        study: the study.
        base: the configuration.
        factors: see `search`.
        cache: of `--cache`.

    Raises:
        UserError: the configuration does not fit the study, it holds no videos back for validation,
            or as `runs.check`.
    """
    variants = studies.variants(study, base)
    if not base.training.held_back:
        raise UserError(
            "training.validation_fraction=0 makes the test part the validation part, on which "
            "learning rates would be chosen: give --config.training.validation_fraction=0.15"
        )
    for name in variants:
        for factor in factors:
            variant = with_rates(study, base, name, factor)
            runs.check({name: variant}, _cache_of(variant, cache))


def with_rates(study: Study, base: RunConfig, name: str, factor: float) -> Variant:
    """A network with the learning rates of all stages times a factor."""
    rates = tuple(float(f"{factor * rate:.6g}") for rate in base.training.learning_rates)
    changes = {**study.values[name], "training.learning_rates": rates}
    return studies.variant(name, base, changes)


def run_network(
    study: Study,
    base: RunConfig,
    name: str,
    factors: Sequence[float],
    seeds: int,
    record_set: RecordSet,
    output: Path,
    features_folder: Path | None = None,
    **settings: Any,
) -> list[runs.Outcome]:
    """Chooses a network's learning rate, trains and evaluates it over seeds, and times it.

    The rate is that of the best validation accuracy (at equal accuracy: loss) of one run each with
    the first seed. The test part has no say: those runs are not evaluated, but for the chosen one.
    What was done before is not done again.

    Args:
        study, base: the study and the configuration.
        name: of the network.
        factors: of the configuration's learning rates.
        seeds: how many, from the configuration's on.
        record_set: of the records.
        output: folder of the study.
        features_folder: of maps; a network without VGG-16 reads images.
        settings: other arguments of `loop.train`.

    Returns:
        The runs of the chosen rate, a seed each. The first has a `timing.json`.

    Raises:
        Preempted, UserError: as `runs.run_variant`.
    """
    first = base.training.seed
    candidates = [with_rates(study, base, name, factor) for factor in factors]
    if _cache_of(candidates[0], "features") == "features":
        settings["features_folder"] = features_folder
    figures = [
        runs.train_variant(variant, first, record_set, output, **settings) for variant in candidates
    ]
    # max takes the first of equals.
    best = max(
        range(len(factors)),
        key=lambda k: (figures[k]["val_accuracy"], -figures[k]["val_loss"]),
    )
    shown = ", ".join(
        f"{variant.config.training.learning_rates[0]:g}: {one['val_accuracy']:.3f}"
        for variant, one in zip(candidates, figures, strict=True)
    )
    chosen = candidates[best]
    rate = chosen.config.training.learning_rates[0]
    print(f"{name}: learning rate {rate:g} (validation accuracy of {shown})", flush=True)
    outcomes = [
        runs.run_variant(chosen, first + k, record_set, output, **settings) for k in range(seeds)
    ]
    if not (outcomes[0].folder / TIMING_FILE).is_file():
        timing.time_run(outcomes[0].folder, record_set)
    return outcomes


def _cache_of(variant: Variant, cache: str) -> str:
    """What a network is trained from: one without VGG-16 has no maps of its blocks."""
    without = variant.config.model.architecture in WITHOUT_VGG
    return "none" if cache == "features" and without else cache
