"""The input pipeline on this machine, beside what decoding its JPEGs alone would take.

    python -m experiments.benchmark input [--records=RECORDS] [--output=JSON]

Six questions in one run, on the records named or on rendered actions prepared for the purpose:

pipeline   clips a second of the training pipeline, and of `tf.io.decode_jpeg` over the very same
           bytes, held in memory, on the same cores: the bound. The ratio is the median of the
           rounds' ratios, since a shared machine changes its speed within a run.
cache      the same with the records held in memory.
augment    what each augmentation costs: milliseconds of processor time a clip in the pipeline,
           and the clips a second that one core feeds; the milliseconds a clip that the training
           step spends on crops and stacks before its network.
threads    reading with two threads against one.
layout     the stored layouts of flow that were considered: bytes a field, and fields decoded a
           second.
step       a training step on records against one on a constant batch, in turns.
"""

import tempfile
from pathlib import Path

from absl import flags

from experiments import program
from experiments.benchmarks import figures, input_measurements
from preprocessing.errors import UserError

FLAGS = flags.FLAGS
# What is aimed at.
LEAST_SHARE, LARGEST_STEP, LARGEST_AUGMENTATION = 0.9, 1.03, 1.25


def define_flags():
    """Defines the flags of `experiments.benchmark input`."""
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
    flags.DEFINE_string("output", None, "JSON file for the figures.")


def main(_):
    figures.check_output()
    if FLAGS.records:
        program.refuse_without_effect(["image_size"], "with --records")
    if not FLAGS.width_divisor:
        program.refuse_without_effect(["batch_size", "steps"], "with --width_divisor=0")
    elif 64 % FLAGS.width_divisor:
        raise UserError(f"--width_divisor={FLAGS.width_divisor} does not divide 64")
    if FLAGS.clips % 8:
        raise UserError(f"--clips={FLAGS.clips} is not a multiple of 8")
    program.start_tensorflow()
    from preprocessing import records
    from stfnet import ClipConfig

    with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as folder:
        record_set = records.load_record_set(
            FLAGS.records or input_measurements.rendered_records(Path(folder), FLAGS.image_size)
        )
        stored = {name: record_set.clip[name] for name in ("flow_length", "image_size")}
        clip = ClipConfig(FLAGS.num_frames, **stored)
        pipeline = input_measurements.measure_pipeline(record_set, clip, FLAGS.clips, FLAGS.rounds)
        frames = program.counted(clip.num_frames, "frame")
        print(f"{frames}, {clip.image_size} x {clip.image_size}, a clip of")
        print(f"{pipeline['megabytes_a_clip']} MB\n")
        for name, row in list(pipeline.items())[1:]:
            print(f"{name:40} {row['clips_per_second']:9.2f} clips/s   {row['share']:.3f}")
        print(f"(target: {LEAST_SHARE} of decode_jpeg alone)\n", flush=True)
        augmentation = input_measurements.measure_augmentation(
            record_set, clip, FLAGS.clips, FLAGS.rounds
        )
        for name, row in augmentation.items():
            print(
                f"augmentation {name:27} {row['input_ms']:9.2f} ms of processor a clip, "
                f"{row['ratio']:.3f} of none; {row['clips_per_second_a_core']} clips/s a core; "
                f"{row['step_ms']} ms a clip in the step"
            )
        print(f"(target: at most {LARGEST_AUGMENTATION} of none)\n")
        threads = input_measurements.measure_threads(record_set, clip, FLAGS.clips, FLAGS.rounds)
        print(
            f"two threads to one: {threads['speed']} times the clips/s, {threads['processor']} "
            "times the processor time\n",
            flush=True,
        )
        layout = input_measurements.measure_layouts(record_set, clip.flow_length, FLAGS.rounds)
        for name, row in layout.items():
            print(
                f"{name:40} {row['bytes_a_field']:7} bytes/field "
                f"{row['fields_per_second']:7} fields/s"
            )
        measured = {
            "clip": dict(record_set.clip),
            "pipeline": pipeline,
            "augmentation": augmentation,
            "threads": threads,
            "layout": layout,
        }
        if FLAGS.width_divisor:
            measured["step"] = step = input_measurements.measure_step(
                record_set, clip, FLAGS.width_divisor, FLAGS.batch_size, FLAGS.steps, FLAGS.rounds
            )
            print(
                f"\nstep of the network with channels / {FLAGS.width_divisor}: "
                f"{step['records_seconds']} s on records, "
                f"{step['constant_seconds']} s on a constant batch: "
                f"{step['ratio']} (target: at most {LARGEST_STEP})"
            )
    figures.write_output(measured)


if __name__ == "__main__":
    define_flags()
    program.run(main)
