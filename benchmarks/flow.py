"""TV-L1 on this machine, pairs a second: OpenCV, Numba and every Keras backend, beside the bound.

    python -m benchmarks flow [--size=224] [--batches=8,32] [--video=FILE]
    python -m benchmarks flow --clips=64 --clip_pairs=200   # where there is a GPU

All solvers take turns; of the ratios to OpenCV within a turn the least and the largest are
reported too. Each Keras backend runs in a process of its own, on the device that it takes by
default. Its compilation, once per process and shape, is reported separately.

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

Last comes a preparation with --flow_method=keras of clips of different lengths: the fraction of the
time, from the first batch to the last, in which its device was solving (transfers included), and
how full the batches were. A GPU should be busy at least 90 % of the time.
"""

import concurrent.futures
import contextlib
import functools
import importlib.util
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from absl import flags

from benchmarks import films, measured_tables, timing
from experiments import program
from preprocessing import flow as optical_flow
from preprocessing import worker_pool
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.flow.device import Statistics
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner

FLAGS = flags.FLAGS
BYTES_PER_PIXEL = 84
# Counted on one pair each of 17 real clips of basketball, tennis and street scenes at 224 x 224:
# 76 to 486, in 125 to 965 iterations.
SWEEPS = 280
BACKENDS = ("tensorflow", "jax", "torch")  # of Keras, and the packages that they need
LENGTHS = 0.5, 1.5, 0.75, 1.25  # of the clips that are prepared, to their mean
TIME_LIMIT = 1800.0  # s
LARGE, PASSES = 2**26, 10  # floats, far more than any cache holds; additions


def define_flags():
    flags.DEFINE_integer("size", 224, "Height and width of the frames, pixels.", lower_bound=16)
    flags.DEFINE_list("backends", list(BACKENDS), "Keras backends, those installed among them.")
    flags.DEFINE_list("batches", ["8", "32"], "Pairs that the Keras solver takes at a time.")
    flags.DEFINE_integer("repeats", 5, "Turns; their median is reported.", lower_bound=1)
    flags.DEFINE_string("video", None, "Video to measure on; without, two moving textures.")
    flags.DEFINE_integer("clips", 8, "Videos that are prepared.", lower_bound=1)
    flags.DEFINE_integer("clip_pairs", 12, "Pairs of a video, in the mean.", lower_bound=4)
    flags.DEFINE_integer("workers", None, "Processes (default: one for each core).", 1, 1024)
    flags.DEFINE_integer("flow_batch", None, "As of experiments.prepare.", lower_bound=1)


def measure() -> Iterator[tuple[str, measured_tables.Row]]:
    batches, backends = (
        measured_tables.numbers("batches"),
        measured_tables.chosen("backends", BACKENDS),
    )
    frames = _grey_frames(max(batches) + 1)
    for row in solver_speeds(frames, batches, backends, FLAGS.repeats):
        yield f"TV-L1 at {FLAGS.size} x {FLAGS.size}", row
    workers = FLAGS.workers or worker_pool.cores()
    device, seconds = device_statistics(workers)
    row = {"clips": FLAGS.clips, "workers": workers, "seconds": seconds, "pairs": device.pairs}
    yield (
        "preparation, flow_method=keras",
        row | {"batch": device.batch, "busy": device.busy, "batches full": device.fill},
    )


def _grey_frames(count: int) -> np.ndarray:
    """The frames that the solvers take, of --video or rendered, uint8 (count, size, size)."""
    if not FLAGS.video:
        textures = films.moving_textures(count, FLAGS.size, FLAGS.size)
        return np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in textures])
    frames = list(itertools.islice(films.grey_frames(FLAGS.video, FLAGS.size), count))
    if len(frames) < count:
        found = program.counted(len(frames), "frame")
        raise UserError(f"{FLAGS.video} has {found}; these batches need {count}")
    return np.stack(frames)


