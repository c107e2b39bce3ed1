"""The linear model, by hand: keras.applications' maps, and scikit-learn's parts one by one."""

import dataclasses
import json
import types

import numpy as np
import pytest
from helpers import run_config
from sklearn.linear_model import LogisticRegression

from preprocessing.errors import UserError
from stfnet import ClipConfig, build_stfnet, run
from stfnet.evaluation import evaluate as evaluation
from stfnet.evaluation import linear_model
from stfnet.frame_features import stream_maps
from stfnet.networks import SmallDataConfig
from stfnet.weights import load_vgg16_weights

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


@pytest.fixture(scope="module")
def trained(make_run, tiny_records):
    """A run's folder with a network of random weights."""
    return make_run(record_set=tiny_records)


def _features(record_set, positions, vgg16_maps):
    """Stream -> (V, 1280): frames 0, t, 2t with t = N // 3, three layers, averaged."""
    rows = {"rgb": [], "flow": []}
    for k in positions:
        interval = record_set.videos[k].num_frames // 3
        frames = [0, interval, 2 * interval]
        maps = [vgg16_maps(record_set, k, frames, name) for name in linear_model.LAYERS]
        for name, row in rows.items():
            row.append(np.concatenate([one[name].mean((0, 1, 2)) for one in maps]))
    return {name: np.stack(row) for name, row in rows.items()}


def _by_hand(strength, x, labels, tested, test_labels):
    """Top-1 of a regression with a given penalty, which test_logistic.py holds."""
    mean, deviation = x.mean(0), x.std(0)
    deviation[deviation < 1e-12] = 1  # what never varies
    model = LogisticRegression(C=strength, max_iter=2000)
    model.fit((x - mean) / deviation, labels)
    return np.mean(model.predict((tested - mean) / deviation) == test_labels)


@pytest.mark.slow
def test_the_figures_are_those_computed_by_hand(trained, tiny_records, notop, vgg16_maps):
    done = evaluation.evaluate_run(trained, tiny_records, linear=True, linear_weights=str(notop))
    assert json.loads(done.paths.results.read_text()) == done.results
    figures = done.results["linear_model"]
    videos = run.read_videos(trained)
    position_of = {video.id: k for k, video in enumerate(tiny_records.videos)}
    known = [position_of[name] for name in (*videos.train, *videos.val)]
    tested = [position_of[name] for name in videos.test]
    assert figures["num_train"] == len(known) == 18
    config = run.read_config(trained)
    x, y = (
        linear_model.clip_features(tiny_records, part, config, notop) for part in (known, tested)
    )
    for name, want in _features(tiny_records, known, vgg16_maps).items():
        np.testing.assert_allclose(x[name], want, rtol=1e-3, atol=1e-4 * want.max())
    labels, test_labels = (
        np.array([tiny_records.videos[k].label for k in part]) for part in (known, tested)
    )
    groups = np.array([tiny_records.videos[k].group for k in known])
    strength = figures["flow"]["C"]
    top1 = _by_hand(strength, x["flow"].astype(float), labels, y["flow"], test_labels)
    assert figures["flow"]["top1"] == pytest.approx(top1)
    # Squares move left, right or not at all: of frames, which say nothing, rounding chooses C.
    for name, streams in (("rgb", ["rgb"]), ("both", ["rgb", "flow"])):
        fx, fy = (np.concatenate([z[stream] for stream in streams], 1) for z in (x, y))
        predicted, strength = linear_model.choose_and_predict(fx, labels, groups, fy)
        wrong = [tiny_records.videos[k].id for k in np.array(tested)[predicted != test_labels]]
        assert (figures[name]["C"], figures[name]["wrong"]) == (strength, wrong), name
        assert figures[name]["ahead"] == pytest.approx(done.results["top1"] - figures[name]["top1"])
    assert figures["flow"]["top1"] > 1 / 3
    line = linear_model.summary(figures)[0]
    assert f"frames {figures['rgb']['top1']:.3f} (C = {figures['rgb']['C']:g})   flow" in line


