"""The input pipeline on this machine, beside what decoding its JPEGs alone would take.

    python -m benchmarks input [--records=RECORDS]

Four tables, on the records named or on rendered actions prepared for the purpose:

reading       clips a second of the training pipeline, and of `tf.io.decode_jpeg` over the very same
              bytes, held in memory, on the same cores: the bound.
augmentation  milliseconds of processor time a clip in the pipeline, and the clips a second that one
              core feeds; the milliseconds a clip that the training step spends on crops and stacks
              before its network (wall time of a GPU, where there is one, else processor time).
threads       reading with two threads against one: at best 2 times the clips a second.
step          a training step on records against one on a constant batch.

In each all kinds take turns; a ratio is the median of the rounds' ratios.
"""

import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from absl import flags

from benchmarks import measured_tables, timing
from experiments import program
from preprocessing import records
from preprocessing.errors import UserError
from preprocessing.records.example import places

FLAGS = flags.FLAGS
BOUND = "decode_jpeg alone"
AUGMENTATIONS = ("none", "flip", "crop", "flip_crop")


def define_flags():
    flags.DEFINE_string("records", None, "Record set; without, rendered actions are prepared.")
    flags.DEFINE_integer("num_frames", 17, "T of a clip.", lower_bound=1)
    flags.DEFINE_integer("image_size", 224, "Pixels of the rendered set.", lower_bound=16)
    flags.DEFINE_integer("clips", 64, "Clips read in each timing, a multiple of 8.", lower_bound=8)
    flags.DEFINE_integer("rounds", 9, "Rounds, in which all timings take turns.", lower_bound=1)
    flags.DEFINE_integer(
        "width_divisor", 1, "Of the network whose step is timed; 0: no step.", lower_bound=0
    )
    flags.DEFINE_integer("batch_size", 1, "Clips a training step.", lower_bound=1)
    flags.DEFINE_integer("steps", 2, "Training steps in each timing.", lower_bound=1)


def measure() -> Iterator[tuple[str, measured_tables.Row]]:
    if FLAGS.records:
        program.refuse_without_effect(["image_size"], "with --records")
    if not FLAGS.width_divisor:
        program.refuse_without_effect(["batch_size", "steps"], "with --width_divisor=0")
    elif 64 % FLAGS.width_divisor:
        raise UserError(f"--width_divisor={FLAGS.width_divisor} does not divide 64")
    if FLAGS.clips % 8:
        raise UserError(f"--clips={FLAGS.clips} is not a multiple of 8")
    program.start_tensorflow()
    from stfnet import ClipConfig

    with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as folder:
        record_set = records.load_record_set(FLAGS.records or _rendered_records(Path(folder)))
        stored = {name: record_set.clip[name] for name in ("flow_length", "image_size")}
        clip = ClipConfig(FLAGS.num_frames, **stored)
        measures = {
            f"reading {clip.num_frames} frames, {clip.image_size} x {clip.image_size}": _reading,
            "augmentation": _augmentation,
            "two threads, to one": _threads,
            "step": _step,
        }
        for caption, rows_of in measures.items():
            if rows_of is not _step or FLAGS.width_divisor:
                for row in rows_of(record_set, clip):
                    yield caption, row


def _rendered_records(folder: Path) -> Path:
    """Prepares a few rendered actions and returns the folder of their records."""
    from preprocessing.datasets.synthetic import dataset
    from preprocessing.preparation import prepare
    from preprocessing.preparation.conversion import Settings
    from preprocessing.preparation.local import local_runner

    catalogue = dataset.write_dataset(folder / "videos", groups=1)
    settings = Settings(image_size=FLAGS.image_size, flow_quality="fast")
    runner = local_runner(workers=2, time_limit=300)
    prepare.prepare(catalogue, folder / "records", settings, runner)
    return folder / "records"


