"""Evaluation of a run on one part of a split: top-1, top-5, per class, confusion matrix."""

import csv
import time
from pathlib import Path

import matplotlib
import numpy as np
from tqdm import tqdm

from preprocessing import files, splits
from preprocessing.errors import UserError
from stfnet import cache, input_pipeline
from stfnet.config import RunConfig

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def predict_clips(model, metadata, positions, clip, batch_size):
    """Class probabilities of the test clip of each video.

    Args:
        model: network that `stfnet.build_stfnet` made.
        metadata: of the records.
        positions: positions in `metadata.videos`.
        clip: ClipConfig.
        batch_size: clips a batch.

    Returns:
        float32 array (len(positions), classes), in the order of `positions`.
    """
    plan = input_pipeline.plan_evaluation(metadata, positions, clip, batch_size)
    found = []
    dataset = input_pipeline.clip_dataset(metadata, plan, clip, batch_size)
    with cache.naming_damaged_records():
        for batch in tqdm(dataset, total=len(plan) // batch_size, unit="batch", leave=False):
            inputs = input_pipeline.network_inputs(batch)
            inputs = {name: inputs[name] for name in model.input}
            found.append(np.asarray(model.predict_on_batch(inputs), np.float32))
    return np.concatenate(found)[: len(positions)]


def top_k(probabilities, labels, k):
    """Share of rows whose label is among their k most probable classes."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == np.asarray(labels)[:, None]).any(axis=1)))


def check_no_training_video(metadata, config: RunConfig, positions, protocol, fold):
    """Refuses to test on videos that the run was trained or validated on."""
    parts = input_pipeline.split_videos(metadata, config)
    seen = set(parts["train"])
    if config.training.validation_fraction:
        seen |= set(parts["val"])
    shared = sorted(seen & set(positions))
    if shared:
        raise UserError(
            f"{len(shared)} of the {len(positions)} videos of protocol {protocol}, fold {fold} "
            f"(such as {metadata.videos[shared[0]].id}) were trained on: the run was trained with "
            f"protocol {config.protocol}, fold {config.fold}. Train a run with "
            f"experiments.train --config.protocol={protocol} --config.fold={fold}, or evaluate "
            "with the run's own protocol"
        )


def evaluate(model, metadata, config: RunConfig, protocol=None, fold=None, split="test"):
    """Evaluates a model on one part of a split.

    Args:
        model: the run's best model.
        metadata: of the records.
        config: the run's configuration.
        protocol, fold: those of the run where None.
        split: `test`, `val` or `train`.

    Returns:
        (results, probabilities, positions): a dictionary of JSON values, float32 (N, C), (N,).

    Raises:
        UserError: records and model do not fit, or test videos were trained on.
    """
    started = time.monotonic()
    input_pipeline.check_records(metadata, config)
    protocol, fold = protocol or config.protocol, fold or config.fold
    assigned = splits.assign(metadata.videos, protocol, fold, config.split_seed)
    if (protocol, fold) == (config.protocol, config.fold) or split != "test":
        positions = input_pipeline.split_videos(metadata, config)[split]
    else:
        positions = np.array(
            [k for k, video in enumerate(metadata.videos) if assigned.get(video.id) == "test"]
        )
        check_no_training_video(metadata, config, positions, protocol, fold)
    probabilities = predict_clips(
        model, metadata, positions, config.model.clip, config.training.batch_size
    )
    labels = np.array([metadata.videos[k].label for k in positions])
    training = [
        metadata.videos[k].label for k in input_pipeline.split_videos(metadata, config)["train"]
    ]
    classes = len(config.classes)
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, probabilities.argmax(1)), 1)
    majority = np.bincount(training, minlength=classes).argmax()
    per_class = {
        name: float(confusion[k, k] / confusion[k].sum())
        for k, name in enumerate(config.classes)
        if confusion[k].sum()
    }
    results = {
        "dataset": config.name,
        "protocol": protocol,
        "fold": fold,
        "split": split,
        "streams": config.model.streams,
        "top1": top_k(probabilities, labels, 1),
        "top5": top_k(probabilities, labels, 5),
        "mean_class_accuracy": float(np.mean(list(per_class.values()))),
        "chance": 1 / classes,
        "majority": float(np.mean(labels == majority)),
        "leak": splits.leak(metadata.videos, assigned),
        "num_test": len(positions),
        "num_train": len(training),
        "num_classes": classes,
        "validated_on": "groups held back from training"
        if config.training.validation_fraction
        else "the test part itself",
        "per_class": per_class,
        "confusion": confusion.tolist(),
        "seconds": round(time.monotonic() - started, 1),
    }
    return results, probabilities, positions


def write_results(folder, results, probabilities, positions, metadata):
    """Writes results.json, predictions.csv and confusion.png into a folder.

    predictions.csv has a line a video: id, true class, predicted class, its probability and the
    true class's.
    """
    folder = Path(folder)
    rows = [("video", "class", "predicted", "probability", "probability_of_class")]
    for position, row in zip(positions, probabilities, strict=True):
        video, best = metadata.videos[position], int(row.argmax())
        named = (video.id, video.class_name, metadata.classes[best])
        rows.append((*named, f"{row[best]:.6f}", f"{row[video.label]:.6f}"))

    def write_rows(path):
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows(rows)

    files.write_with(folder / "predictions.csv", write_rows)
    draw_confusion(results["confusion"], metadata.classes, folder / "confusion.png")
    files.write_json(folder / "results.json", results)


def draw_confusion(confusion, classes, path):
    """Writes the confusion matrix (rows: truth) as a PNG to a path or a binary file."""
    confusion = np.asarray(confusion)
    size = max(4.0, 0.35 * len(classes) + 2)
    figure, axes = plt.subplots(figsize=(size, size), layout="constrained")
    axes.imshow(
        confusion / np.maximum(confusion.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1
    )
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(classes) <= 25:
        for row, column in np.argwhere(confusion):
            count = confusion[row, column]
            dark = count > 0.5 * confusion[row].sum()
            axes.text(
                column, row, count, ha="center", va="center", color="white" if dark else "black"
            )
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_curves(history, path):
    """Writes training and validation loss and accuracy against epochs (Figs. 9-11) as a PNG.

    Args:
        history: rows of history.csv, in order.
        path: PNG file.
    """
    epochs = np.arange(1, len(history) + 1)
    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axes, name in zip(panels, ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [float(row[name]) for row in history], label="training")
        axes.plot(epochs, [float(row[f"val_{name}"]) for row in history], label="validation")
        stages = [int(row["stage"]) for row in history]
        for k in np.flatnonzero(np.diff(stages)):
            axes.axvline(k + 1.5, color="grey", linestyle=":")
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.legend()
    figure.savefig(Path(path), dpi=120)
    plt.close(figure)
