"""TV-L1 on this machine, pairs a second: OpenCV and every Keras backend, beside the bound.

    python -m experiments.benchmark flow [--size=224] [--batches=8,32] [--video=FILE]
    python -m experiments.benchmark flow --clips=64 --clip_pairs=200   # where there is a GPU

Each backend runs in a process of its own, on the device that it takes by default. Compilation,
once per process and shape, is told apart.

The bound. Nothing can be computed faster than its numbers can be moved. An iteration is at best
two kernels, for the dual update needs the new flow of the neighbours, and the stopping test the
sum over the image:

    flow update   reads gx, gy, residual, u1, u2, p11, p12, p21, p22; writes u1, u2      11 planes
    dual update   reads u1, u2, p11, p12, p21, p22; writes p11, p12, p21, p22            10 planes

that is 21 float32 or 84 bytes a pixel. The iterations of all scales and warps of a pair come to
as many pixels as SWEEPS iterations over the full image (the mean of real clips), so

    pairs a second <= bandwidth / (84 bytes x SWEEPS x H x W)

(H100 of 3.35 TB/s at 224 x 224: 2,800). Warping, medians and the pyramid come on top, and a batch
goes on until its last pair stands still, so the bound is not reached, save where a batch is so
small that its planes stay in a cache. The bandwidth is measured with the same backend, by adding
one to a large array again and again.

Last comes a preparation with --flow_method=keras of several clips, none as long as another: the
share of the time, from the first batch to the last, in which its device process was solving
(transfers to and from the device counted in), and how full the batches were. A GPU should be busy
at least 90 % of the time; few or short clips say little of one that is done with them in seconds.
"""

import concurrent.futures
import dataclasses
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from experiments import program
from experiments.benchmarks import preparation as benchmark_preparation
from preprocessing import flow as optical_flow
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner

FLAGS = flags.FLAGS

BYTES_PER_PIXEL = 84
# Counted on one pair each of 17 real clips of basketball, tennis and street scenes at 224 x 224:
# 76 to 486, in 125 to 965 iterations.
SWEEPS = 280
BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}  # backend: its package
CLIP_SIZE = 320, 240  # width, height
CLIP_SHARES = 0.5, 1.5, 0.75, 1.25  # of the mean length
TIME_LIMIT = 1800.0
LARGE, PASSES = 2**26, 10  # floats; far more than any cache holds


def define_flags():
    """Defines the flags of `experiments.benchmark flow`."""
    flags.DEFINE_integer("size", 224, "Height and width of the frames, pixels.", lower_bound=16)
    flags.DEFINE_list("batches", ["8", "32"], "Pairs that the Keras solver takes at a time.")
    flags.DEFINE_integer("repeats", 1, "Timed repetitions; the best is told.", lower_bound=1)
    flags.DEFINE_string("video", None, "Video to measure on; without, two moving textures.")
    flags.DEFINE_integer("clips", 8, "Videos that are prepared.", lower_bound=1)
    flags.DEFINE_integer("clip_pairs", 12, "Pairs of a video, in the mean.", lower_bound=4)
    flags.DEFINE_integer("workers", None, "Processes (default: one for each core).", 1, 1024)
    flags.DEFINE_integer("flow_batch", None, "As of experiments.prepare.", lower_bound=1)
    flags.DEFINE_string("output", None, "JSON file for the figures.")


def moving_textures(count, size):
    """Grey uint8 (count, size, size): a textured square crosses a drifting textured wall."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, 2 * size, 2 * size), np.uint8)
    wall, square = (
        cv2.normalize(cv2.GaussianBlur(n, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX) for n in noise
    )
    side, frames = size // 3, []
    for t in range(count):
        drift = np.float32([[1, 0, -0.4 * t], [0, 1, -0.2 * t]])
        frame = cv2.warpAffine(wall, drift, (size, size), borderMode=cv2.BORDER_WRAP)
        left = (size // 8 + 2 * t) % (size - side)
        frame[side : 2 * side, left : left + side] = square[:side, :side]
        frames.append(frame)
    return np.stack(frames)


def video_frames(path, count, size):
    """The first `count` frames of a video, grey uint8 (count, size, size)."""
    from preprocessing import video

    frames = []
    for frame in video.read_frames(path):
        grey = cv2.cvtColor(video.resize(frame, size), cv2.COLOR_RGB2GRAY)
        frames.append(grey)
        if len(frames) == count:
            return np.stack(frames)
    raise UserError(f"{path} has {len(frames)} frames; these batches need {count}")


def _best_seconds(work, repeats):
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return min(found)


def opencv_speed(frames, cores, repeats=1):
    """Pairs a second of OpenCV, `cores` stretches of the video at a time, each on one core."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cuts = np.linspace(0, len(frames) - 1, cores + 1).astype(int)
    stretches = [frames[i : j + 1] for i, j in itertools.pairwise(cuts)]

    def solve(stretch):
        # One each: a solver keeps its planes, so two threads must not share it.
        solver = cv2.optflow.DualTVL1OpticalFlow_create()
        for pair in itertools.pairwise(stretch):
            solver.calc(*pair, None)

    try:
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            seconds = _best_seconds(lambda: list(pool.map(solve, stretches)), repeats)
    finally:
        cv2.setNumThreads(threads)
    return (len(frames) - 1) / seconds


