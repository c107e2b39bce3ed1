"""What `experiments.benchmark growth` measures of one size of data set."""

import contextlib
import resource
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from experiments.benchmarks import films
from experiments.benchmarks.start_measurements import Parts
from preprocessing.datasets.catalogue import Catalogue, Video

SIZE, FRAMES, LEAST_GROUPS, WORKERS = 16, 4, 5, 4
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


def _used() -> float:
    """Processor seconds of this process and of those that it has seen end."""
    both = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def preparation(begun: float, folder: Path, videos: int, classes: int) -> dict[str, float]:
    """Prepares a tiny catalogue into `folder`/records, stops before the end, goes on, changes it.

    Returns:
        dict: processor seconds of `prepare` (until all but one video are done), `resume` (to the
        end; one video fails), `repaired` (the same command once that video is whole), `added` (one
        video more), `again` (nothing to do) and `verify`, and `preparation_memory`, the largest
        resident MB of this process and of a worker.
    """
    from preprocessing import records
    from preprocessing.datasets.catalogue import Catalogue
    from preprocessing.preparation import prepare
    from preprocessing.preparation.conversion import Settings
    from preprocessing.preparation.local import local_runner
    from preprocessing.records import verification

    catalogue = tiny_catalogue(folder / "videos", videos, classes)
    broken, added = catalogue.videos[1].path, catalogue.videos[-1]
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    fewer = Catalogue(catalogue.name, catalogue.classes, catalogue.videos[:-1])
    run = local_runner(WORKERS, TIME_LIMIT)

    def stopped(preparation, shards):
        for count, result in enumerate(run(preparation, shards), 2):
            yield result
            if count == len(fewer.videos):
                raise KeyboardInterrupt

    def prepared(catalogue, run):
        settings = Settings(image_size=SIZE)
        return prepare.prepare(catalogue, folder / "records", settings, run)

    seconds = {}

    @contextlib.contextmanager
    def timed(name):
        before = _used()
        with contextlib.suppress(KeyboardInterrupt):
            yield
        seconds[name] = round(_used() - before, 2)

    with timed("prepare"):
        prepared(fewer, stopped)
    with timed("resume"):
        assert len(prepared(fewer, run).failures) == 1
    broken.write_bytes(whole)
    with timed("repaired"):
        assert prepared(fewer, run).converted == 1
    assert added.path.is_file()
    with timed("added"):
        assert prepared(catalogue, run).converted == 1
    with timed("again"):
        assert prepared(catalogue, run).converted == 0
    with timed("verify"):
        assert not verification.verify(records.read_record_set(folder / "records"), WORKERS)
    memory = max(_peak_megabytes(), _peak_megabytes(resource.RUSAGE_CHILDREN))
    return seconds | {"preparation_memory": memory}


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
    from stfnet.evaluation import evaluate
    from stfnet.report import report

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
