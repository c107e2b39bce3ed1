"""How long the prediction of one video takes, the counterpart of the paper's 770 ms.

The paper predicts from flow that was made beforehand; so does `with_flow_stored`, from a record.
`with_flow_computed` starts from the stored frames and solves TV-L1 for the flow fields of the clip.
"""

import contextlib
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from preprocessing import files, records, worker_pool
from preprocessing.errors import UserError
from preprocessing.records.reader import RecordReader
from preprocessing.video import grayscale
from stfnet import run, sampling
from stfnet.clips import input_pipeline, plans
from stfnet.config import RecordsConfig
from stfnet.evaluation import result_files
from stfnet.inference.clip import encoded_field, stack
from stfnet.inference.prediction import load_run, predict_clip
from stfnet.run.config import RunConfig

REPEATS = 5  # videos that are timed, of which the median is given


def time_run(
    workdir: Path, record_set: records.RecordSet, output: Path | None = None
) -> tuple[dict[str, Any], Path]:
    """Times the best network of a run on its test videos and writes `timing.json`, in its folder or
    in `output`.

    Returns the figures of `measure`, and the path of the file.

    Raises:
        UserError: the run has no network, the records have none of its test videos, or as
            `measure`.
    """
    path = result_files.folder_for(workdir, output) / result_files.TIMING_FILE
    model, config = load_run(workdir)
    figures = measure(model, record_set, config, _test_positions(workdir, record_set))
    files.write_json(path, figures)
    return figures, path


def _test_positions(workdir: Path, record_set: records.RecordSet) -> np.ndarray:
    positions = run.locate(run.read_videos(workdir), record_set).test
    if not len(positions):
        raise UserError(f"{record_set.folder} has no video of the test part of the run {workdir}")
    return positions


def measure(
    model: keras.Model,
    record_set: records.RecordSet,
    config: RunConfig,
    positions: np.ndarray,
    repeats: int = REPEATS,
) -> dict[str, Any]:
    """Times the prediction of several videos, one at a time.

    `repeats` of the videos at `positions` (V,) are taken at even distances, some twice where there
    are fewer. Returns JSON values: `with_flow_stored` and `with_flow_computed`, median seconds a
    video, the latter None where the network reads no flow or the records have a grid; `videos`, how
    many were timed; `image_size`, `num_frames` and `flow_length` of a clip, and the `device`.

    Raises:
        UserError: the records do not fit the run, or a record is damaged.
    """
    plans.check_records(record_set, config)
    clip = config.model.clip
    predictions = {"with_flow_stored": _prediction(model, record_set, config, stored_clip)}
    # Records with a grid lack the frames that the flow is between.
    if config.model.streams != "rgb" and not record_set.clip["frame_grid"]:
        predictions["with_flow_computed"] = _prediction(model, record_set, config, computed_clip)
    return {
        "with_flow_computed": None,
        **_medians(predictions, _spread(positions, repeats)),
        "videos": repeats,
        "image_size": clip.image_size,
        "num_frames": clip.num_frames,
        "flow_length": clip.flow_length,
        "device": device(),
    }


def time_in_turns(
    workdirs: Mapping[str, Path], record_set: records.RecordSet, path: Path
) -> dict[str, Any]:
    """Times the best networks of several runs against each other, from records, and writes it as
    JSON.

    In each of `REPEATS` rounds every network predicts the same video, one network after the other,
    so that what else the machine does falls on all of them. All networks are in memory together.
    All runs have the test videos of the first. Where the file has these networks, all timed in one
    run, it is read instead. Returns `seconds`, name -> median seconds a video, the flow made
    beforehand; `networks`, name -> SHA-256; `rounds`; the `device`.

    Raises:
        UserError: as `time_run`.
    """
    networks = {name: run.network_sha256(workdir) for name, workdir in workdirs.items()}
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError):  # not there, or damaged
        found = json.loads(path.read_text())
        if networks.items() <= found["networks"].items():
            return found
    predictions = {}
    for name, workdir in workdirs.items():
        model, config = load_run(workdir)
        plans.check_records(record_set, config)
        predictions[name] = _prediction(model, record_set, config, stored_clip)
    videos = _spread(_test_positions(next(iter(workdirs.values())), record_set), REPEATS)
    figures = {
        "seconds": _medians(predictions, videos),
        "networks": networks,
        "rounds": REPEATS,
        "device": device(),
    }
    files.write_json(path, figures)
    return figures


