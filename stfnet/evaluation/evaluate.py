"""Evaluation of a run on one part of a split: top-1, top-5, per class, confusion matrix."""

import csv
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from preprocessing import files, splits
from preprocessing.errors import UserError
from preprocessing.records import reader
from stfnet import input_pipeline, plans, run
from stfnet.config import RunConfig
from stfnet.evaluation import plots


def predict_clips(model, record_set, positions, clip, batch_size):
    """Class probabilities of the test clip of each video.

    Args:
        model: network that `stfnet.build_stfnet` made.
        record_set: of the records.
        positions: positions in `record_set.videos`.
        clip: ClipConfig.
        batch_size: clips a batch.

    Returns:
        float32 array (len(positions), classes), in the order of `positions`.
    """
    plan = plans.plan_evaluation(record_set, positions, clip, batch_size)
    found = []
    dataset = input_pipeline.clip_dataset(record_set, plan, clip, batch_size)
    with reader.naming_damaged_records():
        for batch in tqdm(dataset, total=len(plan) // batch_size, unit="batch", leave=False):
            inputs = input_pipeline.network_inputs(batch)
            inputs = {name: inputs[name] for name in model.input}
            found.append(np.asarray(model.predict_on_batch(inputs), np.float32))
    return np.concatenate(found)[: len(positions)]


def top_k(probabilities, labels, k):
    """Share of rows whose label is among their k most probable classes."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == np.asarray(labels)[:, None]).any(axis=1)))


def choose_positions(record_set, config: RunConfig, located: run.Located, split, protocol, fold):
    """Positions in `record_set.videos` of the part to evaluate.

    Args:
        record_set: of the records.
        config: the run's configuration.
        located: the run's videos in the records.
        split: `test`, `val` or `train` of the run, or `unseen`: videos that the run does not know.
        protocol, fold: another split than the run's, of which the test part is taken; None for
            the run's own.

    Raises:
        UserError: a combination that makes no sense, nothing to evaluate, or test videos that the
            run was trained or chosen on.
    """
    if protocol is None and fold is None:
        positions = getattr(located, split)
        if not len(positions):
            raise UserError(
                f"{record_set.folder} has no video of the {split} part of the run"
                + (": every video is in one of its parts" if split == "unseen" else "")
            )
        return positions
    if fold and (protocol or config.protocol) != "official":
        raise UserError(
            f"--fold={fold} has no effect with protocol {protocol or config.protocol}, which has "
            "no folds: leave it out, or give --protocol=official"
        )
    protocol, fold = protocol or config.protocol, fold or config.fold
    if (protocol, fold) == (config.protocol, config.fold) and split == "test":
        return located.test
    if split != "test":
        raise UserError(
            f"--split={split} is a part of the run's own split (protocol {config.protocol}): give "
            "it without --protocol and --fold"
        )
    assigned = splits.assign(record_set.videos, protocol, fold, config.split_seed)
    positions = np.array(
        [k for k, video in enumerate(record_set.videos) if assigned.get(video.id) == "test"]
    )
    known = {*located.train, *located.val, *located.seen}
    files_known = {record_set.videos[k].source_sha256 for k in known} - {""}
    shared = [
        k for k in positions if k in known or record_set.videos[k].source_sha256 in files_known
    ]
    if shared:
        raise UserError(
            f"{len(shared)} of the {len(positions)} videos of protocol {protocol}, fold {fold} "
            f"(such as {record_set.videos[shared[0]].id}) were trained on, or the epoch was chosen "
            f"on them: the run was trained with protocol {config.protocol}, fold {config.fold}. "
            f"Evaluate its own test part, or train a run with protocol {protocol}, fold {fold}"
        )
    return positions


def evaluate(
    model,
    record_set,
    config: RunConfig,
    videos: run.RunVideos,
    protocol=None,
    fold=None,
    split="test",
):
    """Evaluates a model on one part of a split.

    Args:
        model: the run's best model.
        record_set: of the records.
        config: the run's configuration.
        videos: the run's videos.
        protocol, fold, split: see `choose_positions`.

    Returns:
        (results, probabilities, positions): a dictionary of JSON values, float32 (N, C), (N,).

    Raises:
        UserError: records and model do not fit, or as `choose_positions`.
    """
    started = time.monotonic()
    plans.check_records(record_set, config)
    located = run.locate(videos, record_set)
    positions = choose_positions(record_set, config, located, split, protocol, fold)
    probabilities = predict_clips(
        model, record_set, positions, config.model.clip, evaluation_batch(config)
    )
    labels = np.array([record_set.videos[k].label for k in positions])
    classes = len(config.classes)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, probabilities.argmax(1)), 1)
    per_class = {
        name: float(confusion[k, k] / confusion[k].sum())
        for k, name in enumerate(config.classes)
        if confusion[k].sum()
    }
    results = {
        "dataset": config.name,
        "protocol": protocol or config.protocol,
        "fold": fold or config.fold,
        "split": split,
        "streams": config.model.streams,
        "top1": top_k(probabilities, labels, 1),
        "top5": top_k(probabilities, labels, 5),
        "mean_class_accuracy": float(np.mean(list(per_class.values()))),
        "chance": 1 / classes,
        "majority": float(np.mean(labels == _majority_class(record_set, located, classes))),
        "leak": _leak(record_set, located, positions),
        "num_test": len(positions),
        "num_train": len(located.train),
        "num_classes": classes,
        "validated_on": "groups held back from training"
        if config.training.validation_fraction
        else "the test part itself",
        "certificate": videos.certificate(),
        "records_sha256": record_set.sha256,
        "unseen": [record_set.videos[k].id for k in located.unseen],
        "copies": [record_set.videos[k].id for k in located.copies],
        "lost": list(located.lost),
        "changed": list(located.changed),
        "per_class": per_class,
        "confusion": confusion.tolist(),
        "seconds": round(time.monotonic() - started, 1),
    }
    return results, probabilities, positions


def evaluation_batch(config: RunConfig) -> int:
    """Clips computed at once: no more than a part of a training batch, which fits the memory."""
    return max(1, config.training.batch_size // config.training.accumulation_steps)


def _majority_class(record_set, located, classes):
    training = [record_set.videos[k].label for k in located.train]
    return np.bincount(training, minlength=classes).argmax()


def _leak(record_set, located, positions) -> float:
    """Share of the evaluated videos with a sibling in training or validation."""
    tested = set(positions.tolist())
    sides = {
        record_set.videos[k].id: "train" for k in (*located.train, *located.val) if k not in tested
    }
    return splits.leak(record_set.videos, sides | {record_set.videos[k].id: "test" for k in tested})


def results_suffix(results) -> str:
    """What the names of result files end in: nothing for the test part of the run's own split."""
    own = results["certificate"]
    if results["split"] != "test":
        return f"-{results['split']}"
    if (results["protocol"], results["fold"]) == (own["protocol"], own["fold"]):
        return ""
    return f"-{results['protocol']}-{results['fold']}"


def write_results(folder, results, probabilities, positions, record_set) -> list[Path]:
    """Writes results.json, predictions.csv and confusion.png, with `results_suffix` in the names.

    predictions.csv has a line a video: id, true class, predicted class, its probability and the
    true class's, then the probability of each class in a column `p:CLASS`.

    Returns:
        Their paths.
    """
    folder, suffix = Path(folder), results_suffix(results)
    predictions, picture, figures = (
        folder / f"{name}{suffix}.{ending}"
        for name, ending in (("predictions", "csv"), ("confusion", "png"), ("results", "json"))
    )
    header = ("video", "class", "predicted", "probability", "probability_of_class")

    def rows():  # one at a time: of many videos and classes they would fill the memory
        yield (*header, *(f"p:{name}" for name in record_set.classes))
        for position, row in zip(positions, probabilities, strict=True):
            video, best = record_set.videos[position], int(row.argmax())
            named = (video.id, video.class_name, record_set.classes[best])
            yield (*named, *(f"{value:.6f}" for value in (row[best], row[video.label], *row)))

    def write_rows(path):
        with open(path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows())

    for path in (predictions, picture, figures):
        files.remove_partial_of(path)
    files.write_with(predictions, write_rows)
    files.write_json(figures, results)
    picture.unlink(missing_ok=True)  # of an evaluation before, should this one's fail
    with plots.never_fatal(picture):
        plots.draw_confusion(results["confusion"], record_set.classes, picture)
    return [figures, predictions, picture]


# What `average_folds` takes the mean of.
AVERAGED = ("top1", "top5", "mean_class_accuracy", "chance", "majority", "leak")


def average_folds(results: Mapping[str, Mapping]) -> dict:
    """The mean over the folds of a data set's official split.

    Args:
        results: fold -> `evaluate`'s results of the run of that fold.

    Returns:
        A dictionary of JSON values: the mean of each figure of `AVERAGED`, `top1_deviation` (the
        sample standard deviation, 0 for one fold), and the figures of each fold in `folds`.
    """
    first, *_ = results.values()
    top1 = [one["top1"] for one in results.values()]
    return {
        **{name: first[name] for name in ("dataset", "protocol", "split", "streams")},
        "fold": ",".join(results),
        **{name: float(np.mean([one[name] for one in results.values()])) for name in AVERAGED},
        "top1_deviation": float(np.std(top1, ddof=1)) if len(top1) > 1 else 0.0,
        "num_test": sum(one["num_test"] for one in results.values()),
        "num_classes": first["num_classes"],
        "folds": {
            fold: {name: one[name] for name in (*AVERAGED, "num_test", "num_train", "certificate")}
            for fold, one in results.items()
        },
    }