def fast_speed(frames, repeats=1):
    """Pairs a second of the compiled CPU solver, on one core."""
    solver = optical_flow.Solver(quality="fast")
    list(solver.fields(frames[:2]))  # compiles
    seconds = _best_seconds(lambda: list(solver.fields(frames)), repeats)
    return (len(frames) - 1) / seconds


def bandwidth():
    """Bytes a second that this process's Keras backend moves: a large array, read and written."""
    from keras import ops

    from preprocessing.flow import tvl1_keras

    def passes(array):
        return ops.fori_loop(0, PASSES, lambda _, x: x + 1.0, array)[:1]

    compiled, array = tvl1_keras.compile_whole(passes), ops.zeros(LARGE, "float32")

    def work():
        ops.convert_to_numpy(compiled(array))  # fetched, so that no device answers before the end

    work()
    return 2 * 4 * LARGE * PASSES / _best_seconds(work, 3)


def keras_speeds(frames, batches, repeats=1):
    """Speeds of the Keras solver on this process's backend.

    Returns:
        dict: `backend`, `device`, `bandwidth` (bytes/s) and `batches`, a list of dicts with
        `batch`, `pairs_per_second` and `first_seconds` (the first call, with compilation).
    """
    import keras

    from preprocessing.flow import tvl1_keras

    backend = keras.backend.backend()
    figures = {"backend": backend, "device": tvl1_keras.device(), "batches": []}
    for batch in batches:

        def work(batch=batch):
            tvl1_keras.tvl1(frames, batch=batch)

        first = _best_seconds(work, 1)
        speed = (len(frames) - 1) / _best_seconds(work, repeats)
        figures["batches"].append(
            {"batch": batch, "pairs_per_second": speed, "first_seconds": first}
        )
    figures["bandwidth"] = bandwidth()
    return figures


CHILD = """
import json, sys
import numpy as np
from experiments.benchmarks import flow
frames, settings = np.load(sys.argv[1]), json.loads(sys.argv[2])
print(json.dumps(flow.keras_speeds(frames, **settings)))
"""


