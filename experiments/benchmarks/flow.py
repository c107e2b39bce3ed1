"""TV-L1 on this machine, pairs a second: OpenCV, Numba and every Keras backend, beside the bound.

    python -m experiments.benchmark flow [--size=224] [--batches=8,32] [--video=FILE]
    python -m experiments.benchmark flow --clips=64 --clip_pairs=200   # where there is a GPU

Each Keras backend runs in a process of its own, on the device that it takes by default. Its
compilation, once per process and shape, is reported separately.

The bound. Nothing can be computed faster than its numbers can be moved. An iteration is at best
two kernels, for the dual update needs the new flow of the neighbours, and the stopping test the
sum over the image:

    flow update   reads gx, gy, residual, u1, u2, p11, p12, p21, p22; writes u1, u2      11 planes
    dual update   reads u1, u2, p11, p12, p21, p22; writes p11, p12, p21, p22            10 planes

that is 21 float32 or 84 bytes a pixel. The iterations of all scales and warps of a pair come to
as many pixels as SWEEPS iterations over the full image (the mean of real clips), so

    pairs a second <= bandwidth / (84 bytes x SWEEPS x H x W)

(H100 of 3.35 TB/s at 224 x 224: 2,800). Warping, medians and the pyramid come on top, and pairs
that have converged are iterated along until those that have not fit into a quarter of the batch, so
the bound is not reached, except where a batch is so small that its planes stay in a cache. The
bandwidth is measured with the same backend, by adding one to a large array again and again.

Last comes a preparation with --flow_method=keras of several clips of different lengths: the
fraction of the time, from the first batch to the last, in which its device was solving
(transfers to and from the device counted in), and how full the batches were. A GPU should be busy
at least 90 % of the time; few or short clips say little of one that solves them in seconds.
"""

import dataclasses
import itertools
import os
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from experiments import program
from experiments.benchmarks import figures, films, flow_measurements
from preprocessing.errors import UserError

FLAGS = flags.FLAGS


def define_flags():
    """Defines the flags of `experiments.benchmark flow`."""
    flags.DEFINE_integer("size", 224, "Height and width of the frames, pixels.", lower_bound=16)
    flags.DEFINE_list("batches", ["8", "32"], "Pairs that the Keras solver takes at a time.")
    flags.DEFINE_integer("repeats", 1, "Timed repetitions; the best is reported.", lower_bound=1)
    flags.DEFINE_string("video", None, "Video to measure on; without, two moving textures.")
    flags.DEFINE_integer("clips", 8, "Videos that are prepared.", lower_bound=1)
    flags.DEFINE_integer("clip_pairs", 12, "Pairs of a video, in the mean.", lower_bound=4)
    flags.DEFINE_integer("workers", None, "Processes (default: one for each core).", 1, 1024)
    flags.DEFINE_integer("flow_batch", None, "As of experiments.prepare.", lower_bound=1)
    flags.DEFINE_string("output", None, "JSON file for the figures.")


def grey_frames(count):
    """The frames that the solvers take, of --video or rendered, uint8 (count, size, size)."""
    if FLAGS.video:
        frames = list(itertools.islice(films.grey_frames(FLAGS.video, FLAGS.size), count))
        if len(frames) < count:
            found = program.counted(len(frames), "frame")
            raise UserError(f"{FLAGS.video} has {found}; these batches need {count}")
    else:
        textures = films.moving_textures(count, FLAGS.size, FLAGS.size)
        frames = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in textures]
    return np.stack(frames)


def table(rows):
    """The rows as text."""
    lines = [
        f"{'solver':<20}{'device':<16}{'batch':>6}{'pairs/s':>10}{'ratio':>8}"
        f"{'first call, s':>15}{'bound, pairs/s':>16}"
    ]
    for row in rows:
        first = f"{row.first_seconds:.1f}" if row.first_seconds else "-"
        bound = f"{row.bound:.0f}" if row.bound else "-"
        lines.append(
            f"{row.solver:<20}{row.device:<16}{row.batch:>6}"
            f"{row.pairs_per_second:>10.2f}{row.ratio:>8.2f}{first:>15}{bound:>16}"
        )
    if all(row.device.startswith("cpu") for row in rows):
        lines.append("No Keras backend sees a GPU here: the figures for one are missing.")
    return "\n".join(lines)


def main(_):
    figures.check_output()
    batches = figures.numbers("batches")
    frames = grey_frames(max(batches) + 1)
    rows = flow_measurements.solver_speeds(frames, batches, FLAGS.repeats)
    print(table(rows))
    if FLAGS.video:
        film = films.played(Path(FLAGS.video), FLAGS.clip_pairs + 1)
    else:
        film = films.moving_textures(FLAGS.clip_pairs + 1, *films.SMALL)
    workers = FLAGS.workers or len(os.sched_getaffinity(0))
    device, seconds = flow_measurements.device_statistics(
        list(film), FLAGS.clips, FLAGS.size, workers, FLAGS.flow_batch
    )
    what = f"{program.counted(FLAGS.clips, 'clip')}, {program.counted(workers, 'worker')}"
    print(f"preparation of {what}: {seconds:.1f} s; {device}")
    preparation = {"busy": device.busy, "fill": device.fill, "workers": workers, "seconds": seconds}
    figures.write_output(
        {
            "solvers": [dataclasses.asdict(row) for row in rows],
            "preparation": dataclasses.asdict(device) | preparation,
        }
    )


if __name__ == "__main__":
    define_flags()
    program.run(main)
