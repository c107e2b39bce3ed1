"""The input pipeline on this machine, beside what decoding its JPEGs alone would take.

    python -m experiments.benchmark input [--records=RECORDS] [--output=JSON]

Four questions in one run, on the records named or on rendered actions prepared for the purpose:

pipeline   clips a second of the training pipeline, and of `tf.io.decode_jpeg` over the very same
           bytes, held in memory, on the same cores: the bound. The share is the median of the
           rounds' shares, since a shared machine changes its speed within a run.
cache      the same with the records held in memory.
layout     the stored layouts of flow that were weighed: bytes a field, and fields decoded a second.
step       a training step on records against one on a constant batch, in turns.
"""

import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from experiments import program
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
BOUND = "decode_jpeg alone"
LEAST_SHARE, LARGEST_STEP = 0.9, 1.03
QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)


def define_flags():
    """Defines the flags of `experiments.benchmark input`."""
    flags.DEFINE_string("records", None, "Record set; without, rendered actions are prepared.")
    flags.DEFINE_integer("num_frames", 17, "T of the rendered set.", lower_bound=1)
    flags.DEFINE_integer("image_size", 224, "Pixels of the rendered set.", lower_bound=16)
    flags.DEFINE_integer("clips", 64, "Clips read in each timing.", lower_bound=8)
    flags.DEFINE_integer("rounds", 9, "Rounds, in which all timings take turns.", lower_bound=1)
    flags.DEFINE_integer(
        "width_divisor", 1, "Of the network whose step is timed; 0: no step.", lower_bound=0
    )
    flags.DEFINE_integer("batch_size", 1, "Clips a training step.", lower_bound=1)
    flags.DEFINE_integer("steps", 2, "Training steps in each timing.", lower_bound=1)
    flags.DEFINE_string("output", None, "JSON file for the figures.")


def rendered_records(folder):
    """Prepares a few rendered actions and returns the folder of their records."""
    from preprocessing.datasets.synthetic import dataset as synthetic
    from preprocessing.preparation import prepare
    from preprocessing.preparation.conversion import Settings

    catalogue = synthetic.write_dataset(folder / "videos", groups=1)
    prepare.prepare(
        catalogue,
        folder / "records",
        Settings(image_size=FLAGS.image_size, flow_quality="fast"),
        {"num_frames": FLAGS.num_frames, "flow_length": 4},
        prepare.local_runner(workers=2, time_limit=300),
    )
    return folder / "records"


def clip_bytes(record_set, plan):
    """The JPEGs of each clip of a plan: lists of T frames and T x L fields."""
    from preprocessing import records

    found = []
    for position, frames, flow in zip(plan.video, plan.frames, plan.flow, strict=True):
        video = record_set.videos[position]
        path = record_set.shard_paths[video.shard]
        example = records.read_record(path, video.offset, video.length)
        found.append(
            [example["frames"][k] for k in frames] + [example["flow"][k] for k in flow.ravel()]
        )
    return found


def _seconds_of(dataset):
    """Seconds to run through a dataset."""
    begun = time.perf_counter()
    for _ in dataset:
        pass
    return time.perf_counter() - begun


def _seconds_in_turns(datasets):
    """Seconds to run through each dataset, one a round, in rounds in which all take turns."""
    for dataset in datasets.values():
        _seconds_of(dataset)  # traces, and fills the page cache
    found = {name: [] for name in datasets}
    for _, (name, dataset) in itertools.product(range(FLAGS.rounds), datasets.items()):
        found[name].append(_seconds_of(dataset))
    return found


def decoding(images, gray_from):
    """Dataset that does nothing but decode each row of JPEGs, gray from a column on."""
    import tensorflow as tf

    columns = len(images[0])

    def decode(row):
        for k in range(columns):
            channels = 1 if k >= gray_from else 3
            image = tf.io.decode_jpeg(row[k], channels=channels, dct_method="INTEGER_ACCURATE")
            yield image[0, 0, 0]

    dataset = tf.data.Dataset.from_tensor_slices(tf.constant(images))
    return dataset.map(
        lambda row: tf.stack(list(decode(row))), num_parallel_calls=tf.data.AUTOTUNE
    ).prefetch(tf.data.AUTOTUNE)