def _other_process(backend, frames, **settings):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.npy"
        np.save(path, frames)
        command = [sys.executable, "-c", CHILD, str(path), json.dumps(settings)]
        environment = os.environ | {
            "KERAS_BACKEND": backend,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UserError(f"the Keras solver failed on {backend}: {lines[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def flow(frames, batches=(8, 32), repeats=1, backends=None):
    """Measures every solver on the same frames.

    Args:
        frames: grey uint8 (N, H, W).
        batches: pairs that the Keras solver takes at a time, one row each.
        repeats: timed repetitions, the best of which counts.
        backends: Keras backends; by default all that are installed.

    Returns:
        list of dicts, a row of the table each: `solver`, `device`, `batch`, `pairs_per_second`,
        `ratio` (to OpenCV on one core), `first_seconds` and `bound` (pairs/s), None where it has
        no meaning.
    """
    if backends is None:
        backends = [name for name, package in BACKENDS.items() if importlib.util.find_spec(package)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = []

    def add(solver, device, batch, speed, first=None, bound=None):
        ratio = speed / rows[0]["pairs_per_second"] if rows else 1.0
        names = ("solver", "device", "batch", "pairs_per_second", "ratio", "first_seconds", "bound")
        rows.append(
            dict(zip(names, (solver, device, batch, speed, ratio, first, bound), strict=True))
        )

    add("opencv", "cpu, 1 core", 1, opencv_speed(frames, 1, repeats))
    add("opencv", f"cpu, {cores} cores", cores, opencv_speed(frames, cores, repeats))
    if importlib.util.find_spec("numba"):
        add("fast (Numba)", "cpu, 1 core", 1, fast_speed(frames, repeats))
    pixels = frames.shape[1] * frames.shape[2]
    for backend in backends:
        found = _other_process(backend, frames, batches=list(batches), repeats=repeats)
        bound = found["bandwidth"] / (BYTES_PER_PIXEL * SWEEPS * pixels)
        device = f"cpu, {cores} cores" if found["device"] == "cpu" else found["device"]
        for row in found["batches"]:
            speed, first = row["pairs_per_second"], row["first_seconds"]
            add(f"keras ({found['backend']})", device, row["batch"], speed, first, bound)
    return rows


def write_clips(folder, frames, clips):
    """Writes as many videos, of a half to one and a half times as many pairs as `frames` has.

    Args:
        folder: of a class, to be made.
        frames: BGR uint8 (H, W, 3), played there and back.
        clips: number of videos.
    """
    folder.mkdir(parents=True)
    pairs = len(frames) - 1
    there_and_back = frames + frames[-2:0:-1]
    lengths = [max(1, round(share * pairs)) for share in CLIP_SHARES]
    for number in range(clips):
        path = folder / f"clip{number:05d}.avi"
        if number < len(lengths):
            played = itertools.islice(itertools.cycle(there_and_back), lengths[number] + 1)
            benchmark_preparation.write_video(path, played, "MJPG")
        else:
            path.hardlink_to(folder / f"clip{number % len(lengths):05d}.avi")


def device_share(frames, clips, size, workers, flow_batch=None):
    """Prepares clips with the Keras solver on this process's backend.

    Args:
        frames: as of `write_clips`.
        clips: number of videos.
        size: side of the stored frames, in pixels.
        workers: processes that decode and encode.
        flow_batch: pairs that the device solves at once.

    Returns:
        The device process's `server.Statistics`, and the seconds of the whole preparation.
    """
    found = []
    settings = conversion.Settings(image_size=size, flow_method="keras")
    run = local_runner(workers, TIME_LIMIT, flow_batch=flow_batch, measured=found.append)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_clips(root / "videos" / "clips", frames, clips)
        catalogue = class_folders.load(root / "videos")
        begun = time.perf_counter()
        clip = {"num_frames": 17, "flow_length": 4}
        prepared = prepare.prepare(catalogue, root / "records", settings, clip, run)
        seconds = time.perf_counter() - begun
    if prepared.failures:
        raise UserError(f"a clip of the benchmark failed: {prepared.failures[0]['reason']}")
    return found[0], seconds


def table(rows):
    """The rows as text."""
    lines = [
        f"{'solver':<20}{'device':<16}{'batch':>6}{'pairs/s':>10}{'ratio':>8}"
        f"{'first call, s':>15}{'bound, pairs/s':>16}"
    ]
    for row in rows:
        first = f"{row['first_seconds']:.1f}" if row["first_seconds"] else "-"
        bound = f"{row['bound']:.0f}" if row["bound"] else "-"
        lines.append(
            f"{row['solver']:<20}{row['device']:<16}{row['batch']:>6}"
            f"{row['pairs_per_second']:>10.2f}{row['ratio']:>8.2f}{first:>15}{bound:>16}"
        )
    if all(row["device"].startswith("cpu") for row in rows):
        lines.append("No Keras backend sees a GPU here: the figures for one are missing.")
    return "\n".join(lines)


def main(_):
    if FLAGS.output:
        program.output_file("output")
    try:
        batches = [int(batch) for batch in FLAGS.batches]
    except ValueError as error:
        raise UserError(f"--batches={','.join(FLAGS.batches)}: write numbers, as 8,32") from error
    if not batches or min(batches) < 1:
        raise UserError(f"--batches={','.join(FLAGS.batches)}: name at least one, each at least 1")
    count = max(batches) + 1
    if FLAGS.video:
        frames = video_frames(FLAGS.video, count, FLAGS.size)
    else:
        frames = moving_textures(count, FLAGS.size)
    rows = flow(frames, batches, FLAGS.repeats)
    print(table(rows))
    if FLAGS.video:
        played = benchmark_preparation.film_frames(Path(FLAGS.video), FLAGS.clip_pairs + 1)
    else:
        played = benchmark_preparation.moving_textures(FLAGS.clip_pairs + 1, *CLIP_SIZE)
    workers = FLAGS.workers or len(os.sched_getaffinity(0))
    device, seconds = device_share(list(played), FLAGS.clips, FLAGS.size, workers, FLAGS.flow_batch)
    print(f"preparation of {FLAGS.clips} clips, {workers} workers: {seconds:.1f} s; {device}")
    if FLAGS.output:
        figures = {
            "solvers": rows,
            "preparation": dataclasses.asdict(device)
            | {"busy": device.busy, "fill": device.fill, "workers": workers, "seconds": seconds},
        }
        Path(FLAGS.output).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    define_flags()
    program.run(main)
