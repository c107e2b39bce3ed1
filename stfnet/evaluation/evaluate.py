"""Evaluation of a run: which videos, what the network predicts for them, and the figures."""

import dataclasses
import time
from pathlib import Path

import keras
import numpy as np
import scipy.special
from tqdm import tqdm

from preprocessing import files, records, splits
from preprocessing.errors import UserError
from stfnet import run
from stfnet.clips import input_pipeline, plans
from stfnet.evaluation import baselines, clips_per_video, linear_model, metrics, result_files
from stfnet.evaluation.breakdown import breakdown
from stfnet.evaluation.clips_per_video import ONE_CLIP, Views
from stfnet.frame_features import stream_maps
from stfnet.inference import prediction
from stfnet.networks import parts
from stfnet.run.config import RunConfig


def predict_clips(
    model: keras.Model,
    record_set: records.RecordSet,
    positions: np.ndarray,
    config: RunConfig,
    views: Views = ONE_CLIP,
    features_folder: Path | None = None,
) -> np.ndarray:
    """Class probabilities of each video, the mean over its views.

    Args:
        model: the network of a run.
        record_set: of the records.
        positions: positions in `record_set.videos`.
        config: of the run.
        views: of each video; the test clip of Eqs. 13-14 unless given.
        features_folder: of maps of the blocks that the run never trained. Those of test clips are
            read from there, and missing ones are computed: runs whose frozen blocks have the same
            weights share them. None computes everything from images, as other views do.

    Returns:
        float32 (N, C), in the order of the N `positions`; from maps but for their rounding (2^-11).

    Raises:
        UserError: a record is damaged, or as `stream_maps.Features`.
    """
    mirrored = clips_per_video.mirrored_classes(views, record_set.classes)
    # As many clips as a training step computes at once, which fit the memory.
    size = max(1, config.training.batch_size // config.training.accumulation_steps)
    block = config.training.unchanged_blocks(len(config.training.learning_rates) - 1)
    network, maps = model, None
    if features_folder and block and views == ONE_CLIP:
        maps = stream_maps.Features(
            features_folder, model, record_set, config, block, test_clips=True
        )
        maps.compute(positions.tolist())
        network = parts.from_block(model, block)
    plan = plans.plan_evaluation(record_set, positions, config.model.clip, size, views.num_clips)
    clips = {}
    for flip in views.flips:
        one_way = dataclasses.replace(plan, flip=np.full(len(plan), flip))
        rows = []
        with stream_maps.reading(record_set, one_way, config, size, maps) as batches:
            for batch in tqdm(batches, total=len(plan) // size, unit="batch", leave=False):
                inputs = input_pipeline.network_inputs(batch)
                inputs = {name: inputs[name] for name in network.input}
                rows.append(np.asarray(network.predict_on_batch(inputs), np.float32))
        scores = np.concatenate(rows)[: len(positions) * views.num_clips]
        clips[flip] = scipy.special.softmax(scores, axis=-1) if maps else scores
    return clips_per_video.average(clips, views.num_clips, mirrored)


def choose_positions(
    record_set: records.RecordSet,
    config: RunConfig,
    located: run.Located,
    split: str,
    protocol: str | None,
    fold: str | None,
) -> np.ndarray:
    """Positions in `record_set.videos` of the part to evaluate.

    Args:
        record_set: of the records.
        config: of the run.
        located: the run's videos in the records.
        split: `train`, `val` or `test` of the run, or `unseen`: videos that the run does not know.
        protocol, fold: another split than the run's, whose test part is taken; None for the run's
            own split.

    Raises:
        UserError: the choices contradict each other, there is nothing to evaluate, or the run was
            trained on some of the test videos or its epoch was chosen on them.
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
    model: keras.Model,
    record_set: records.RecordSet,
    config: RunConfig,
    videos: run.RunVideos,
    located: run.Located,
    split: str = "test",
    protocol: str | None = None,
    fold: str | None = None,
    views: Views = ONE_CLIP,
    features_folder: Path | None = None,
) -> tuple[dict, np.ndarray, np.ndarray]:
    """Evaluates a model on one part of a split.

    Args:
        model: the run's best model.
        record_set: of the records.
        config: of the run.
        videos: of the run.
        located: those videos in the records.
        split, protocol, fold: see `choose_positions`.
        views: of each video.
        features_folder: see `predict_clips`.

    Returns:
        (results, probabilities, positions): a dictionary of JSON values, float32 (N, C), and the
        positions (N,) in `record_set.videos`.

    Raises:
        UserError: the records do not fit the model, or as `choose_positions`.
    """
    started = time.monotonic()
    plans.check_records(record_set, config)
    positions = choose_positions(record_set, config, located, split, protocol, fold)
    probabilities = predict_clips(model, record_set, positions, config, views, features_folder)
    learned = located.learned(config.training.train_on_validation)
    labels, train_labels = (
        np.array([record_set.videos[k].label for k in part], np.int64)
        for part in (positions, learned)
    )
    classes = len(config.classes)
    results = {
        "dataset": record_set.title_of(config.name),
        "protocol": protocol or config.protocol,
        "fold": fold or config.fold,
        "split": split,
        "architecture": config.model.network,
        "streams": config.model.streams,
        "chance": 1 / classes,
        "majority": metrics.majority_accuracy(train_labels, labels, classes),
        **_leak(record_set, located, learned, positions),
        "num_test": len(positions),
        "num_train": len(learned),
        "untrained_classes": run.untrained_classes(record_set, learned),
        "num_classes": classes,
        "validated_on": _validated_on(config.training),
        "split_fingerprint": videos.fingerprint(),
        "records_sha256": record_set.sha256,
        "records_frame_grid": record_set.clip["frame_grid"],
        "unseen": [record_set.videos[k].id for k in located.unseen],
        "copies": [record_set.videos[k].id for k in located.copies],
        "lost": list(located.lost),
        "changed": list(located.changed),
        "views": views.to_json(),
        **breakdown(
            probabilities, labels, config.classes, [record_set.videos[k] for k in positions]
        ),
        "seconds": round(time.monotonic() - started, 1),
    }
    return results, probabilities, positions


def _validated_on(training) -> str:
    """On what the epoch of the network was chosen."""
    if training.keep == "last":
        return "no videos: the last one was kept"
    return "groups held back from training" if training.held_back else "the test part itself"


def _leak(
    record_set: records.RecordSet,
    located: run.Located,
    learned: np.ndarray,
    positions: np.ndarray,
) -> dict[str, float]:
    """`splits.leak` and `splits.ungrouped` of the evaluated videos, against those learned from."""
    tested = set(positions.tolist())
    if tested <= set(learned.tolist()):
        return {"leak": 1.0, "ungrouped": 0}
    sides = {
        record_set.videos[k].id: "train" for k in (*located.train, *located.val) if k not in tested
    }
    sides |= {record_set.videos[k].id: "test" for k in tested}
    return {
        "leak": splits.leak(record_set.videos, sides),
        "ungrouped": splits.ungrouped(record_set.videos, sides),
    }


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `evaluate_run` measured and wrote.

    Attributes:
        results: the figures, JSON values.
        paths: of the files that were written.
        notes: a line for each way in which the records differ from those of the run, one
            where they have a grid, and one where videos are shorter than a clip.
    """

    results: dict
    paths: result_files.Paths
    notes: list[str]


def evaluate_run(
    workdir: str | Path,
    record_set: records.RecordSet | str | Path,
    split: str = "test",
    protocol: str | None = None,
    fold: str | None = None,
    nearest_neighbour: bool = False,
    views: Views = ONE_CLIP,
    linear: bool = False,
    linear_weights: str | None = None,
    features_folder: Path | None = None,
    output: Path | None = None,
) -> Evaluation:
    """Evaluates the best network of a run and writes the results; needs TensorFlow.

    Example:
        >>> evaluation = stfnet.evaluate("run", "records")
        >>> evaluation.results["top1"], evaluation.paths.results
        (..., PosixPath('run/results.json'))

    Args:
        workdir: folder of the run.
        record_set: of the records, or their folder.
        split, protocol, fold: see `choose_positions`.
        nearest_neighbour: whether to add `baselines.nearest_neighbour` to the results. It reads
            every frame, so the results are written before it too.
        views: of each video, such as `clips_per_video.Views(num_clips=5, flip=True)`.
        linear: whether to add `linear_model.linear_model`, likewise.
        linear_weights: VGG-16's for it, a file or `imagenet`; None for those of the run's start.
        features_folder: see `evaluate`; the linear model reads it too.
        output: folder for the results; None for that of the run.

    Raises:
        UserError: the run has no network, the results would go into another run, there are no
            weights for the linear model, it would be tested on what it learns, or as `evaluate`.
    """
    workdir = Path(workdir)
    if not isinstance(record_set, records.RecordSet):
        record_set = records.load_record_set(Path(record_set), classes=run.classes_of(workdir))
    folder = result_files.folder_for(workdir, output)
    model, config = prediction.load_run(workdir)
    if linear and split in ("train", "val"):
        raise UserError(f"--baselines learn from the videos of --split={split}: leave one out")
    both = config.training.train_on_validation
    if nearest_neighbour and (split == "train" or (split == "val" and both)):
        raise UserError(
            f"--nearest_neighbour looks among the videos of --split={split}: leave one out"
        )
    weights = linear_model.weights_for(config, linear_weights) if linear else None
    videos = run.read_videos(workdir)
    located = run.locate(videos, record_set)
    results, probabilities, positions = evaluate(
        model, record_set, config, videos, located, split, protocol, fold, views, features_folder
    )
    results["network_sha256"] = run.network_sha256(workdir)
    results["finished"] = run.is_finished(workdir)
    paths = result_files.write(folder, results, probabilities, positions, record_set)
    if nearest_neighbour:
        learned = located.learned(both)
        results["nearest_neighbour"] = baselines.nearest_neighbour(record_set, learned, positions)
        files.write_json(paths.results, results)
    if weights:
        known = linear_model.known_videos(config, located)
        figures = linear_model.linear_model(
            record_set, known, positions, config, weights, features_folder
        )
        tested = [record_set.videos[k] for k in positions]
        right = probabilities.argmax(1) == [video.label for video in tested]
        results["linear_model"] = linear_model.network_ahead(figures, tested, right)
        files.write_json(paths.results, results)
    grid = record_set.clip["frame_grid"]
    notes = [
        *located.notes(record_set),
        *[f"the records hold {grid} frames of a video: a test clip takes the nearest"] * bool(grid),
        *plans.short_videos(record_set, positions, config.model.clip),
    ]
    return Evaluation(results, paths, notes)
