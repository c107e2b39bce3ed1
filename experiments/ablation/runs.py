"""The runs of an ablation: one folder for each variant and seed, trained and evaluated once.

OUTPUT/runs/SETTINGS/seed-K is a run as `experiments.train` makes it, and evaluated as by
`experiments.evaluate`. SETTINGS names what differs from the configuration, so that studies share
the runs that they have in common. OUTPUT/base.json has the configuration and the records of all.
"""

import contextlib
import dataclasses
import gc
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from experiments.ablation.studies import Variant, changed_config
from preprocessing import files
from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet import run
from stfnet.config import RunConfig, read_json, to_dict
from stfnet.evaluation import evaluate, result_files
from stfnet.frame_features import stream_maps
from stfnet.run import checkpoints
from stfnet.training import strategies, watched

BASE_FILE, RUNS_FOLDER = "base.json", "runs"
_RECORDS = "records_sha256"  # key of BASE_FILE, beside the configuration


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run reached.

    Attributes:
        folder: of the run.
        seed: `training.seed`.
        results: of its results.json, on the test part.
        right: id of each test video -> whether the network recognises it.
        validation: accuracy on the validation part of the epoch that was kept; None where the run
            was trained on that part too.
        epochs: trained, over all stages.
    """

    folder: Path
    seed: int
    results: Mapping[str, Any]
    right: Mapping[str, bool]
    validation: float | None
    epochs: int


def check(variants: Mapping[str, Variant], cache: str) -> None:
    """Checks that every variant can be trained here, before anything is.

    Args:
        variants: of a study, by name.
        cache: of `--cache`.

    Raises:
        UserError: several workers train together, or a variant has no maps to cache.
    """
    workers = strategies.named_workers()
    if workers > 1:
        raise UserError(
            f"an ablation works in one process, and there are {workers} workers: start it on one "
            "machine, without TF_CONFIG"
        )
    for variant in variants.values():
        if cache == "features":
            stream_maps.check(variant.config, workers)


@contextlib.contextmanager
def writing(output: Path, base: RunConfig, record_set: RecordSet) -> Iterator[None]:
    """Holds the folder of an ablation while the block fills it.

    Raises:
        UserError: another process does, or it holds runs of another configuration or of other
            records.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    with files.locked(output, "ablation"):
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


def run_study(
    variants: Mapping[str, Variant],
    seeds: int,
    record_set: RecordSet,
    output: Path,
    **settings: Any,
) -> dict[str, list[Outcome]]:
    """Runs every variant of a study with seeds from that of the configuration on.

    Args:
        variants: by name.
        seeds: how many.
        record_set, output, settings: as for `run_variant`.

    Returns:
        Name of each variant -> its runs.
    """
    return {
        name: [
            run_variant(variant, variant.config.training.seed + k, record_set, output, **settings)
            for k in range(seeds)
        ]
        for name, variant in variants.items()
    }


def run_variant(
    variant: Variant,
    seed: int,
    record_set: RecordSet,
    output: Path,
    **settings: Any,
) -> Outcome:
    """Trains and evaluates one run, or reads what it reached where that was done before.

    A run that was stopped goes on from its last checkpoint.

    Args:
        variant, seed, record_set, output, settings: as for `train_variant`.

    Raises:
        Preempted: SIGTERM or Ctrl-C came; the run is saved.
        UserError: as training and evaluation.
    """
    folder = folder_of(variant, seed, output)
    if _is_trained(variant, seed, output):
        with contextlib.suppress(UserError):  # not evaluated, or a file is damaged
            outcome = read_outcome(folder)
            print(f"finished before: {folder}, top-1 {outcome.results['top1']:.3f}", flush=True)
            return outcome
        print(f"evaluating: {folder}", flush=True)
    else:
        train_variant(variant, seed, record_set, output, **settings)
    evaluate.evaluate_run(folder, record_set, features_folder=settings.get("features_folder"))
    keras.backend.clear_session()  # or the graphs of many runs fill the memory
    gc.collect()
    outcome = read_outcome(folder)
    print(f"finished: {folder}, top-1 {outcome.results['top1']:.3f}", flush=True)
    return outcome


def train_variant(
    variant: Variant,
    seed: int,
    record_set: RecordSet,
    output: Path,
    **settings: Any,
) -> dict[str, Any]:
    """Trains one run, where that was not done before, and leaves the test part alone.

    A study has many runs, and none trains on after its end: each keeps its last checkpoint alone.

    Args:
        variant: whose run it is.
        seed: its `training.seed`.
        record_set: of the records.
        output: folder of the ablation.
        settings: of `loop.train`, such as `features_folder`.

    Returns:
        `val_accuracy` and `val_loss` of the epoch that is kept.

    Raises:
        Preempted: SIGTERM or Ctrl-C came; the run is saved.
        UserError: as training.
    """
    folder = folder_of(variant, seed, output)
    if not _is_trained(variant, seed, output):
        print(f"training: {folder}", flush=True)
        config = changed_config(variant.config, {"training.seed": seed})
        watched.train(config, record_set, folder, **settings)
    state = checkpoints.latest_state(folder / run.CHECKPOINTS_FOLDER)
    if not state or not state["best"]:
        raise UserError(
            f"{folder / run.CHECKPOINTS_FOLDER} has no checkpoint of a finished run: remove "
            f"{folder}, and start the same command again"
        )
    checkpoints.keep_newest(folder / run.CHECKPOINTS_FOLDER, 1)
    return state["best"]


def folder_of(variant: Variant, seed: int, output: Path) -> Path:
    """The folder of a run."""
    return Path(output) / RUNS_FOLDER / variant.folder / f"seed-{seed}"


def _is_trained(variant: Variant, seed: int, output: Path) -> bool:
    folder = folder_of(variant, seed, output)
    config = changed_config(variant.config, {"training.seed": seed})
    return run.is_finished(folder) and run.read_config(folder) == config


def read_outcome(folder: Path) -> Outcome:
    """What the run in a folder reached.

    Raises:
        UserError: it was not trained to its end or not evaluated, or its files contradict each
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
