"""Choosing streams by cross-validation: what is compared, what is chosen, what is refused."""

import dataclasses
import os
import re
import signal

import keras
import numpy as np
import pytest
from helpers import run_config

from preprocessing.errors import UserError
from stfnet import ClipConfig, logistic, run
from stfnet.clips import input_pipeline, plans
from stfnet.config import TrainingConfig
from stfnet.networks import SmallDataConfig
from stfnet.training import selection, stages
from stfnet.training.preemption import Preempted

MODEL = SmallDataConfig(
    3,
    ClipConfig(num_frames=3, flow_length=2, image_size=32),
    width_divisor=16,
    fc6_units=8,
    lstm_units=8,
    stream_dropout=0.2,
)
TRAINING = TrainingConfig((1e-3,), (1,), frozen_blocks=(5,), batch_size=4, tau_range=(1, 3))


def _features(config, record_set):
    """Stream -> (V, C) means, or roots, of its maps over the test clips; labels; groups."""
    located = run.locate(run.draw_videos(record_set, config), record_set)
    model = stages.make_model(config)
    plan = plans.plan_evaluation(record_set, located.train, MODEL.clip, len(located.train))
    (batch,) = input_pipeline.clip_dataset(record_set, plan, MODEL.clip, len(plan))
    inputs = input_pipeline.network_inputs(batch)
    maps = keras.Model(model.input, {s: model.get_layer(f"{s}_stream").output for s in model.input})
    of = maps.predict_on_batch({name: np.asarray(value) for name, value in inputs.items()})
    videos = [record_set.videos[k] for k in located.train]
    groups = np.array([video.group for video in videos])
    labels = np.array([video.label for video in videos])
    means = {name: value.mean((2, 3)) for name, value in of.items()}
    if config.model.linear_root:
        means = {name: np.sqrt(value + 1e-3) for name, value in means.items()}
    return {name: value.mean(1) for name, value in means.items()}, labels, groups


@pytest.mark.parametrize(("on_maps", "root"), [(False, False), (True, False), (False, True)])
def test_the_streams_are_chosen_that_a_regression_on_their_maps_prefers(
    tiny_records, tmp_path, capsys, on_maps, root
):
    config = run_config(MODEL, tiny_records, TRAINING)
    if root:
        model = dataclasses.replace(MODEL, linear_parts=1, linear_root=True, stream_dropout=0.0)
        config = dataclasses.replace(config, model=model)
    maps = tmp_path / "maps" if on_maps else None
    chosen = selection.choose_streams(config, tiny_records, tmp_path / "run", maps).model
    line = capsys.readouterr().out.splitlines()[-1]
    of, labels, groups = _features(config, tiny_records)
    together = np.concatenate([of["rgb"], of["flow"]], axis=1)
    candidates = {"both": together, "flow": of["flow"], "rgb": of["rgb"]}
    fits = {name: logistic.fit(x, labels, groups) for name, x in candidates.items()}
    assert chosen.streams == logistic.plainest(fits, groups)
    assert chosen.stream_dropout == (0.2 if chosen.streams == "both" and not root else 0.0)
    assert line.startswith(f"chosen: model.streams={chosen.streams} (right in cross-validation")
    figures = {name: float(x) for name, x in re.findall(r"(both|flow|rgb) (\d\.\d+)", line)}
    assert set(figures) == {"both", "flow", "rgb"}
    # Squares move left, right or not at all, which frames do not show.
    assert figures["flow"] > figures["rgb"]
    for name, one in fits.items():
        assert figures[name] == pytest.approx(
            one.accuracy, abs=0.07
        )  # one video of 15, by rounding
    assert not on_maps or len(list(maps.iterdir())) == 2


def test_a_run_that_began_keeps_its_streams(tiny_records, tmp_path, capsys):
    config = run_config(MODEL, tiny_records, TRAINING)
    begun = dataclasses.replace(
        config, model=dataclasses.replace(MODEL, streams="rgb", stream_dropout=0.0)
    )
    with run.writing(tmp_path, begun, run.draw_videos(tiny_records, begun)):
        pass
    assert selection.choose_streams(config, tiny_records, tmp_path) == begun
    assert capsys.readouterr().out == ""


def test_several_workers_and_streams_that_are_trained_are_refused(tiny_records):
    selection.check(run_config(MODEL, tiny_records, TRAINING), 1)
    with pytest.raises(UserError, match="works in one process, and there are 2 workers"):
        selection.check(run_config(MODEL, tiny_records, TRAINING), 2)
    with pytest.raises(UserError, match=r"frozen_blocks=\(3,\) trains them: give --config\.model"):
        selection.check(run_config(MODEL, tiny_records, TRAINING, frozen_blocks=(3,)), 1)


@pytest.mark.parametrize("on_maps", [False, True])
def test_a_signal_stops_it(tiny_records, tmp_path, monkeypatch, on_maps):
    make_model = stages.make_model

    def interrupted(config):
        os.kill(os.getpid(), signal.SIGTERM)
        return make_model(config)

    monkeypatch.setattr(stages, "make_model", interrupted)
    maps = tmp_path / "maps" if on_maps else None
    with pytest.raises(Preempted, match="the same command") as stop:
        selection.choose_streams(
            run_config(MODEL, tiny_records, TRAINING), tiny_records, tmp_path / "run", maps
        )
    assert stop.value.status == 128 + signal.SIGTERM
    assert not (tmp_path / "run").exists()
    assert not list(tmp_path.rglob("*.npy"))
