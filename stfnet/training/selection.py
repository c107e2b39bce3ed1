"""Choosing the streams of a run by cross-validation over the videos that it learns from."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from preprocessing.errors import UserError
from preprocessing.records import RecordSet
from stfnet import logistic, networks, run
from stfnet.clips import plans
from stfnet.config import WHOLE_STREAM, to_dict
from stfnet.frame_features import stream_maps
from stfnet.networks.small_data import root_of_means
from stfnet.run.config import RunConfig
from stfnet.training import linear_start, stages
from stfnet.training.preemption import Preempted, StopSignals


def check(config: RunConfig, workers: int) -> None:
    """Checks that streams can be chosen.

    Raises:
        UserError: several workers train together, or the streams change while they are trained.
    """
    if workers > 1:
        raise UserError(
            f"model.streams=auto works in one process, and there are {workers} workers: choose the "
            "streams in one process first, and give them here"
        )
    if config.training.unchanged_blocks(0) != WHOLE_STREAM:
        raise UserError(
            "model.streams=auto compares the streams as they are at the start, and "
            f"training.frozen_blocks={config.training.frozen_blocks} trains them: give "
            "--config.model.streams=both, rgb or flow"
        )


def choose_streams(
    config: RunConfig,
    record_set: RecordSet,
    workdir: Path,
    features_folder: Path | None = None,
) -> RunConfig:
    """Fits a regression to both streams and to each alone, takes what recognises more, and says so.

    The regressions are those of `linear_start`, on the means of the streams' maps over the test
    clips of the videos to learn from; the folds are whole groups, and the test videos have no say.
    A stream is left out where both together are shown to be worse (`logistic.plainest`). A run that
    began before keeps its streams.

    Raises:
        Preempted: SIGTERM or Ctrl-C came.
        UserError: as training.
    """
    if (Path(workdir) / run.CONFIG_FILE).exists():
        return _with_streams(config, run.read_config(workdir).model.streams)
    with StopSignals() as signals:

        def must_stop():
            return signals.received

        of, edges = _moments(config, record_set, workdir, features_folder, must_stop)
        if len(np.unique(of.labels)) == 1:
            return config
        read = root_of_means(np, of.means) if config.model.linear_root else of.means
        means = read.mean(1)
        groups = np.array([record_set.videos[k].group for k in of.videos])
        rgb, flow = np.split(means, edges, axis=1)
        fits = {
            name: logistic.fit(features, of.labels, groups)
            for name, features in linear_start.until(
                must_stop, {"both": means, "flow": flow, "rgb": rgb}.items()
            )
        }
    chosen = logistic.plainest(fits, groups)
    shown = ", ".join(
        f"{name} {one.accuracy:.3f}" for name, one in fits.items() if one.accuracy is not None
    )
    print(f"chosen: model.streams={chosen} (right in cross-validation over groups: {shown})")
    keras.backend.clear_session()
    return _with_streams(config, chosen)


def _moments(config, record_set, workdir, features_folder, must_stop):
    """`linear_start.moments` of the videos to learn from, and where the streams' channels end."""
    located = run.locate(run.open_videos(workdir, config, record_set), record_set)
    learned = located.learned(config.training.train_on_validation)
    model, size = stages.make_model(config), config.training.batch_size
    plan = plans.plan_evaluation(
        record_set, learned, config.model.clip, size, 1, config.training.frame_grid
    )
    maps = None
    if features_folder:
        maps = stream_maps.Features(features_folder, model, record_set, config, WHOLE_STREAM)
        if not maps.compute(learned, must_stop):
            raise Preempted("stopped among the maps; the same command goes on with them")
    block = maps.block if maps else 0
    with stream_maps.reading(record_set, plan, config, size, maps) as batches:
        of = linear_start.moments(model, block, linear_start.until(must_stop, batches))
    widths = [model.get_layer(f"{name}_stream").output.shape[-1] for name in model.input]
    return of, np.cumsum(widths)[:-1]


def _with_streams(config: RunConfig, streams: str) -> RunConfig:
    changes: dict[str, Any] = {"streams": streams}
    if streams != "both" and config.model.stream_dropout:
        changes["stream_dropout"] = 0.0
    return dataclasses.replace(config, model=networks.read(to_dict(config.model) | changes))
