"""The linear path's start: a logistic regression in place of zeros.

With some hundreds of videos and frozen streams a linear model is hard to beat. So training begins
there: the path of `model.linear_parts` gets the weights of a logistic regression on the same
features and keeps them, and the LSTMs learn from what it leaves.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from preprocessing.records import RecordSet
from stfnet import logistic
from stfnet.clips.input_pipeline import network_inputs
from stfnet.config import BLOCK_CHANNELS
from stfnet.networks import parts
from stfnet.networks.model import STFNet
from stfnet.networks.small_data import root_of_means
from stfnet.training.preemption import Preempted


def start(
    model: STFNet,
    block: int,
    batches: Iterable,
    record_set: RecordSet,
    must_stop: Callable[[], bool],
) -> None:
    """Fits the linear path to clips, and prints what cross-validation says of the fit.

    Args:
        model: the network, with a linear path.
        block: at whose end the maps are that batches hold; 0: they hold images.
        batches: of the clips; those of weight 0 are left out.
        record_set: of the records.
        must_stop: asked before each batch.

    Raises:
        Preempted: it had to stop.
    """
    clips = moments(model, block, until(must_stop, batches))
    groups = np.array([record_set.videos[k].group for k in clips.videos])
    chosen = fit(model, clips, groups, must_stop)
    if not chosen:
        print("linear start: one class to learn, so the linear path starts from zero", flush=True)
        return
    name, fitted = chosen
    line = (
        f"linear start: logistic regression on {len(clips.labels)} clips, {name}, "
        f"C = {fitted.strength:g}"
    )
    if fitted.accuracy is not None:
        line += f", {fitted.accuracy:.3f} right in cross-validation over whole groups"
    print(line, flush=True)


class Moments(NamedTuple):
    """What the linear path needs of V clips, and what the normalisations before it need.

    Attributes:
        means: float64 (V, T, C), of the streams' maps over their cells, the streams' channels one
            after the other.
        quarters: float32 (V, T, 4 C), over the quarters of the maps, those of a stream together;
            (V, T, 0) where the path reads none.
        squares: float64 (C,), mean square of the maps over clips, frames and cells.
        labels: int64 (V,).
        videos: int64 (V,), positions in the record set.
    """

    means: np.ndarray
    quarters: np.ndarray
    squares: np.ndarray
    labels: np.ndarray
    videos: np.ndarray


def moments(model: STFNet, block: int, batches: Iterable) -> Moments:
    """Reads clips and computes their maps' moments.

    Args:
        model: the network.
        block: at whose end the maps are that batches hold; 0: they hold images.
        batches: of the clips; those of weight 0 are left out.
    """
    streams = parts.to_maps(model, block)

    @tf.function(autograph=False)
    def compute(batch):
        inputs = network_inputs(batch)
        maps = streams({name: inputs[name] for name in streams.input}, training=False)
        maps = [tf.cast(x, tf.float32) for x in tf.nest.flatten(maps)]
        means = [tf.reduce_mean(x, (2, 3)) for x in maps]
        quarters = [parts.means_of_quarters(x) for x in maps]
        if not model.config.linear_quarters:
            quarters = [x[..., :0] for x in quarters]
        squares = [tf.reduce_mean(x * x, (1, 2, 3)) for x in maps]
        return tf.concat(means, -1), tf.concat(quarters, -1), tf.concat(squares, -1)

    rows = []
    for batch in batches:
        kept = batch["weight"].numpy() > 0
        values = (*compute(batch), batch["label"], batch["video"])
        rows.append([np.asarray(value)[kept] for value in values])
    columns = (np.concatenate(column) for column in zip(*rows, strict=True))
    means, quarters, squares, labels, videos = columns
    squares = squares.mean(0, dtype=np.float64)
    return Moments(means.astype(np.float64), quarters, squares, labels, videos)


def until(must_stop: Callable[[], bool], items: Iterable) -> Iterator:
    """The items, one after the other.

    Raises:
        Preempted: training had to stop.
    """
    for item in items:
        if must_stop():
            raise Preempted("stopped before the first step; the same command starts again")
        yield item


def fit(
    model: STFNet, of: Moments, groups: np.ndarray, must_stop: Callable[[], bool] = lambda: False
) -> tuple[str, logistic.Fit] | None:
    """Gives the linear path a logistic regression, and the normalisations their statistics.

    How much of the clip the regression looks at is chosen too (`logistic.plainest`): the last block
    alone or with earlier ones of `model.map_levels`; the whole clip, its `model.linear_parts`, or
    the whole clip with the quarters of its frames. What it does not look at has the weight zero,
    and parts that it does not tell apart have equal ones.

    Args:
        model: the network, with a linear path.
        of: the clips to learn from.
        groups: (V,), the group of each clip; the folds of the cross-validation are whole groups.
        must_stop: asked before each regression.

    Returns:
        What it looks at, and the logistic regression; None where the clips have a single class, and
        the path stays as it is.
    """
    if len(np.unique(of.labels)) == 1:
        return None
    read = _normalize_maps(model, of)
    if model.config.linear_root:
        read = root_of_means(np, np.concatenate([of.means, of.quarters], -1, dtype=np.float32))
    norm = model.get_layer(parts.LINEAR_NORM)
    mean = read.mean((0, 1), dtype=np.float64)
    # Clip by clip, since a second array of all frames is large.
    variance = sum(((clip - mean) ** 2).mean(0) for clip in read) / len(read)
    norm.moving_mean.assign(mean)
    norm.moving_variance.assign(variance)

    def features(channels, count):
        # Averaged first, which the normalisation does not mind, since frames take the most memory.
        means = keras.ops.convert_to_numpy(parts.means_of_parts(read, count))
        means = means.reshape(len(means), count, -1)[..., channels]
        normalized = (means - mean[channels]) / np.sqrt(variance[channels] + norm.epsilon)
        return normalized.reshape(len(means), -1)

    inputs = _regression_inputs(model)
    fits = {
        name: logistic.fit(features(*what), of.labels, groups)
        for name, what in until(must_stop, inputs.items())
    }
    name = logistic.plainest(fits, groups)
    fitted = fits[name]
    kernel, bias = (
        x / fitted.temperature for x in _affine(fitted.pipeline, model.config.num_classes)
    )
    channels, count = inputs[name]
    whole = np.zeros((model.config.linear_parts, len(mean), model.config.num_classes))
    shares = [1.0] * count if count > 1 else _shares(model)
    whole[:, channels] = kernel.reshape(count, -1, kernel.shape[-1])
    whole *= np.array(shares)[:, None, None]
    model.get_layer(parts.LINEAR_LOGITS).kernel.assign(whole.reshape(-1, kernel.shape[-1]))
    # From zero: the network starts as the regression, and the LSTMs learn what it lacks.
    recurrent = model.get_layer(parts.LSTM_LOGITS)
    recurrent.kernel.assign(np.zeros(recurrent.kernel.shape))
    recurrent.bias.assign(bias)
    return name, fitted


def _regression_inputs(model):
    """What a regression may look at, from the plainest on: name -> (channels, count of parts)."""
    config = model.config
    widths = [BLOCK_CHANNELS[level - 1] // config.width_divisor for level in config.map_levels]
    level_of = np.tile(np.repeat(config.map_levels, widths), len(model.input))
    looks = {
        f"{count} part{'s' * (count > 1)}": (level_of, count)
        for count in dict.fromkeys([1, config.linear_parts])
    }
    if config.linear_quarters:
        looks["quarters"] = np.tile(level_of, 5), 1  # the whole frame's and each quarter's
    inputs = {}
    for look, (levels, count) in looks.items():
        for k, first in reversed(list(enumerate(config.map_levels))):
            blocks = ", ".join(map(str, config.map_levels[k:]))
            name = f"{'block' if first == config.map_levels[-1] else 'blocks'} {blocks}"
            inputs[f"{name}, {look}"] = np.flatnonzero(levels >= first), count
    return inputs


def _shares(model):
    """What each part has of a clip, all together 1."""
    frames, count = model.config.clip.num_frames, model.config.linear_parts
    return np.diff([round(k * frames / count) for k in range(count + 1)]) / frames


def _normalize_maps(model, of):
    """The means after `map_norm`, whose statistics are set; without one, as they are."""
    if not model.config.map_norm:
        return of.means
    mean = of.means.mean((0, 1))
    variance = np.maximum(of.squares - mean**2, 0)
    layers = [model.get_layer(f"{stream}_map_norm") for stream in model.input]
    edges = np.cumsum([layer.moving_mean.shape[0] for layer in layers])[:-1]
    for layer, m, v in zip(layers, np.split(mean, edges), np.split(variance, edges), strict=True):
        layer.moving_mean.assign(m)
        layer.moving_variance.assign(v)
    return (of.means - mean) / np.sqrt(variance + layers[0].epsilon)


def _affine(pipeline, num_classes):
    """A fitted classifier as kernel (F, num_classes) and bias (num_classes,) of its logits."""
    scale, rotation, classifier = (step for _, step in pipeline.steps)
    coefficients = classifier.coef_
    at_zero = np.atleast_2d(pipeline.decision_function(np.zeros((1, scale.n_features_in_))))
    if len(classifier.classes_) == 2:  # one decision: half of it for, half against
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        at_zero = np.concatenate([-at_zero, at_zero], axis=1) / 2
    kernel = np.zeros((scale.n_features_in_, num_classes))
    directions = rotation.X_fit_.T @ (rotation.eigenvectors_ / np.sqrt(rotation.eigenvalues_))
    kernel[:, classifier.classes_] = directions @ coefficients.T / scale.scale_[:, None]
    bias = np.zeros(num_classes)
    bias[classifier.classes_] = at_zero[0]
    return kernel, bias
