"""How time and memory grow with the number of videos and of classes.

    python -m benchmarks growth [--videos=10,1000,10000,300000] [--classes=2,101,700]

Tiny videos (4 frames of 16 x 16 pixels) and the smallest network: what remains is what grows with
the data. Times are of the processor. The columns, in milliseconds a video:

prepare     all videos but one, then the preparation is stopped
resume      the same command, to the end; one video is broken and fails
repaired    the same command once that video is whole
added       the same command with one video more
again       the same command with nothing to do
verify      experiments.prepare --verify
metadata    reading the metadata of the set
start       dividing the videos, finding them in the records, the first plan and batch
evaluation  of the test part
report      of the run

A column that stays flat has nothing that grows faster than the data. The last four are measured on
at most 10,000 videos. The numbers of videos are measured with 2 classes, the numbers of classes
with --class_videos.
"""

import contextlib
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from benchmarks import films, measured_tables
from benchmarks.timing import in_new_process
from preprocessing.datasets.catalogue import Catalogue, Video

FLAGS = flags.FLAGS
PREPARING = ("prepare", "resume", "repaired", "added", "again", "verify")
USING = ("metadata", "start", "evaluation", "report")
MOST_USED = 10_000  # videos of a row that is evaluated
SIZE, FRAMES, LEAST_GROUPS, WORKERS = 16, 4, 5, 4
TIME_LIMIT = 300  # seconds of a worker without a frame


def define_flags():
    flags.DEFINE_list(
        "videos", ["10", "100", "1000", "10000", "100000", "300000"], "Numbers of videos."
    )
    flags.DEFINE_list("classes", ["2", "101", "700"], "Numbers of classes.")
    flags.DEFINE_integer("class_videos", 3500, "Videos of the rows of classes.", lower_bound=10)


def measure() -> Iterator[tuple[str, measured_tables.Row]]:
    sizes = [(videos, 2) for videos in measured_tables.numbers("videos", 2)]
    sizes += [(FLAGS.class_videos, classes) for classes in measured_tables.numbers("classes", 2)]
    for videos, classes in sizes:
        with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as temporary:
            folder = Path(temporary)
            seconds, memory = in_new_process(preparation, folder, videos, classes)
            small = videos <= MOST_USED
            used, memory_used = in_new_process(use, folder) if small else ({}, None)
        row: measured_tables.Row = {"videos": videos, "classes": classes}
        for name in (*PREPARING, *USING):
            value = (seconds | used).get(name)
            row[name] = None if value is None else 1e3 * value / videos
        yield (
            "milliseconds of processor a video",
            row | {"MB, preparation": memory, "MB, the rest": memory_used},
        )


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


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Notes the processor seconds of the block, its children's too, which Ctrl-C may end."""

    def used():
        both = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in both)

    before = used()
    with contextlib.suppress(KeyboardInterrupt):
        yield
    seconds[name] = used() - before


def preparation(folder: Path, videos: int, classes: int) -> tuple[dict[str, float], int]:
    """Prepares a tiny catalogue into `folder`/records, stops before the end, goes on, changes it.

    Returns:
        (processor seconds of each of `PREPARING`, largest resident MB of a process).
    """
    from preprocessing import records
    from preprocessing.preparation import prepare
    from preprocessing.preparation.conversion import Settings
    from preprocessing.preparation.local import local_runner
    from preprocessing.records import verification

    catalogue = tiny_catalogue(folder / "videos", videos, classes)
    broken = catalogue.videos[1].path
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

    seconds: dict[str, float] = {}
    with _timed(seconds, "prepare"):
        prepared(fewer, stopped)
    with _timed(seconds, "resume"):
        assert len(prepared(fewer, run).failures) == 1
    broken.write_bytes(whole)
    with _timed(seconds, "repaired"):
        assert prepared(fewer, run).converted == 1
    with _timed(seconds, "added"):
        assert prepared(catalogue, run).converted == 1
    with _timed(seconds, "again"):
        assert prepared(catalogue, run).converted == 0
    with _timed(seconds, "verify"):
        assert not verification.verify(records.read_record_set(folder / "records"), WORKERS)
    return seconds, max(_peak_megabytes(), _peak_megabytes(resource.RUSAGE_CHILDREN))


def use(folder: Path) -> tuple[dict[str, float], int]:
    """What follows on the records of `preparation`, with the smallest network that there is.

    Returns:
        (processor seconds of each of `USING`, largest resident MB).
    """
    from experiments import program

    program.start_tensorflow()
    from preprocessing import records
    from stfnet import ClipConfig, ModelConfig, build_stfnet, run
    from stfnet.clips import input_pipeline, plans
    from stfnet.config import TrainingConfig
    from stfnet.evaluation import evaluate
    from stfnet.report import report
    from stfnet.run.config import RunConfig

    workdir = folder / "run"
    classes = records.read_record_set(folder / "records").classes
    clip = ClipConfig(num_frames=2, flow_length=2, image_size=SIZE)
    model = ModelConfig(
        len(classes), clip, width_divisor=64, fc6_units=4, lstm_units=4, fusion_init="identity_sum"
    )
    training = TrainingConfig(tau_range=(1, 1), batch_size=4, validation_fraction=0.2)
    config = RunConfig("folder:tiny", classes, model, training)
    network = build_stfnet(model)
    seconds: dict[str, float] = {}
    with _timed(seconds, "metadata"):
        record_set = records.load_record_set(folder / "records")
    with _timed(seconds, "start"):
        videos = run.open_videos(workdir, config, record_set)
        located = run.locate(videos, record_set)
        plan = plans.plan_training(record_set, located.train, clip, training, 0, 0)
        next(iter(input_pipeline.clip_dataset(record_set, plan, clip, 4)))
    with run.writing(workdir, config, videos):
        network.save(workdir / run.BEST_FILE)
    with _timed(seconds, "evaluation"):
        evaluate.evaluate_run(workdir, record_set)
    with _timed(seconds, "report"):
        report.write_report(workdir, folder / "report", record_set, clips=2)
    return seconds, _peak_megabytes()