def solver_speeds(
    frames: np.ndarray, batches: Sequence[int], backends: Sequence[str], repeats: int
) -> Iterator[measured_tables.Row]:
    """Pairs a second of every solver on grey frames uint8 (N, H, W), OpenCV on one core first."""
    pairs, cores = len(frames) - 1, worker_pool.cores()
    all_cores = f"cpu, {program.counted(cores, 'core')}"
    optical_flow.tvl1(frames[:2], quality="fast")  # compiles
    works: dict[tuple[str, str, int], timing.Work] = {
        ("OpenCV", "cpu, 1 core", 1): lambda: solve_by_opencv(frames, 1),
        ("OpenCV", all_cores, cores): lambda: solve_by_opencv(frames, cores),
        ("fast (Numba)", "cpu, 1 core", 1): lambda: optical_flow.tvl1(frames, quality="fast"),
    }
    base, more = next(iter(works)), {}
    with contextlib.ExitStack() as stack:
        for backend in backends:
            if importlib.util.find_spec(backend) is None:
                continue
            call = stack.enter_context(
                timing.new_process(_keras_works, frames, batches, backend=backend)
            )
            bandwidth, device = call("bandwidth"), call("device")
            for batch in batches:
                solver = f"Keras ({backend})", all_cores if device == "cpu" else device, batch
                works[solver] = functools.partial(call, str(batch))
                more[solver] = {
                    "first call, s": timing.seconds(works[solver]),
                    "bound, pairs/s": bandwidth / (BYTES_PER_PIXEL * SWEEPS * frames[0].size),
                }
        times = timing.in_turns(works, repeats)
    for solver, seconds in times.items():
        ratios = [b / a for a, b in zip(seconds, times[base], strict=True)]
        yield {
            **dict(zip(("solver", "device", "batch"), solver, strict=True)),
            "pairs/s": pairs / statistics.median(seconds),
            "to OpenCV on a core": statistics.median(ratios),
            "least": min(ratios),
            "largest": max(ratios),
            **more.get(solver, {"first call, s": None, "bound, pairs/s": None}),
        }


def solve_by_opencv(frames: np.ndarray, cores: int) -> list[np.ndarray]:
    """OpenCV's fields of all pairs, `cores` stretches of the video at a time, each on one core."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cuts = np.linspace(0, len(frames) - 1, cores + 1).astype(int)

    def solve(stretch):
        # One each: a solver keeps its planes, so two threads must not share it.
        solver: Any = cv2.optflow.DualTVL1OpticalFlow.create()
        return [solver.calc(first, second, None) for first, second in itertools.pairwise(stretch)]

    try:
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            stretches = [frames[i : j + 1] for i, j in itertools.pairwise(cuts)]
            return list(itertools.chain.from_iterable(pool.map(solve, stretches)))
    finally:
        cv2.setNumThreads(threads)


def _keras_works(frames, batches):
    """By batch the solver's, whose result is not sent; the bytes/s of the device's memory."""
    from keras import ops

    from preprocessing.flow import tvl1_keras

    def solve(batch):
        optical_flow.tvl1(frames, "keras", batch=batch)

    def passes(array):
        return ops.fori_loop(0, PASSES, lambda _, x: x + 1.0, array)[:1]

    def bandwidth():
        compiled, array = tvl1_keras.compile_whole(passes), ops.zeros(LARGE, "float32")
        # Fetched, so that no device answers before the end.
        seconds = timing.repeated(lambda: ops.convert_to_numpy(compiled(array)), 3)
        return 2 * 4 * LARGE * PASSES / min(seconds)

    works = {str(batch): functools.partial(solve, batch) for batch in batches}
    return works | {"bandwidth": bandwidth, "device": tvl1_keras.device}


def device_statistics(workers: int) -> tuple[Statistics, float]:
    """Prepares clips with the Keras solver on this process's backend.

    Returns:
        What the device did, and the seconds of the whole preparation.

    Raises:
        UserError: a clip could not be prepared.
    """
    film = list(films.film(FLAGS.video, FLAGS.clip_pairs + 1))
    lengths = itertools.islice(itertools.cycle(LENGTHS), FLAGS.clips)
    pairs = [max(1, round(length * FLAGS.clip_pairs)) for length in lengths]
    measured: list[Statistics] = []
    settings = conversion.Settings(image_size=FLAGS.size, flow_method="keras")
    runner = local_runner(
        workers, TIME_LIMIT, flow_batch=FLAGS.flow_batch, measured=measured.append
    )
    with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as temporary:
        root = Path(temporary)
        films.write_clips(root / "videos" / "clips", films.there_and_back(film), pairs)
        catalogue = class_folders.load(root / "videos")
        begun = time.perf_counter()
        prepared = prepare.prepare(catalogue, root / "records", settings, runner)
        seconds = time.perf_counter() - begun
    if prepared.failures:
        raise UserError(f"a clip of the benchmark failed: {prepared.failures[0]['reason']}")
    return measured[0], seconds
