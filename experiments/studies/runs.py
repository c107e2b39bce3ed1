"""The runs of a study: one folder for each variant and seed, trained and evaluated once.

OUTPUT/runs/SETTINGS/seed-K is a run as `experiments.train` makes it, and evaluated as by
`experiments.evaluate`. SETTINGS names what differs from the configuration, so that studies share
the runs that they have in common. OUTPUT/base.json has the configuration and the records of all.
What was done before is not done again, so a command that was stopped goes on where it was.
"""

import contextlib
import dataclasses
import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras

from experiments.studies.variants import Study, Variant, changed_config, variants
from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet import run
from stfnet.clips import plans
from stfnet.config import read_json, to_dict
from stfnet.evaluation import evaluate, result_files
from stfnet.frame_features import stream_maps
from stfnet.run import checkpoints
from stfnet.run.config import RunConfig
from stfnet.training import strategies
from stfnet.training.loop import NotFinite
from stfnet.training.train import train

BASE_FILE, RUNS_FOLDER = "base.json", "runs"
NOT_FINITE_FILE = "not_finite.txt"  # in the folder of a run that was given up
EXTENSIONS = 4  # further rates that are tried at most, on each side of those given
_RECORDS = "records_sha256"  # key of BASE_FILE, beside the configuration


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run reached."""

    folder: Path
    seed: int
    results: Mapping[str, Any]  # of its results.json, on the test part
    right: Mapping[str, bool]  # id of each test video -> whether the network recognises it
    # Accuracy on the validation part of the epoch that was kept; None where it was trained on too.
    validation: float | None
    epochs: int  # trained, over all stages


class Search(NamedTuple):
    """The learning rates, of the first stage, that were tried for a network, ascending."""

    tried: Mapping[float, float | None]  # -> accuracy on validation; None: the loss not finite
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
    """A variant's runs, one a seed, and the search of its learning rate, where there was one."""

    outcomes: Sequence[Outcome]
    search: Search | None = None


class Runner(NamedTuple):
    """What all runs of a folder share."""

    record_set: RecordSet
    output: Path  # folder of the studies
    seeds: int  # how many, from the configuration's on
    features_folder: Path | None = None  # of maps; a network without VGG-16 reads images
    settings: Mapping[str, Any] = {}  # other arguments of `loop.train`

    def run_study(
        self, study: Study, base: RunConfig, factors: Sequence[float] = ()
    ) -> dict[str, Trained]:
        """Trains and evaluates every variant of a study with every seed.

        With factors, each variant is trained with the learning rates of all stages times the factor
        that is best on the validation part, judged by one run with the first seed; see `search`.
        The test part has no say: those runs are not evaluated, but for the chosen one.

        Raises:
            Preempted: SIGTERM or Ctrl-C came; the run is saved.
            UserError: as training and evaluation, or the loss is finite at none of the rates.
        """
        first = base.training.seed
        trained = {}
        for name, variant in variants(study, base).items():
            found = None
            if factors:
                found, variant = self._search(study, base, name, factors)
            outcomes = [self.run(variant, first + k) for k in range(self.seeds)]
            trained[name] = Trained(outcomes, found)
        return trained

    def _search(
        self, study: Study, base: RunConfig, name: str, factors: Sequence[float]
    ) -> tuple[Search, Variant]:
        first = base.training.learning_rates[0]
        found = search(
            [factor * first for factor in factors],
            lambda rate: self._try(variants(study, base, rate / first)[name], base.training.seed),
        )
        if found.tried[found.chosen] is None:
            raise UserError(
                f"{name}: the loss became not finite at every learning rate that was tried "
                f"({', '.join(f'{rate:g}' for rate in found.tried)}): give lower --rate_factors, "
                "or --baselines without it"
            )
        edge = ", at the edge of the rates tried" if found.at_edge else ""
        print(f"{name}: learning rate {found.chosen:g}{edge} (validation: {found})", flush=True)
        return found, variants(study, base, found.chosen / first)[name]

    def _try(self, variant: Variant, seed: int) -> Mapping[str, float] | None:
        """As `train`; None, and noted for the next time, where a run is not finite."""
        folder = self.folder_of(variant, seed)
        note = folder / NOT_FINITE_FILE
        if note.is_file():
            return None
        try:
            return self.train(variant, seed)
        except NotFinite as error:
            files.write_text(note, f"{error}\n")
            print(f"given up: {folder}: {error}", flush=True)
            return None

    def run(self, variant: Variant, seed: int) -> Outcome:
        """Trains and evaluates one run, or reads what it reached where that was done before."""
        folder = self.folder_of(variant, seed)
        if self._is_trained(variant, seed):
            with contextlib.suppress(UserError):  # not evaluated, or a file is damaged
                outcome = read_outcome(folder)
                print(f"finished before: {folder}, top-1 {outcome.results['top1']:.3f}", flush=True)
                return outcome
            print(f"evaluating: {folder}", flush=True)
        else:
            self.train(variant, seed)
        evaluate.evaluate_run(folder, self.record_set, features_folder=self._maps_of(variant))
        keras.backend.clear_session()  # or the graphs of many runs fill the memory
        gc.collect()
        outcome = read_outcome(folder)
        print(f"finished: {folder}, top-1 {outcome.results['top1']:.3f}", flush=True)
        return outcome

    def train(self, variant: Variant, seed: int) -> Mapping[str, float]:
        """Trains one run, where that was not done before, and leaves the test part alone.

        A study has many runs, and none trains on after its end: each keeps its last checkpoint
        alone. Returns `val_accuracy` and `val_loss` of the epoch that is kept.
        """
        folder = self.folder_of(variant, seed)
        if not self._is_trained(variant, seed):
            print(f"training: {folder}", flush=True)
            config = changed_config(variant.config, {"training.seed": seed})
            maps = self._maps_of(variant)
            train(config, self.record_set, folder, features_folder=maps, **self.settings)
        state = checkpoints.latest_state(folder / run.CHECKPOINTS_FOLDER)
        if not state or not state["best"]:
            raise UserError(
                f"{folder / run.CHECKPOINTS_FOLDER} has no checkpoint of a finished run: remove "
                f"{folder}, and start the same command again"
            )
        checkpoints.keep_newest(folder / run.CHECKPOINTS_FOLDER, 1)
        return state["best"]

    def folder_of(self, variant: Variant, seed: int) -> Path:
        return self.output / RUNS_FOLDER / variant.folder / f"seed-{seed}"

    def _is_trained(self, variant: Variant, seed: int) -> bool:
        folder = self.folder_of(variant, seed)
        config = changed_config(variant.config, {"training.seed": seed})
        return run.is_finished(folder) and run.read_config(folder) == config

    def _maps_of(self, variant: Variant) -> Path | None:
        return self.features_folder if variant.has_maps else None