def _training_plan(record_set, clip, augmentation="none"):
    """--clips clips, the same for every augmentation."""
    from stfnet.clips import plans
    from stfnet.config import TrainingConfig

    positions = np.arange(len(record_set.videos))
    each = -(-FLAGS.clips // len(positions))
    training = TrainingConfig(clips_per_video=each, augmentation=augmentation)
    plan = plans.plan_training(record_set, positions, clip, training, 0, 0)
    return plan[np.arange(FLAGS.clips)]


def _iterate(dataset):
    for _ in dataset:
        pass


def _in_turns(datasets: Mapping[str, object], clock=time.perf_counter) -> dict[str, list[float]]:
    """Seconds to iterate over each dataset, one a round."""
    works = {name: functools.partial(_iterate, dataset) for name, dataset in datasets.items()}
    timing.in_turns(works, 1)  # traces, and fills the page cache
    return timing.in_turns(works, FLAGS.rounds, clock)


def clip_images(record_set, plan) -> list[list[bytes]]:
    """The JPEGs of each clip of a plan: T frames, then T x L fields."""
    clips = []
    for position, frame_indices, flow_indices in zip(
        plan.video, plan.frames, plan.flow, strict=True
    ):
        example = records.read_video(record_set, record_set.videos[position])
        frame_places = places(example["frame_numbers"], frame_indices)
        field_places = places(example["field_numbers"], flow_indices.ravel())
        frames = [example["frames"][k] for k in frame_places]
        fields = [example["flow"][k] for k in field_places]
        clips.append([bytes(image) for image in (*frames, *fields)])
    return clips


def _decoding(images: Sequence[Sequence[bytes]], grey_from: int):
    """tf.data.Dataset that does nothing but decode each row of JPEGs, grey from a column on."""
    import tensorflow as tf

    columns = len(images[0])

    def decode(row):
        for k in range(columns):
            channels = 1 if k >= grey_from else 3
            image = tf.io.decode_jpeg(row[k], channels=channels, dct_method="INTEGER_ACCURATE")
            yield image[0, 0, 0]

    dataset = tf.data.Dataset.from_tensor_slices(tf.constant(images))
    return dataset.map(
        lambda row: tf.stack(list(decode(row))), num_parallel_calls=tf.data.AUTOTUNE
    ).prefetch(tf.data.AUTOTUNE)


def _reading(record_set, clip) -> Iterator[measured_tables.Row]:
    """Speed of the pipeline, with and without cache, and of decoding alone."""
    from preprocessing.records import reader
    from stfnet.clips.input_pipeline import clip_dataset

    plan = _training_plan(record_set, clip)
    images = clip_images(record_set, plan)
    in_memory = reader.RecordReader(record_set, np.arange(len(record_set.videos)))
    datasets = {
        BOUND: _decoding(images, clip.num_frames),
        "pipeline": clip_dataset(record_set, plan, clip, 1),
        "pipeline, batches of 8": clip_dataset(record_set, plan, clip, 8),
        "pipeline, train --cache=memory": clip_dataset(record_set, plan, clip, 1, reader=in_memory),
    }
    times = _in_turns(datasets)
    for name, seconds in times.items():
        yield {
            "reading": name,
            "clips/s": FLAGS.clips / statistics.median(seconds),
            "to decoding alone": timing.median_ratio(times, BOUND, name),
            "target": "at least 0.9" if name == "pipeline" else None,
            "MB a clip": sum(map(len, itertools.chain(*images))) / len(images) / 1e6,
        }


def _augmentation(record_set, clip) -> Iterator[measured_tables.Row]:
    """What each augmentation costs the processor, in batches of 8, and the training step."""
    import tensorflow as tf

    from stfnet.clips import input_pipeline

    datasets = {
        kind: input_pipeline.clip_dataset(
            record_set, _training_plan(record_set, clip, kind), clip, 8
        )
        for kind in AUGMENTATIONS
    }
    times = _in_turns(datasets, time.process_time)
    clock = time.perf_counter if tf.config.list_physical_devices("GPU") else time.process_time
    prepare = tf.function(input_pipeline.network_inputs)

    def compute(batch):
        prepare(batch)["flow"][0, 0, 0, 0, 0].numpy()  # waits for a GPU

    works = {
        kind: functools.partial(compute, next(iter(dataset))) for kind, dataset in datasets.items()
    }
    timing.in_turns(works, 1)  # compiles
    steps = timing.in_turns(works, FLAGS.rounds, clock)
    for kind in AUGMENTATIONS:
        milliseconds = 1e3 * statistics.median(times[kind]) / FLAGS.clips
        yield {
            "augmentation": kind,
            "ms of processor a clip": milliseconds,
            "to none": timing.median_ratio(times, kind, "none"),
            "target": "at most 1.25",
            "clips/s a core": 1e3 / milliseconds,
            "ms a clip in the step": 1e3 * statistics.median(steps[kind]) / 8,
        }


def _threads(record_set, clip) -> Iterator[measured_tables.Row]:
    """Reading clips with two threads against one."""
    from preprocessing.records import reader

    records_reader = reader.RecordReader(record_set)
    plan = _training_plan(record_set, clip)
    parts = [plan[np.arange(k, k + 4)] for k in range(0, FLAGS.clips, 4)]

    def read(threads):
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda p: records_reader.clips(p.video, p.frames, p.flow), parts):
                pass

    works = {str(threads): functools.partial(read, threads) for threads in (1, 2)}
    read(2)  # checks the records
    wall = timing.in_turns(works, FLAGS.rounds)
    processor = timing.in_turns(works, FLAGS.rounds, time.process_time)
    yield {
        "clips/s": timing.median_ratio(wall, "1", "2"),
        "processor time": timing.median_ratio(processor, "2", "1"),
    }


def _step(record_set, clip) -> Iterator[measured_tables.Row]:
    """A training step on records and on a constant batch."""
    import tensorflow as tf

    from stfnet import ModelConfig
    from stfnet.clips import input_pipeline, plans
    from stfnet.config import TrainingConfig
    from stfnet.run.config import RunConfig
    from stfnet.training import stages

    divisor, size, steps = FLAGS.width_divisor, FLAGS.batch_size, FLAGS.steps
    classes = record_set.classes
    model_config = ModelConfig(len(classes), clip, width_divisor=divisor, fc6_units=4096 // divisor)
    clips = -(-size * (steps * FLAGS.rounds + 1) // len(record_set.videos))
    training = TrainingConfig(batch_size=size, clips_per_video=clips)
    model = stages.make_model(RunConfig(record_set.name, classes, model_config, training))
    step = stages.start(0, training, model, tf.distribute.get_strategy())
    positions = np.arange(len(record_set.videos))
    plan = plans.plan_training(record_set, positions, clip, training, 0, 0)
    batches = iter(input_pipeline.clip_dataset(record_set, plan, clip, size))
    constant = next(batches)
    float(step.train(constant)["loss"])  # compiles

    def train(source):
        for batch in itertools.islice(source, steps):
            float(step.train(batch)["loss"])

    works = {
        "constant": lambda: train(itertools.repeat(constant)),
        "records": lambda: train(batches),
    }
    times = timing.in_turns(works, FLAGS.rounds)
    yield {
        "channels / ": divisor,
        "clips": size,
        "constant batch, s": statistics.median(times["constant"]) / steps,
        "records, s": statistics.median(times["records"]) / steps,
        "records, to constant": timing.median_ratio(times, "records", "constant"),
        "target": "at most 1.03",
    }
