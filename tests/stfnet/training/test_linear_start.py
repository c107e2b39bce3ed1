"""The linear path starts as a logistic regression on the means of the streams' maps."""

import dataclasses
import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import run_config
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from preprocessing.errors import UserError
from stfnet import ClipConfig, build_stfnet, logistic, run
from stfnet.config import TrainingConfig
from stfnet.networks import SmallDataConfig
from stfnet.training import linear_start, loop
from stfnet.training.preemption import Preempted

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)
MODEL = SmallDataConfig(
    num_classes=3,
    clip=CLIP,
    width_divisor=16,
    map_levels=(4, 5),
    linear_parts=2,
    fc6_units=8,
    lstm_units=8,
    normalize="all",
)
TRAINING = TrainingConfig(
    learning_rates=(1e-30,),  # the network stays as it starts
    max_epochs=(1,),
    frozen_blocks=(5,),
    batch_size=4,
    tau_range=(1, 3),
    validation_fraction=0.2,
    optimizer="sgd",
    linear_start=True,
)


def _clips(count, classes, seed=0):
    """Images whose brightness and flow say the class, with noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    light = (60 + 40 * labels)[:, None, None, None, None]
    shape = (count, 3, 32, 32)
    return {
        "rgb": np.uint8(light + rng.integers(0, 60, (*shape, 3))),
        "fields": np.uint8(rng.integers(0, 255, (count, 3, 4, 2, 32, 32))),
        "label": labels,
        "video": np.arange(count),
        "weight": np.ones(count, np.float32),
    }


def _batches(clips, size=4):
    return [
        {name: tf.constant(value[k : k + size]) for name, value in clips.items()}
        for k in range(0, len(clips["label"]), size)
    ]


def _inputs(clips):
    flow = np.moveaxis(clips["fields"], (2, 3), (4, 5)).reshape(-1, 3, 32, 32, 8)
    return {"rgb": clips["rgb"], "flow": flow}


def _maps(model, clips):
    """Each stream's maps, float64 (V, T, 2, 2, C)."""
    maps = keras.Model(model.input, [model.get_layer(f"{s}_stream").output for s in model.input])
    return [np.float64(x) for x in maps(_inputs(clips))]


def _regression(maps, labels, strength, levels, parts, root, quarters):
    """Logits of a regression on the means, or their roots, of some levels over parts, by hand."""
    of_level = {4: slice(0, 32), 5: slice(32, 64)}
    means = [x[..., of_level[k]].mean((2, 3)) for x in maps for k in levels]
    if quarters:
        means += [
            x[..., i, j, of_level[k]] for x in maps for k in levels for i in (0, 1) for j in (0, 1)
        ]
    means = np.concatenate(means, -1)
    if root:
        means = np.sqrt(means + 1e-3)
    halves = [means[:, :2], means[:, 2:]] if parts == 2 else [means]
    x = np.concatenate([half.mean(1) for half in halves], -1)
    x = StandardScaler().fit_transform(x)
    fitted = LogisticRegression(C=strength, max_iter=10000, tol=1e-8).fit(x, labels)
    return fitted.predict_log_proba(x)


@pytest.fixture
def fitted_once(monkeypatch):
    """Has the same regression fitted once, however often a test asks for it."""
    fit, kept = logistic.fit, {}

    def fit_once(features, *rest):
        key = features.tobytes()
        if key not in kept:
            kept[key] = fit(features, *rest)
        return kept[key]

    monkeypatch.setattr(logistic, "fit", fit_once)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"map_norm": True},
        {"map_norm": True, "linear_root": True},
        {"linear_root": True, "linear_quarters": True},
    ],
    ids=str,
)
def test_the_network_starts_as_the_regression(monkeypatch, fitted_once, classes, changes):
    # Weaker penalties leave what separable clips are answered to the solver's tolerance.
    monkeypatch.setattr(logistic, "STRENGTHS", (0.01, 0.1))
    keras.utils.set_random_seed(1)
    model = build_stfnet(dataclasses.replace(MODEL, num_classes=classes, **changes))
    logits = keras.Model(model.input, model.get_layer("logits").output)
    clips = _clips(24, classes)
    groups = np.arange(24) // classes % 4
    moments, maps = linear_start.moments(model, 0, _batches(clips)), _maps(model, clips)
    looks = {"1 part": (1, False), "2 parts": (2, False)}
    if model.config.linear_quarters:
        looks["quarters"] = 1, True
    for levels, look in itertools.product([(5,), (4, 5)], looks):
        parts, quarters = looks[look]
        name = f"{'block 5' if levels == (5,) else 'blocks 4, 5'}, {look}"
        monkeypatch.setattr(logistic, "plainest", lambda fits, _, name=name: name)
        chosen, fitted = linear_start.fit(model, moments, groups)
        assert chosen == name
        assert fitted.strength in logistic.STRENGTHS
        assert 0.5 < fitted.accuracy <= 1
        root = model.config.linear_root
        strength = fitted.strength
        want = _regression(maps, clips["label"], strength, levels, parts, root, quarters)
        want = log_softmax(want / fitted.temperature, 1)
        # The normalisations' epsilons, and the tolerance of the fit.
        got = log_softmax(np.asarray(logits(_inputs(clips))), 1)
        np.testing.assert_allclose(got, want, atol=0.02 * np.ptp(want), err_msg=name)


