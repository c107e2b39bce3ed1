"""Preparation on this machine, against a bare OpenCV loop over the same pairs of frames.

    python -m experiments.benchmark preparation [--video=FILE] [--workers=W] [--output=JSON]

The bare loop holds the frames decoded and does nothing but TV-L1, on one core. Its time divided by
the cores that the workers can use is what preparation is measured against: 1.00 would mean that
decoding, resizing, encoding and writing cost nothing. The ending of a preparation (joining the
shards and describing them to TensorFlow Datasets) takes seconds once, however large the set, and
is reported separately. Bare loops on all cores at once show what the cores lose to each other.
Processor time a pair is compared as well: unlike wall time, it hardly changes when other programs
want the cores.

The memory is the peak of a worker's resident set over its life, on a 1080p video, at half and at
all of its frames. A short one is stored losslessly, so that the buffers for images are filled too.
"""

import os
from pathlib import Path

from absl import flags

from experiments import program
from experiments.benchmarks import figures, films, preparation_measurements

FLAGS = flags.FLAGS

TARGET_RATIO, TARGET_MEGABYTES, TARGET_SPEEDUP, TARGET_AGREEMENT = 1.1, 500, 2.0, 0.99


def define_flags():
    """Defines the flags of `experiments.benchmark preparation`."""
    flags.DEFINE_integer("pairs", 64, "Pairs of frames.", lower_bound=8)
    flags.DEFINE_integer("size", 224, "Side of the stored frames, in pixels.", lower_bound=16)
    flags.DEFINE_integer("workers", None, "Processes (default: one for each core).", 1, 1024)
    flags.DEFINE_string(
        "video", None, "Video to measure on, played again as needed; else textures."
    )
    flags.DEFINE_integer(
        "memory_frames", 400, "Frames of the 1080p video (30 minutes have 54,000).", lower_bound=4
    )
    flags.DEFINE_string("output", None, "JSON file for the figures.")


def table(measured):
    """The figures as lines of a Markdown table."""
    pairs, workers = measured["pairs"], measured["workers"]
    rows = [
        ("bare OpenCV TV-L1 loop, one core", _rate(pairs, measured["bare_seconds"]), ""),
        (
            f"bare loops on {program.counted(min(workers, measured['cores']), 'core')} at once",
            _rate(pairs, measured["bare_together_seconds"]),
            "",
        ),
        (
            f"preparation, {program.counted(workers, 'worker')}, `--flow_quality=reference`",
            _rate(pairs, measured["reference_seconds"])
            + f"; {measured['ratio']:.2f} x bare loop / {min(workers, measured['cores'])}",
            f"at most {TARGET_RATIO}",
        ),
        ("the same", f"{measured['together_ratio']:.2f} x bare loops at once", ""),
        ("its processor time", f"{measured['processor_ratio']:.2f} x bare loop", ""),
        ("its ending, once", f"{measured['reference_ending_seconds']:.1f} s", ""),
        (
            f"preparation, {program.counted(workers, 'worker')}",
            _rate(pairs, measured["fast_seconds"]),
            "",
        ),
        (
            "fast flow, one core",
            f"{measured['fast_speedup']:.1f} x the reference",
            f"at least {TARGET_SPEEDUP:g}",
        ),
        (
            "fast flow within one level of the reference",
            f"{100 * measured['fast_agreement']:.2f} % "
            f"({100 * measured['moving_pixels']:.0f} % of the pixels move)",
            f"at least {100 * TARGET_AGREEMENT:g} %",
        ),
        (
            "the reference itself, a frame brighter by a millionth",
            f"{100 * measured['self_agreement']:.2f} %",
            "",
        ),
    ]
    rows += [
        (
            f"peak memory of a worker, 1080p, {count:,} frames",
            f"{size:.0f} MB",
            f"below {TARGET_MEGABYTES} MB",
        )
        for count, size in measured["megabytes"]
    ]
    lines = [
        f"{program.counted(pairs, 'pair')} at {measured['size']} x {measured['size']}, "
        f"{program.counted(measured['cores'], 'core')}",
        "",
        "| | measured | target |",
        "|---|---|---|",
    ]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def _rate(pairs, seconds):
    return f"{seconds:.1f} s, {pairs / seconds:.2f} pairs/s"


def main(_):
    figures.check_output()
    count = FLAGS.pairs + 1
    if FLAGS.video:
        frames = films.played(Path(FLAGS.video), count)
    else:
        frames = films.moving_textures(count, *films.SMALL)
    workers = FLAGS.workers or len(os.sched_getaffinity(0))
    measured = preparation_measurements.measure(frames, FLAGS.size, workers, FLAGS.memory_frames)
    print(table(measured))
    figures.write_output(measured)


if __name__ == "__main__":
    define_flags()
    program.run(main)