def check(
    study: Study,
    base: RunConfig,
    record_set: RecordSet,
    cache: str,
    factors: Sequence[float] = (),
) -> None:
    """Checks that every variant can be trained here with that `--cache`, before anything is.

    Raises:
        UserError: several workers train together, a value does not fit the configuration or the
            records, or there are no maps to keep.
    """
    workers = strategies.named_workers()
    if workers > 1:
        raise UserError(
            f"a study works in one process, and there are {workers} workers: start it on one "
            "machine, without TF_CONFIG"
        )
    for factor in factors or (1.0,):
        found = variants(study, base, factor).values()
        for variant in found:
            plans.check_records(record_set, variant.config)
        with_maps = [variant for variant in found if variant.has_maps]
        for variant in (with_maps or found) if cache == "features" else ():
            stream_maps.check(variant.config, workers)


@contextlib.contextmanager
def writing(output: Path, base: RunConfig, record_set: RecordSet) -> Iterator[None]:
    """Holds the folder of a study while the block fills it.

    A UserError where another process does, or it holds runs of another configuration or of other
    records.
    """
    output.mkdir(parents=True, exist_ok=True)
    with files.locked(output, "study"):
        files.remove_partial(output)
        path = output / BASE_FILE
        config = changed_config(base, {"training.seed": 0})  # there is one folder a seed
        if not path.exists():
            files.write_json(path, {_RECORDS: record_set.sha256, **to_dict(config)})
        there = read_json(RunConfig, path, beside=(_RECORDS,))
        if changed := run.differences(there, config):
            raise UserError(
                f"{output} holds runs of another configuration ({'; '.join(changed[:3])}): name "
                "another --output, or give the same settings"
            )
        if json.loads(path.read_text()).get(_RECORDS) != record_set.sha256:
            raise UserError(
                f"{output} holds runs of other records than {record_set.folder} has now: name "
                "another --output, or give the records of those runs"
            )
        yield


def search(
    rates: Sequence[float], figures_of: Callable[[float], Mapping[str, float] | None]
) -> Search:
    """Finds the rate that is best on validation, and goes on where the best is the outermost.

    The best has the greatest accuracy; of equals the least loss; of equals it is the least rate.
    While it is the least or the greatest that was tried, the next one on that side is tried too, as
    far from it as the two outermost given ones are apart, at most `EXTENSIONS` on each side. A
    single rate is taken as it is. `figures_of` is a function of a rate to its `val_accuracy` and
    `val_loss`; None where the loss became not finite, which is worse than any figure.
    """
    tried: dict[float, Mapping[str, float] | None] = {}

    def attempt(rate: float) -> None:
        rate = float(f"{rate:.6g}")
        if rate not in tried:
            tried[rate] = figures_of(rate)

    def quality(rate: float) -> tuple[float, ...]:
        figures = tried[rate]
        if figures is None:
            return float("-inf"), 0.0, -rate
        return figures["val_accuracy"], -figures["val_loss"], -rate

    for rate in rates:
        attempt(rate)
    given = sorted(tried)
    while True:
        best = max(tried, key=quality)
        below = sum(rate < given[0] for rate in tried)
        above = sum(rate > given[-1] for rate in tried)
        if len(given) > 1 and best == min(tried) and below < EXTENSIONS:
            attempt(best * given[0] / given[1])
        elif len(given) > 1 and best == max(tried) and above < EXTENSIONS:
            attempt(best * given[-1] / given[-2])
        else:
            accuracies = {
                rate: figures["val_accuracy"] if figures else None
                for rate, figures in sorted(tried.items())
            }
            return Search(accuracies, best)


def read_outcome(folder: Path) -> Outcome:
    """What the run in a folder reached.

    A UserError where it was not trained to its end or not evaluated, or its files contradict each
    other.
    """
    state = checkpoints.latest_state(folder / run.CHECKPOINTS_FOLDER)
    if not state or not state["finished"]:
        raise UserError(f"{folder} has not trained to its end: start the same command again")
    results = result_files.read_results(folder)
    rows = result_files.read_predictions(folder)
    right = {row.get("video", ""): row.get("class") == row.get("predicted") for row in rows}
    if len(right) != results["num_test"] or sum(right.values()) != round(
        results["top1"] * len(right)
    ):
        raise UserError(
            f"{result_files.paths_in(folder).predictions} does not fit results.json beside it: "
            "start the same command again, which evaluates the run again"
        )
    training = run.read_config(folder).training
    return Outcome(
        folder,
        training.seed,
        results,
        right,
        None if training.train_on_validation else state["best"]["val_accuracy"],
        len(state["history"]),
    )
