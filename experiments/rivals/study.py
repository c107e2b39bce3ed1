"""Which networks are compared, and the learning rate of each, chosen on the validation part."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.ablation import runs, studies
from experiments.ablation.studies import Study, Variant
from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet.config import WITHOUT_VGG, RunConfig
from stfnet.evaluation import timing
from stfnet.training.loop import NotFinite

REFERENCE = "stfnet"
FACTORS = (0.3, 1.0, 3.0)
EXTENSIONS = 4  # further factors that are tried at most, on each side of those given
NOT_FINITE_FILE = "not_finite.txt"  # in the folder of a run that was given up
TIMES_FILE = "prediction_times.json"  # in the folder of the study
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


class Search(NamedTuple):
    """The learning rates, of the first stage, that were tried for a network.

    Attributes:
        tried: rate -> accuracy on validation, None where the loss became not finite; ascending.
        chosen: one of them.
    """

    tried: Mapping[float, float | None]
    chosen: float

    @property
    def at_edge(self) -> bool:
        """Whether the chosen rate is the least or greatest of several, so a better may lie on."""
        return len(self.tried) > 1 and self.chosen in (min(self.tried), max(self.tried))

    def __str__(self) -> str:
        return ", ".join(
            f"{rate:g}: {'not finite' if accuracy is None else f'{accuracy:.3f}'}"
            for rate, accuracy in self.tried.items()
        )


class Trained(NamedTuple):
    """A network of the study: its runs of the chosen rate, a seed each, and the search of it."""

    outcomes: Sequence[runs.Outcome]
    search: Search


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
        factors: as for `run_network`.
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


def run_study(
    study: Study,
    base: RunConfig,
    factors: Sequence[float],
    seeds: int,
    record_set: RecordSet,
    output: Path,
    **settings: Any,
) -> tuple[dict[str, Trained], dict[str, Any]]:
    """Runs every network of the study, and times their predictions in turns at its end.

    Args:
        study, base, factors, seeds, record_set, output, settings: as for `run_network`.

    Returns:
        (name of each network -> what it reached, the times of `timing.time_in_turns`).

    Raises:
        Preempted, UserError: as `run_network`.
    """
    trained = {
        name: run_network(study, base, name, factors, seeds, record_set, output, **settings)
        for name in study.values
    }
    folders = {name: one.outcomes[0].folder for name, one in trained.items()}
    return trained, timing.time_in_turns(folders, record_set, output / TIMES_FILE)


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
) -> Trained:
    """Searches a network's learning rate, and trains and evaluates it over seeds.

    A rate is judged by one run with the first seed, on the validation part; see `search`. The test
    part has no say: those runs are not evaluated, but for the chosen one. What was done before is
    not done again, so the same command chooses the same rate.

    Args:
        study, base: the study and the configuration.
        name: of the network.
        factors: of the configuration's learning rates.
        seeds: how many, from the configuration's on.
        record_set: of the records.
        output: folder of the study.
        features_folder: of maps; a network without VGG-16 reads images.
        settings: other arguments of `loop.train`.

    Raises:
        Preempted: as `runs.run_variant`.
        UserError: the loss is finite at none of the rates, or as `runs.run_variant`.
    """
    first = base.training.seed

    def variant_of(factor: float) -> Variant:
        return with_rates(study, base, name, factor)

    if _cache_of(variant_of(factors[0]), "features") == "features":
        settings["features_folder"] = features_folder
    best, tried = search(
        factors, lambda factor: _try(variant_of(factor), first, record_set, output, **settings)
    )
    rates = {factor: variant_of(factor).config.training.learning_rates[0] for factor in tried}
    found = Search(
        {
            rates[factor]: None if figures is None else figures["val_accuracy"]
            for factor, figures in sorted(tried.items())
        },
        rates[best],
    )
    if tried[best] is None:
        raise UserError(
            f"{name}: the loss became not finite at every learning rate that was tried "
            f"({', '.join(f'{rate:g}' for rate in found.tried)}): give lower --rate_factors, or "
            "--rivals without it"
        )
    edge = ", at the edge of the rates tried" if found.at_edge else ""
    print(f"{name}: learning rate {found.chosen:g}{edge} (validation: {found})", flush=True)
    outcomes = [
        runs.run_variant(variant_of(best), first + k, record_set, output, **settings)
        for k in range(seeds)
    ]
    return Trained(outcomes, found)


def search(
    factors: Sequence[float], figures_of: Callable[[float], Mapping[str, float] | None]
) -> tuple[float, dict[float, Mapping[str, float] | None]]:
    """Finds the factor that is best on validation, and goes on where the best is the outermost.

    The best has the greatest accuracy; of equals the least loss; of equals it is the least factor.
    While it is the least or the greatest that was tried, the next one on that side is tried too, as
    far from it as the two outermost given ones are apart, at most `EXTENSIONS` on each side. A
    single factor is taken as it is.

    Args:
        factors: that are tried in any case.
        figures_of: function of a factor to its `val_accuracy` and `val_loss`; None where the loss
            became not finite, which is worse than any figure.

    Returns:
        (the best factor, each factor -> its figures).
    """
    tried = {factor: figures_of(factor) for factor in dict.fromkeys(factors)}
    given = sorted(tried)

    def quality(factor: float) -> tuple[float, ...]:
        figures = tried[factor]
        if figures is None:
            return float("-inf"), 0.0, -factor
        return figures["val_accuracy"], -figures["val_loss"], -factor

    while True:
        best = max(tried, key=quality)
        below = sum(factor < given[0] for factor in tried)
        above = sum(factor > given[-1] for factor in tried)
        if len(given) > 1 and best == min(tried) and below < EXTENSIONS:
            following = best * given[0] / given[1]
        elif len(given) > 1 and best == max(tried) and above < EXTENSIONS:
            following = best * given[-1] / given[-2]
        else:
            return best, tried
        tried[following] = figures_of(following)


def _try(
    variant: Variant, seed: int, record_set: RecordSet, output: Path, **settings: Any
) -> dict[str, Any] | None:
    """As `runs.train_variant`; None, and noted for the next time, where a run is not finite."""
    folder = runs.folder_of(variant, seed, output)
    note = folder / NOT_FINITE_FILE
    if note.is_file():
        return None
    try:
        return runs.train_variant(variant, seed, record_set, output, **settings)
    except NotFinite as error:
        files.write_text(note, f"{error}\n")
        print(f"given up: {folder}: {error}", flush=True)
        return None


def _cache_of(variant: Variant, cache: str) -> str:
    """What a network is trained from: one without VGG-16 has no maps of its blocks."""
    without = variant.config.model.architecture in WITHOUT_VGG
    return "none" if cache == "features" and without else cache