def measure_pipeline(record_set, clip):
    """Clips a second of the pipeline, with and without cache, and of decoding alone."""
    from preprocessing.records import reader
    from stfnet import input_pipeline, plans
    from stfnet.config import TrainingConfig

    positions = np.arange(len(record_set.videos))
    settings = TrainingConfig(clips_per_video=-(-FLAGS.clips // len(positions)))
    plan = plans.plan_training(record_set, positions, clip, settings, 0, 0)
    plan = plan[np.arange(FLAGS.clips)]
    images = clip_bytes(record_set, plan)
    datasets = {
        BOUND: decoding(images, clip.num_frames),
        "pipeline": input_pipeline.clip_dataset(record_set, plan, clip, 1),
        "pipeline, batches of 8": input_pipeline.clip_dataset(record_set, plan, clip, 8),
        "pipeline, --cache=memory": input_pipeline.clip_dataset(
            record_set, plan, clip, 1, reader=reader.RecordReader(record_set, positions)
        ),
    }
    rounds = _seconds_in_turns(datasets)
    megabytes = sum(map(len, itertools.chain(*images))) / len(images) / 1e6
    table = {"megabytes_a_clip": round(megabytes, 3)}
    for name, seconds in rounds.items():
        shares = [bound / ours for bound, ours in zip(rounds[BOUND], seconds, strict=True)]
        table[name] = {
            "clips_per_second": round(FLAGS.clips / statistics.median(seconds), 2),
            "share": round(statistics.median(shares), 3),
        }
    return table


def layouts(planes):
    """Stored layouts of L consecutive fields: name -> list of JPEGs.

    Args:
        planes: uint8 (L, 2, H, W), encoded flow fields.
    """

    def jpeg(image, *more):
        return cv2.imencode(".jpg", image, (*QUALITY, *more))[1].tobytes()

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


def measure_layouts(record_set, flow_length):
    """Bytes a field, fields decoded a second and error in levels of each stored layout."""
    from preprocessing import records

    fields = []
    for video in record_set.videos[:8]:
        path = record_set.shard_paths[video.shard]
        flow = records.read_record(path, video.offset, video.length)["flow"]
        middle = len(flow) // 2
        fields.append(
            [
                cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_GRAYSCALE)
                for image in flow[middle : middle + flow_length]
            ]
        )
    size = fields[0][0].shape[1]
    stacks = np.array([f for f in fields if len(f) == flow_length])
    stacks = stacks.reshape(len(stacks), flow_length, 2, size, size)
    stored = {}
    for stack in stacks:
        for name, images in layouts(stack).items():
            stored.setdefault(name, []).append(images)
    table, count = {}, stacks.shape[0] * flow_length
    datasets = {
        name: decoding(rows * 4, 0 if "gray" in name else len(rows[0]))
        for name, rows in stored.items()
    }
    rounds = _seconds_in_turns(datasets)
    for name, rows in stored.items():
        table[name] = {
            "bytes_a_field": round(sum(map(len, itertools.chain(*rows))) / count),
            "fields_per_second": round(4 * count / statistics.median(rounds[name])),
        }
    return table


def measure_step(record_set, clip):
    """Seconds of training steps on records and on a constant batch, in turns."""
    import tensorflow as tf

    from stfnet import ModelConfig, input_pipeline, plans
    from stfnet.config import RunConfig, TrainingConfig
    from stfnet.training import loop
    from stfnet.training.schedule import make_optimizer
    from stfnet.training.steps import DistributedSteps

    divisor, size, steps = FLAGS.width_divisor, FLAGS.batch_size, FLAGS.steps
    rounds = FLAGS.rounds
    model_config = ModelConfig(
        len(record_set.classes), clip, width_divisor=divisor, fc6_units=4096 // divisor
    )
    clips = -(-size * (steps * rounds + 1) // len(record_set.videos))
    settings = TrainingConfig(batch_size=size, clips_per_video=clips)
    config = RunConfig(record_set.name, record_set.classes, model_config, settings)
    model = loop.make_model(config)
    step = DistributedSteps(
        model, make_optimizer(settings, 1e-5), settings, tf.distribute.get_strategy()
    )
    positions = np.arange(len(record_set.videos))
    plan = plans.plan_training(record_set, positions, clip, settings, 0, 0)
    batches = iter(input_pipeline.clip_dataset(record_set, plan, clip, size))
    constant = next(batches)
    float(step.train(constant)["loss"])

    def timed(source):
        begun = time.perf_counter()
        for batch in itertools.islice(source, steps):
            float(step.train(batch)["loss"])
        return (time.perf_counter() - begun) / steps

    found = {"constant": [], "records": []}
    for _ in range(rounds):
        found["constant"].append(timed(itertools.repeat(constant)))
        found["records"].append(timed(batches))
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    return {
        "width_divisor": divisor,
        "batch_size": size,
        **{f"{name}_seconds": round(value, 4) for name, value in medians.items()},
        "ratio": round(medians["records"] / medians["constant"], 4),
    }


def main(_):
    if FLAGS.output:
        program.output_file("output")
    if FLAGS.records:
        program.refuse_without_effect(["num_frames", "image_size"], "with --records")
    if not FLAGS.width_divisor:
        program.refuse_without_effect(["batch_size", "steps"], "with --width_divisor=0")
    elif 64 % FLAGS.width_divisor:
        raise UserError(f"--width_divisor={FLAGS.width_divisor} does not divide 64")
    program.start_tensorflow()
    from preprocessing import records
    from stfnet import ClipConfig

    with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as folder:
        record_set = records.load_record_set(FLAGS.records or rendered_records(Path(folder)))
        clip = ClipConfig(
            **{name: record_set.clip[name] for name in ("num_frames", "flow_length", "image_size")}
        )
        figures = {"clip": dict(record_set.clip), "pipeline": measure_pipeline(record_set, clip)}
        print(f"{clip.num_frames} frames, {clip.image_size} x {clip.image_size}, a clip of")
        print(f"{figures['pipeline']['megabytes_a_clip']} MB\n")
        for name, found in list(figures["pipeline"].items())[1:]:
            print(f"{name:40} {found['clips_per_second']:9.2f} clips/s   {found['share']:.3f}")
        print(f"(target: {LEAST_SHARE} of decode_jpeg alone)\n", flush=True)
        figures["layout"] = measure_layouts(record_set, clip.flow_length)
        for name, found in figures["layout"].items():
            print(
                f"{name:40} {found['bytes_a_field']:7} bytes/field "
                f"{found['fields_per_second']:7} fields/s"
            )
        if FLAGS.width_divisor:
            figures["step"] = measure_step(record_set, clip)
            print(
                f"\nstep of the network with channels / {FLAGS.width_divisor}: "
                f"{figures['step']['records_seconds']} s on records, "
                f"{figures['step']['constant_seconds']} s on a constant batch: "
                f"{figures['step']['ratio']} (target: at most {LARGEST_STEP})"
            )
    if FLAGS.output:
        Path(FLAGS.output).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    define_flags()
    program.run(main)
