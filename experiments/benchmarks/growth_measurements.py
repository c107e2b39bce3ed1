"""What `experiments.benchmark growth` measures of one size of data set."""

import dataclasses
import resource
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from experiments.benchmarks import films
from experiments.benchmarks.start_measurements import Parts
from preprocessing.datasets.catalogue import Catalogue, Video

SIZE, FRAMES, LEAST_GROUPS = 16, 4, 5
TIME_LIMIT = 300  # seconds of a worker without a frame


def tiny_catalogue(folder: Path, videos: int, classes: int) -> Catalogue:
    """Writes videos of `FRAMES` frames of `SIZE` x `SIZE` pixels, each unlike the others.

    The classes take turns, and the videos of a class are divided among `LEAST_GROUPS` groups.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = tuple(f"class{k:03d}" for k in range(classes))
    entries = []
    for k in range(videos):
        texture = rng.integers(0, 256, (5, 5, 3), np.uint8)
        frame = cv2.resize(texture, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        path = folder / f"v_{k:06d}.avi"
        frames = [np.roll(frame, shift, axis=1) for shift in range(FRAMES)]
        films.write_video(path, frames, films.MOTION_JPEG)
        label = k % classes
        group = f"{names[label]}/g{k // classes % LEAST_GROUPS}"
        entries.append(Video(path.stem, path, label, names[label], group, {}))
    return Catalogue("folder:tiny", names, tuple(entries))


def _peak_megabytes(who=resource.RUSAGE_SELF):
    return round(resource.getrusage(who).ru_maxrss / 1e3)


def preparation(begun: float, folder: Path, videos: int, classes: int) -> dict[str, float]:
    """Prepares a tiny catalogue with one worker, into `folder`/records.

    Returns:
        dict: `seconds`, of processor of the preparation (this process and its worker), `memory`
        and `worker_memory`, the largest resident MB of each.
    """
    from preprocessing.preparation import prepare
    from preprocessing.preparation.conversion import Settings
    from preprocessing.preparation.local import local_runner

    catalogue = tiny_catalogue(folder / "videos", videos, classes)

    def used():
        both = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    before = used()
    settings = Settings(image_size=SIZE, flow_quality="fast")
    prepare.prepare(catalogue, folder / "records", settings, local_runner(1, TIME_LIMIT))
    return {
        "seconds": round(used() - before, 2),
        "memory": _peak_megabytes(),
        "worker_memory": _peak_megabytes(resource.RUSAGE_CHILDREN),
    }


def use(begun: float, folder: Path) -> dict[str, Any]:
    """What follows on the records of `preparation`: the start of a training, evaluation, report.

    The network is the smallest there is, so that what remains is what grows with the data.

    Returns:
        dict: processor seconds of `metadata` (reading it), `start` (dividing the videos, finding
        them in the records, the plan of the first epoch and its first batch), `evaluation` (of the
        test part) and `report`; `constant`, those of imports and of the network; `memory`, the
        largest resident MB.
    """
    from experiments import program

    program.start_tensorflow()
    from preprocessing import records
    from stfnet import ClipConfig, ModelConfig, build_stfnet, run
    from stfnet.clips import input_pipeline, plans
    from stfnet.config import RunConfig, TrainingConfig
    from stfnet.evaluation import evaluate, report

    workdir = folder / "run"
    parts = Parts(begun)
    classes = records.read_record_set(folder / "records").classes
    clip = ClipConfig(num_frames=2, flow_length=2, image_size=SIZE)
    model = ModelConfig(
        len(classes), clip, width_divisor=64, fc6_units=4, lstm_units=4, fusion_init="identity_sum"
    )
    training = TrainingConfig(tau_range=(1, 1), batch_size=4, validation_fraction=0.2)
    config = RunConfig("folder:tiny", classes, model, training)
    network = build_stfnet(model)
    parts.end("constant")
    record_set = records.load_record_set(folder / "records")
    parts.end("metadata")
    videos = run.open_videos(workdir, config, record_set)
    located = run.locate(videos, record_set)
    plan = plans.plan_training(record_set, located.train, clip, training, 0, 0)
    next(iter(input_pipeline.clip_dataset(record_set, plan, clip, 4)))
    parts.end("start")
    with run.writing(workdir, config, videos):
        network.save(workdir / run.BEST_FILE)
    parts.end("saving")
    evaluate.evaluate_run(workdir, record_set)
    parts.end("evaluation")
    report.write_report(workdir, folder / "report", record_set, clips=2)
    parts.end("report")
    figures: dict[str, Any] = {name: row["processor"] for name, row in parts.figures.items()}
    del figures["saving"]
    return figures | {"memory": _peak_megabytes()}


def metadata(begun: float, folder: Path, videos: int) -> dict[str, float]:
    """Writes and reads the metadata of so many videos.

    Args:
        begun: not used.
        folder: of the records of `preparation`, whose videos are repeated under other names.
        videos: their number.

    Returns:
        dict: `megabytes` of the file, processor seconds to `write` and to `read` it, `memory`, the
        largest resident MB.
    """
    from preprocessing import records

    small = records.load_record_set(folder)
    repeated = tuple(
        dataclasses.replace(small.videos[k % len(small.videos)], id=f"v_{k:06d}")
        for k in range(videos)
    )
    large = folder.parent / "large"
    large.mkdir()
    times = [time.process_time()]
    records.write_record_set(dataclasses.replace(small, folder=large, videos=repeated))
    times.append(time.process_time())
    records.read_record_set(large)
    times.append(time.process_time())
    return {
        "megabytes": round((large / records.METADATA_FILE).stat().st_size / 1e6, 1),
        "write": round(times[1] - times[0], 2),
        "read": round(times[2] - times[1], 2),
        "memory": _peak_megabytes(),
    }
