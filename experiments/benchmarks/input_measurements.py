"""What `experiments.benchmark input` measures on a record set."""

import functools
import itertools
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from experiments.benchmarks import timing
from preprocessing import records
from preprocessing.records.example import places

BOUND = "decode_jpeg alone"
JPEG_QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)


def rendered_records(folder: Path, image_size: int) -> Path:
    """Prepares a few rendered actions and returns the folder of their records."""
    from preprocessing.datasets.synthetic import dataset
    from preprocessing.preparation import prepare
    from preprocessing.preparation.conversion import Settings
    from preprocessing.preparation.local import local_runner

    catalogue = dataset.write_dataset(folder / "videos", groups=1)
    prepare.prepare(
        catalogue,
        folder / "records",
        Settings(image_size=image_size, flow_quality="fast"),
        local_runner(workers=2, time_limit=300),
    )
    return folder / "records"


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


def _iterate(dataset):
    for _ in dataset:
        pass


def _seconds_in_turns(datasets, rounds, clock=time.perf_counter):
    """Seconds to iterate over each dataset, one a round, in rounds in which all take turns."""
    for dataset in datasets.values():
        _iterate(dataset)  # traces, and fills the page cache
    works = {name: functools.partial(_iterate, dataset) for name, dataset in datasets.items()}
    return timing.in_turns(works, rounds, clock)


def decoding(images: Sequence[Sequence[bytes]], grey_from: int):
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


def _training_plan(record_set, clip, num_clips, augmentation="none"):
    """The same clips for every augmentation."""
    from stfnet.clips import plans
    from stfnet.config import TrainingConfig

    positions = np.arange(len(record_set.videos))
    training = TrainingConfig(
        clips_per_video=-(-num_clips // len(positions)), augmentation=augmentation
    )
    plan = plans.plan_training(record_set, positions, clip, training, 0, 0)
    return plan[np.arange(num_clips)]


def measure_pipeline(record_set, clip, num_clips: int, rounds: int) -> dict[str, Any]:
    """Speed of the pipeline, with and without cache, and of decoding alone.

    Args:
        record_set: RecordSet of JPEGs.
        clip: ClipConfig of the records.
        num_clips: read in each timing.
        rounds: of timings.

    Returns:
        dict: `megabytes_a_clip`, and for each kind of reading a dict of `clips_per_second` and
        `share`, the median over the rounds of the speed relative to `BOUND`.
    """
    from preprocessing.records import reader
    from stfnet.clips import input_pipeline

    positions = np.arange(len(record_set.videos))
    plan = _training_plan(record_set, clip, num_clips)
    images = clip_images(record_set, plan)
    times = _seconds_in_turns(
        {
            BOUND: decoding(images, clip.num_frames),
            "pipeline": input_pipeline.clip_dataset(record_set, plan, clip, 1),
            "pipeline, batches of 8": input_pipeline.clip_dataset(record_set, plan, clip, 8),
            "pipeline, --cache=memory": input_pipeline.clip_dataset(
                record_set, plan, clip, 1, reader=reader.RecordReader(record_set, positions)
            ),
        },
        rounds,
    )
    megabytes = sum(map(len, itertools.chain(*images))) / len(images) / 1e6
    figures: dict[str, Any] = {"megabytes_a_clip": round(megabytes, 3)}
    for name, seconds in times.items():
        ratios = [bound / ours for bound, ours in zip(times[BOUND], seconds, strict=True)]
        figures[name] = {
            "clips_per_second": round(num_clips / statistics.median(seconds), 2),
            "share": round(statistics.median(ratios), 3),
        }
    return figures


def measure_augmentation(
    record_set, clip, num_clips: int, rounds: int
) -> dict[str, dict[str, float]]:
    """What each augmentation costs the processor, in batches of 8, and what the step's part costs.

    Args:
        record_set: RecordSet.
        clip: ClipConfig of the records.
        num_clips: read in each timing; a multiple of 8.
        rounds: of timings.

    Returns:
        dict: for each value of `training.augmentation` a dict of `input_ms`, milliseconds of
        processor time a clip in the input pipeline, `ratio`, the median over the rounds of that to
        the same without augmentation, `clips_per_second_a_core`, and `step_ms`, milliseconds a
        clip of what the training step does before its network: wall time of a GPU, where there is
        one, else processor time.
    """
    import tensorflow as tf

    from stfnet.clips import input_pipeline

    kinds = ("none", "flip", "crop", "flip_crop")
    datasets = {
        kind: input_pipeline.clip_dataset(
            record_set, _training_plan(record_set, clip, num_clips, kind), clip, 8
        )
        for kind in kinds
    }
    times = _seconds_in_turns(datasets, rounds, time.process_time)
    clock = time.perf_counter if tf.config.list_physical_devices("GPU") else time.process_time
    prepare = tf.function(input_pipeline.network_inputs)
    batches = {kind: next(iter(dataset)) for kind, dataset in datasets.items()}

    def compute(batch):
        prepare(batch)["flow"][0, 0, 0, 0, 0].numpy()  # waits for a GPU

    works = {kind: functools.partial(compute, batch) for kind, batch in batches.items()}
    timing.in_turns(works, 1)  # compiles
    steps = timing.in_turns(works, rounds, clock)
    figures = {}
    for kind in kinds:
        milliseconds = 1e3 * statistics.median(times[kind]) / num_clips
        figures[kind] = {
            "input_ms": round(milliseconds, 2),
            "ratio": round(timing.median_ratio(times, kind, "none"), 3),
            "clips_per_second_a_core": round(1e3 / milliseconds, 1),
            "step_ms": round(1e3 * statistics.median(steps[kind]) / 8, 2),
        }
    return figures


def measure_threads(record_set, clip, num_clips: int, rounds: int) -> dict[str, float]:
    """Reading clips with two threads against one.

    Returns:
        dict: `speed`, clips a second of two threads to those of one (2 at best, on two idle cores),
        and `processor`, the processor time of a clip with two threads to that with one (1 at best);
        medians over the rounds.
    """
    from preprocessing.records import reader

    records_reader = reader.RecordReader(record_set)
    plan = _training_plan(record_set, clip, num_clips)
    parts = [plan[np.arange(k, k + 4)] for k in range(0, num_clips, 4)]

    def read(threads):
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda p: records_reader.clips(p.video, p.frames, p.flow), parts):
                pass

    works = {str(threads): functools.partial(read, threads) for threads in (1, 2)}
    read(2)  # checks the records
    wall = timing.in_turns(works, rounds)
    processor = timing.in_turns(works, rounds, time.process_time)
    return {
        "speed": round(timing.median_ratio(wall, "1", "2"), 3),
        "processor": round(timing.median_ratio(processor, "2", "1"), 3),
    }