def test_the_network_is_ahead_by_the_difference_over_whole_groups():
    videos = [types.SimpleNamespace(id=name, group=name[0]) for name in ("a1", "a2", "b1", "c1")]
    of = {"top1": 0.25, "C": 1.0, "wrong": ["a1", "a2", "b1"]}
    same = {"top1": 1.0, "C": 1.0, "wrong": []}
    right = np.array([True, True, True, False])
    figures = linear_model.network_ahead({"rgb": of, "flow": same, "both": same}, videos, right)
    # Groups a +2, b +1, c -1: 4 of the 8 signs give a sum of 2 or more, or of -2 or less.
    assert figures["rgb"]["ahead"] == pytest.approx(0.5) and figures["rgb"]["p"] == 0.75
    assert figures["rgb"]["interval"] == pytest.approx([-1, 1])
    assert figures["flow"]["ahead"] == pytest.approx(-0.25)
    lines = linear_model.summary(figures)
    assert "frames +0.500 (-1.000 to +1.000, p = 0.75)" in lines[1]


def test_it_reads_the_maps_that_a_run_kept(grid_records, notop, tmp_path):
    clip = dataclasses.replace(CLIP, num_frames=2, flow_length=2)
    model = SmallDataConfig(3, clip, lstm_units=4, fc6_units=8, map_levels=linear_model.LEVELS)
    config = run_config(
        model,
        grid_records,
        weights=str(notop),
        temporal_conv1="cross_modality",
        frozen_blocks=(5, 5),
        frame_grid=3,
    )
    positions = [0, 4, 8]
    network = build_stfnet(model)
    load_vgg16_weights(network, notop, "cross_modality")
    kept = stream_maps.Features(tmp_path, network, grid_records, config, 5)  # as training does
    assert kept.compute(range(9))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    features = [
        linear_model.clip_features(grid_records, positions, config, notop, folder)
        for folder in (None, tmp_path)
    ]
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    for name in ("rgb", "flow"):
        want = features[0][name]
        assert want.shape == (3, 1280) and np.ptp(want, 0).max() > 0.1
        np.testing.assert_allclose(features[1][name], want, rtol=2e-3, atol=1e-3 * want.max())


@pytest.mark.parametrize(
    ("training", "parts"),
    [
        ({"validation_fraction": 0.2}, ("train", "val")),
        ({"validation_fraction": 0.0}, ("train",)),  # validated on its test part
        ({"validation_fraction": 0.0, "validation_fold": "1/3"}, ("train", "val")),
        ({"validation_fraction": 0.2, "keep": "last"}, ("train",)),  # nothing was chosen on it
        (
            {"validation_fraction": 0.2, "keep": "last", "train_on_validation": True},
            ("train", "val"),
        ),
    ],
)
def test_it_learns_from_what_the_network_had(tiny_records, trained, training, parts):
    config = run.read_config(trained)
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **training))
    videos = run.draw_videos(tiny_records, config)
    known = linear_model.known_videos(config, run.locate(videos, tiny_records))
    expected = {name for part in parts for name in getattr(videos, part)}
    assert {tiny_records.videos[k].id for k in known} == expected
    assert not expected & set(videos.test)


def test_a_single_class_is_the_answer():
    x, labels = np.zeros((3, 2)), np.array([1, 1, 1])
    predicted, _ = linear_model.choose_and_predict(x, labels, labels, x)
    assert predicted.tolist() == [1, 1, 1]


@pytest.mark.parametrize("weights", ["", "run/best.keras"])
def test_a_run_without_vgg16_needs_the_flag(trained, notop, weights):
    config = run.read_config(trained)
    training = dataclasses.replace(config.training, weights=weights)
    config = dataclasses.replace(
        config, training=training, model=dataclasses.replace(config.model, width_divisor=1)
    )
    with pytest.raises(UserError, match=r"did not start from them .*give --baseline_weights="):
        linear_model.weights_for(config, None)
    assert linear_model.weights_for(config, str(notop)) == notop
    started = dataclasses.replace(
        config, training=dataclasses.replace(training, weights=str(notop))
    )
    assert linear_model.weights_for(started, None) == notop
    gone = dataclasses.replace(config, training=dataclasses.replace(training, weights="gone.h5"))
    with pytest.raises(UserError, match=r"gone\.h5 is missing: give --baseline_weights="):
        linear_model.weights_for(gone, None)


def test_what_the_linear_model_learned_is_no_test(trained, tiny_records, notop):
    with pytest.raises(UserError, match="--baselines learn from the videos of --split=val"):
        evaluation.evaluate_run(
            trained, tiny_records, "val", linear=True, linear_weights=str(notop)
        )