def _spread(positions: np.ndarray, count: int) -> list[int]:
    return positions[np.linspace(0, len(positions) - 1, count).round().astype(int)].tolist()


def _prediction(
    model: keras.Model, record_set: records.RecordSet, config: RunConfig, clip_of: Callable
) -> Callable[[int], object]:
    def predict(video: int) -> object:
        inputs = clip_of(record_set, config, video)
        return predict_clip(model, {name: inputs[name] for name in config.model.input_channels})

    return predict


def _medians(
    predictions: Mapping[str, Callable[[int], object]], videos: Sequence[int]
) -> dict[str, float]:
    """Median seconds of each prediction; with each video all of them take their turn."""
    for predict in predictions.values():
        predict(videos[0])  # compiles
    seconds: dict[str, list[float]] = {name: [] for name in predictions}
    for video in videos:
        for name, predict in predictions.items():
            begun = time.perf_counter()
            predict(video)
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(of_one) for name, of_one in seconds.items()}


def stored_clip(
    record_set: records.RecordSet, config: RunConfig, position: int
) -> dict[str, np.ndarray]:
    """The test clip of a video from its record: `rgb` uint8 (T, H, W, 3) and `flow` uint8 (T, H, W,
    2L).
    """
    plan = plans.plan_evaluation(record_set, np.array([position]), config.model.clip, 1)
    rgb, fields = RecordReader(record_set).clips(plan.video, plan.frames, plan.flow)
    inputs = input_pipeline.network_inputs({"rgb": rgb, "fields": fields})
    return {name: np.asarray(value)[0] for name, value in inputs.items()}


def stored_test_clips(
    workdir: Path, record_set: records.RecordSet, config: RunConfig, count: int
) -> dict[str, np.ndarray]:
    """Clips of a run's test videos from their records, at even distances; fewer where there are
    fewer.

    Returns what the network reads: `rgb` uint8 (N, T, H, W, 3), `flow` uint8 (N, T, H, W, 2L).

    Raises:
        UserError: the records do not fit the run, or have none of its test videos.
    """
    plans.check_records(record_set, config)
    positions = _test_positions(workdir, record_set)
    chosen = positions[np.unique(np.linspace(0, len(positions) - 1, count).round().astype(int))]
    clips = [stored_clip(record_set, config, position) for position in chosen.tolist()]
    return {name: np.stack([clip[name] for clip in clips]) for name in config.model.input_channels}


def computed_clip(
    record_set: records.RecordSet, config: RunConfig, position: int
) -> dict[str, np.ndarray]:
    """As `stored_clip`, with the flow fields of the clip solved from the stored frames."""
    clip, video = config.model.clip, record_set.videos[position]
    numbers = sampling.test_indices(video.num_frames, clip.num_frames, clip.short_video)
    stacks = sampling.flow_indices(numbers, video.num_frames, clip.flow_length)
    wanted = set(stacks.ravel().tolist())
    images = records.read_video(record_set, video)["frames"]
    frames = {
        number: records.decode_frame(images[number])
        for number in sorted({*numbers.tolist(), *wanted, *(number + 1 for number in wanted)})
    }
    quality, stored = record_set.flow["quality"], RecordsConfig.of(record_set)
    grey = {number: grayscale(frame) for number, frame in frames.items()}
    fields = {
        k: encoded_field((grey[k], grey[k + 1]), clip.flow_bound, quality, stored)
        for k in sorted(wanted)
    }
    return {
        "rgb": np.stack([frames[number] for number in numbers.tolist()]),
        "flow": np.stack([stack([fields[k] for k in row]) for row in stacks.tolist()]),
    }


def device() -> str:
    """The device that the network runs on, such as a GPU's name, or the processor's."""
    for gpu in tf.config.list_physical_devices("GPU"):
        return str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name))
    return f"processor, {_processor()}"


def _processor() -> str:
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            name = next(
                (line.partition(":")[2].strip() for line in file if line.startswith("model name")),
                name,
            )
    except OSError:
        pass
    return f"{name}, {worker_pool.cores()} cores"