def layouts(planes: np.ndarray) -> dict[str, list[bytes]]:
    """Stored layouts of L consecutive fields: name -> list of JPEGs.

    Args:
        planes: uint8 (L, 2, H, W), encoded flow fields.
    """

    def jpeg(image, *more):
        return cv2.imencode(".jpg", image, (*JPEG_QUALITY, *more))[1].tobytes()

    full_chroma = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    height, width = planes.shape[2:]
    zero = np.full((height, width), 128, np.uint8)
    return {
        "x above y, a gray JPEG a field": [jpeg(field.reshape(-1, width)) for field in planes],
        "x and y apart, two gray JPEGs a field": [jpeg(p) for field in planes for p in field],
        "x and y as colours of a JPEG a field": [
            jpeg(np.dstack([x, y, zero]), *full_chroma) for x, y in planes
        ],
        "L fields in one gray JPEG": [jpeg(planes.reshape(-1, width))],
    }


def measure_layouts(record_set, flow_length: int, rounds: int) -> dict[str, dict[str, int]]:
    """Bytes a field and fields decoded a second of each layout of flow that was considered.

    The fields are the middle ones of at most eight videos; videos of fewer than `flow_length`
    fields are left out.
    """
    stored: dict[str, list[list[bytes]]] = {}
    for position in range(min(8, len(record_set.videos))):
        images = records.read_video(record_set, record_set.videos[position])["flow"]
        middle = len(images) // 2
        fields = [records.decode_field(image) for image in images[middle : middle + flow_length]]
        if len(fields) < flow_length:
            continue
        for name, jpegs in layouts(np.array(fields)).items():  # l xy h w
            stored.setdefault(name, []).append(jpegs)
    times = _seconds_in_turns(
        {
            name: decoding(rows * 4, 0 if "gray" in name else len(rows[0]))
            for name, rows in stored.items()
        },
        rounds,
    )
    figures = {}
    for name, rows in stored.items():
        count = len(rows) * flow_length
        figures[name] = {
            "bytes_a_field": round(sum(map(len, itertools.chain(*rows))) / count),
            "fields_per_second": round(4 * count / statistics.median(times[name])),
        }
    return figures


def measure_step(
    record_set, clip, width_divisor: int, batch_size: int, steps: int, rounds: int
) -> dict[str, float]:
    """A training step on records and on a constant batch, in turns.

    Args:
        record_set: RecordSet.
        clip: ClipConfig of the records.
        width_divisor: of the network.
        batch_size: clips a step.
        steps: in each timing.
        rounds: of timings.

    Returns:
        dict: `width_divisor`, `batch_size`, `constant_seconds` and `records_seconds` (medians of a
        step), `ratio` of the second to the first.
    """
    import tensorflow as tf

    from stfnet import ModelConfig
    from stfnet.clips import input_pipeline, plans
    from stfnet.config import RunConfig, TrainingConfig
    from stfnet.training import stages
    from stfnet.training.schedule import make_optimizer
    from stfnet.training.steps import DistributedSteps

    model_config = ModelConfig(
        len(record_set.classes),
        clip,
        width_divisor=width_divisor,
        fc6_units=4096 // width_divisor,
    )
    clips = -(-batch_size * (steps * rounds + 1) // len(record_set.videos))
    training = TrainingConfig(batch_size=batch_size, clips_per_video=clips)
    model = stages.make_model(
        RunConfig(record_set.name, record_set.classes, model_config, training)
    )
    step = DistributedSteps(
        model, make_optimizer(training, 1e-5), training, tf.distribute.get_strategy()
    )
    positions = np.arange(len(record_set.videos))
    plan = plans.plan_training(record_set, positions, clip, training, 0, 0)
    batches = iter(input_pipeline.clip_dataset(record_set, plan, clip, batch_size))
    constant = next(batches)
    float(step.train(constant)["loss"])  # compiles

    def train(source):
        for batch in itertools.islice(source, steps):
            float(step.train(batch)["loss"])

    times = timing.in_turns(
        {
            "constant": lambda: train(itertools.repeat(constant)),
            "records": lambda: train(batches),
        },
        rounds,
    )
    medians = {name: statistics.median(seconds) / steps for name, seconds in times.items()}
    return {
        "width_divisor": width_divisor,
        "batch_size": batch_size,
        **{f"{name}_seconds": round(value, 4) for name, value in medians.items()},
        "ratio": round(medians["records"] / medians["constant"], 4),
    }
