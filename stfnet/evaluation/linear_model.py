"""A baseline that a network must beat: a linear model on pooled features of VGG-16.

It sees the frames and flow fields of the network's test clip of each video (Eqs. 13-14), and learns
from the videos that the network had.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from preprocessing.errors import UserError
from preprocessing.records import RecordedVideo, RecordSet
from stfnet import logistic, run
from stfnet.clips import input_pipeline, plans
from stfnet.config import WHOLE_STREAM, TrainingConfig
from stfnet.evaluation import significance
from stfnet.frame_features import stream_maps
from stfnet.frame_features.networks import vgg16_streams
from stfnet.networks import SmallDataConfig
from stfnet.run.config import RunConfig
from stfnet.weights import vgg16_file

LEVELS = (3, 4, 5)  # blocks of VGG-16, as real_videos.py reads them
LAYERS = ("block3_pool", "block4_pool", "block5_conv3")  # at their ends, as VGGStream gives them
STREAMS = {"rgb": ("rgb",), "flow": ("flow",), "both": ("rgb", "flow")}


def weights_for(config: RunConfig, given: str | None) -> Path:
    """The file of VGG-16's weights for the baseline.

    `given` is a file or `imagenet`; None for those that the run started from.

    Raises:
        UserError: the run did not start from VGG-16's weights and none are given, there is no such
            file, or the download failed.
    """
    started_from = config.training.weights
    advice = "give --baseline_weights=FILE.h5 (VGG-16's, of keras.applications) or imagenet"
    if not given and (not started_from or started_from.endswith(".keras")):
        raise UserError(
            "the linear model of --baselines needs VGG-16's weights, and the run did not start "
            f"from them (training.weights={started_from!r}): {advice}"
        )
    path = vgg16_file(given or started_from)
    if not path.is_file():
        raise UserError(
            f"the linear model of --baselines needs VGG-16's weights, and {path} is missing: "
            f"{advice}"
        )
    return path


def known_videos(config: RunConfig, located: run.Located) -> list[int]:
    """Positions of the videos to learn from: those that the network learned from or was chosen on.

    Without a validation part of its own the run was validated on its test part, which stays out.
    """
    training = config.training
    had = training.held_back and (training.keep == "best" or training.train_on_validation)
    return located.learned(bool(had)).tolist()


def clip_features(
    record_set: RecordSet,
    positions: Sequence[int] | np.ndarray,
    config: RunConfig,
    weights: Path,
    features_folder: Path | None = None,
) -> dict[str, np.ndarray]:
    """Features of the test clip of each of V videos: maps averaged over their area and the clip's
    frames.

    The clip, the scale of flow and the precision are those of `config`. In a folder of maps, which
    a run with these weights and LEVELS shares, missing ones are computed; None computes all, and
    keeps none. Returns `rgb` and `flow`: float32 (V, 1280), of LAYERS.

    Raises:
        UserError: the weights do not load, or a record is damaged.
    """
    clip = config.model.clip
    of_vgg16 = SmallDataConfig(
        num_classes=config.model.num_classes,
        clip=clip,
        map_levels=LEVELS,
        flow_input=config.model.flow_input,
    )
    precision = config.training.precision
    network = vgg16_streams(clip, weights, of_vgg16.flow_input, levels=LEVELS, dtype=precision)
    plan = plans.plan_evaluation(record_set, np.asarray(positions), clip, 1)
    training = TrainingConfig(frame_grid=config.training.frame_grid, precision=precision)
    config = dataclasses.replace(config, model=of_vgg16, training=training)
    kept = None
    if features_folder:
        kept = stream_maps.Features(
            features_folder, network, record_set, config, WHOLE_STREAM, test_clips=True
        )
        kept.compute(positions)
    streams = tf.function(network, autograph=False)
    rows = []
    with stream_maps.reading(record_set, plan, config, 1, kept) as batches:
        for maps in tqdm(batches, "linear model", len(plan), unit="video", leave=False):
            if not kept:
                inputs = input_pipeline.network_inputs(maps)
                maps = streams({name: inputs[name][0][:, None] for name in network.input})
            each = {name: np.asarray(maps[name], np.float32) for name in network.input}
            rows.append({name: one.mean((0, 1, 2, 3)) for name, one in each.items()})
    return {name: np.stack([row[name] for row in rows]) for name in network.input}


def choose_and_predict(
    features: np.ndarray, labels: np.ndarray, groups: np.ndarray, tested: np.ndarray
) -> tuple[np.ndarray, float]:
    """Classes that `logistic.fit` gives other videos, integers (W,), and the chosen C.

    It learns from features float (V, F), labels integers (V,) and groups (V,); `tested` is float
    (W, F).
    """
    if len(np.unique(labels)) == 1:  # nothing to learn: the one class is the answer
        return np.full(len(tested), labels[0]), 1.0
    fitted = logistic.fit(features, labels, groups)
    return fitted.pipeline.predict(np.asarray(tested, np.float64)), fitted.strength


def linear_model(
    record_set: RecordSet,
    known: Sequence[int] | np.ndarray,
    tested: Sequence[int] | np.ndarray,
    config: RunConfig,
    weights: Path,
    features_folder: Path | None = None,
) -> dict[str, Any]:
    """Tests the linear model on frames, on flow and on both.

    It learns from the videos at the positions `known`, and is tested on those at `tested`. Returns
    JSON values: `rgb`, `flow` and `both`, each with `top1`, `C` and the ids of the videos that are
    `wrong`; `weights`, the file's name; `layers`; `num_train`.
    """
    features = clip_features(record_set, [*known, *tested], config, weights, features_folder)
    videos = [record_set.videos[k] for k in (*known, *tested)]
    labels = np.array([video.label for video in videos])
    groups = np.array([video.group for video in videos])
    count = len(known)

    def of(streams: Sequence[str]) -> dict[str, Any]:
        x = np.concatenate([features[name] for name in streams], axis=1)
        predicted, strength = choose_and_predict(
            x[:count], labels[:count], groups[:count], x[count:]
        )
        right = predicted == labels[count:]
        wrong = [video.id for video, one in zip(videos[count:], right, strict=True) if not one]
        return {"top1": float(right.mean()), "C": strength, "wrong": wrong}

    return {
        **{name: of(streams) for name, streams in STREAMS.items()},
        "weights": weights.name,
        "layers": list(LAYERS),
        "num_train": count,
    }


def network_ahead(
    figures: Mapping[str, Any], videos: Sequence[RecordedVideo], right: np.ndarray
) -> dict[str, Any]:
    """The figures of `linear_model` with the paired difference of a network from each of the three.

    `right` is bool (N,), which of the N tested videos the network recognises. `rgb`, `flow` and
    `both` get `ahead`, the network's top-1 minus that of the linear model, its 95 % `interval`
    (bootstrap over groups) and `p` (`paired_p`).
    """
    groups = [video.group for video in videos]

    def beside(one: Mapping[str, Any]) -> dict[str, Any]:
        wrong = set(one["wrong"])
        ahead = right - np.array([video.id not in wrong for video in videos], float)

        def mean(weights: np.ndarray) -> dict[str, float]:
            return {"ahead": float(np.average(ahead, weights=weights))}

        interval = significance.intervals(mean, groups)["ahead"]
        p = significance.paired_p(ahead, groups)
        return {**one, "ahead": float(ahead.mean()), "interval": interval, "p": p}

    return {**figures, **{name: beside(figures[name]) for name in STREAMS}}


def summary(results: Mapping[str, Any]) -> list[str]:
    """What `network_ahead` returns, as lines."""
    titles = {"rgb": "frames", "flow": "flow", "both": "both"}
    figures = (
        f"{title} {results[name]['top1']:.3f} (C = {results[name]['C']:g})"
        for name, title in titles.items()
    )
    ahead = (
        "{} {:+.3f} ({:+.3f} to {:+.3f}, p = {:.2g})".format(
            title, results[name]["ahead"], *results[name]["interval"], results[name]["p"]
        )
        for name, title in titles.items()
    )
    return [
        f"linear model on pooled VGG-16 features: {'   '.join(figures)}",
        f"the network is ahead of it by: {'   '.join(ahead)}",
    ]