def test_clips_that_fill_a_batch_and_classes_without_a_clip_are_left_out():
    keras.utils.set_random_seed(1)
    model = build_stfnet(dataclasses.replace(MODEL, num_classes=5))
    clips = _clips(24, 3)
    padded = {name: np.concatenate([v, v[:4]]) for name, v in clips.items()}
    padded["weight"][24:] = 0
    padded["label"][24:] = 4
    moments = linear_start.moments(model, 0, _batches(padded))
    np.testing.assert_array_equal(moments.videos, np.arange(24))
    linear_start.fit(model, moments, np.arange(24) // 3 % 4)
    kernel = np.asarray(model.get_layer("linear_logits").kernel)
    assert kernel[:, :3].any(0).all() and not kernel[:, 3:].any()
    assert set(np.asarray(model(_inputs(clips))).argmax(1)) == {0, 1, 2}


def test_a_single_class_leaves_the_path_at_zero():
    model = build_stfnet(MODEL)
    clips = _clips(8, 1)
    fitted = linear_start.fit(model, linear_start.moments(model, 0, _batches(clips)), np.arange(8))
    assert fitted is None
    assert not np.asarray(model.get_layer("linear_logits").kernel).any()


@pytest.mark.slow
def test_training_begins_at_the_regression_of_images_and_of_maps(tiny_records, tmp_path, capsys):
    config = run_config(MODEL, tiny_records, TRAINING)
    history = loop.train(config, tiny_records, tmp_path / "images").history
    lines = capsys.readouterr().out
    assert re.search(r"regression on 15 clips, blocks? (4, )?5, [12] parts?, C = ", lines)
    maps = loop.train(
        config, tiny_records, tmp_path / "maps", features_folder=tmp_path / "features"
    ).history
    # Right in all folds, the regression is sharpened, and with it the rounding to 16 bits.
    assert maps[-1]["val_loss"] == pytest.approx(history[-1]["val_loss"], rel=5e-2)
    network = keras.saving.load_model(tmp_path / "images" / run.BEST_FILE)
    assert np.asarray(network.get_layer("linear_logits").kernel).any()
    nothing = run_config(MODEL, tiny_records, TRAINING, linear_start=False)
    loop.train(nothing, tiny_records, tmp_path / "zero")
    network = keras.saving.load_model(tmp_path / "zero" / run.BEST_FILE)
    np.testing.assert_allclose(network.get_layer("linear_logits").kernel, 0, atol=1e-20)


def test_a_network_without_a_linear_path_is_refused(tiny_records):
    with pytest.raises(UserError, match=r"\(small_data\) has none: set linear_start=False"):
        run_config(dataclasses.replace(MODEL, linear_parts=0), tiny_records, TRAINING)


def test_a_fit_that_is_stopped_says_how_to_go_on(tiny_records):
    clips = _batches(_clips(8, 2))
    with pytest.raises(Preempted, match="the same command starts again"):
        linear_start.start(build_stfnet(MODEL), 0, clips, tiny_records, lambda: True)
    answers = iter([False, False, True])  # two batches, and among the regressions
    with pytest.raises(Preempted, match="the same command starts again"):
        linear_start.start(build_stfnet(MODEL), 0, clips, tiny_records, lambda: next(answers))
