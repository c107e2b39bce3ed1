"""What `experiments.benchmark flow` measures: TV-L1 solvers, and a device in a preparation."""

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from experiments.benchmarks import films, timing
from preprocessing import flow as optical_flow
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.flow.device import Statistics
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner

BYTES_PER_PIXEL = 84
# Counted on one pair each of 17 real clips of basketball, tennis and street scenes at 224 x 224:
# 76 to 486, in 125 to 965 iterations.
SWEEPS = 280
BACKENDS = {"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}  # Keras backend: package
TIME_LIMIT = 1800.0  # s
LARGE, PASSES = 2**26, 10  # floats, far more than any cache holds; additions


@dataclasses.dataclass(frozen=True)
class Speed:
    """A row of the table.

    Attributes:
        solver: its name, with the backend.
        device: that it runs on.
        batch: pairs solved at a time.
        pairs_per_second: its speed.
        ratio: to the speed of OpenCV on one core.
        first_seconds: the first call, with compilation; None where nothing is compiled.
        bound: pairs a second that the device's memory allows; None where it has no meaning.
    """

    solver: str
    device: str
    batch: int
    pairs_per_second: float
    ratio: float
    first_seconds: float | None = None
    bound: float | None = None


def opencv_speed(frames: np.ndarray, cores: int, repeats: int = 1) -> float:
    """Pairs a second of OpenCV, `cores` stretches of the video at a time, each on one core.

    Args:
        frames: grey uint8 (N, H, W).
        cores: number of threads.
        repeats: timed repetitions, the best of which counts.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cuts = np.linspace(0, len(frames) - 1, cores + 1).astype(int)
    stretches = [frames[i : j + 1] for i, j in itertools.pairwise(cuts)]

    def solve(stretch):
        # One each: a solver keeps its planes, so two threads must not share it.
        solver: Any = cv2.optflow.DualTVL1OpticalFlow.create()
        for first, second in itertools.pairwise(stretch):
            solver.calc(first, second, None)

    try:
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            seconds = timing.best(lambda: list(pool.map(solve, stretches)), repeats)
    finally:
        cv2.setNumThreads(threads)
    return (len(frames) - 1) / seconds


def fast_speed(frames: np.ndarray, repeats: int = 1) -> float:
    """Pairs a second of the compiled CPU solver, on one core."""
    optical_flow.tvl1(frames[:2], quality="fast")  # compiles
    seconds = timing.best(lambda: optical_flow.tvl1(frames, quality="fast"), repeats)
    return (len(frames) - 1) / seconds


def bandwidth() -> float:
    """Bytes a second that this process's Keras backend moves: a large array, read and written."""
    from keras import ops

    from preprocessing.flow import tvl1_keras

    def passes(array):
        return ops.fori_loop(0, PASSES, lambda _, x: x + 1.0, array)[:1]

    compiled, array = tvl1_keras.compile_whole(passes), ops.zeros(LARGE, "float32")
    # Fetched, so that no device answers before the end.
    seconds = timing.repeated(lambda: ops.convert_to_numpy(compiled(array)), 3)
    return 2 * 4 * LARGE * PASSES / min(seconds)


def keras_speeds(frames: np.ndarray, batches: Sequence[int], repeats: int = 1) -> dict[str, Any]:
    """Speeds of the Keras solver on this process's backend.

    Returns:
        dict: `backend`, `device`, `bandwidth` (bytes/s) and `batches`, a list of dicts with
        `batch`, `pairs_per_second` and `first_seconds` (the first call, with compilation).
    """
    import keras

    from preprocessing.flow import tvl1_keras

    rows = []
    for batch in batches:

        def work(batch=batch):
            tvl1_keras.tvl1(frames, batch=batch)

        first = timing.seconds(work)
        speed = (len(frames) - 1) / timing.best(work, repeats)
        rows.append({"batch": batch, "pairs_per_second": speed, "first_seconds": first})
    return {
        "backend": keras.backend.backend(),
        "device": tvl1_keras.device(),
        "batches": rows,
        "bandwidth": bandwidth(),
    }


CHILD = """
import json, sys
import numpy as np
from experiments.benchmarks import flow_measurements
frames, settings = np.load(sys.argv[1]), json.loads(sys.argv[2])
print(json.dumps(flow_measurements.keras_speeds(frames, **settings)))
"""


def _other_process(backend, frames, **settings):
    """`keras_speeds` on another backend, which takes a process of its own."""
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


def solver_speeds(
    frames: np.ndarray,
    batches: Sequence[int] = (8, 32),
    repeats: int = 1,
    backends: Sequence[str] | None = None,
) -> list[Speed]:
    """Measures every solver on the same frames.

    Args:
        frames: grey uint8 (N, H, W).
        batches: pairs that the Keras solver takes at a time, one row each.
        repeats: timed repetitions, the best of which counts.
        backends: Keras backends; by default all that are installed.

    Returns:
        The rows, of which OpenCV on one core is the first.
    """
    if backends is None:
        backends = [name for name, package in BACKENDS.items() if importlib.util.find_spec(package)]
    cores = len(os.sched_getaffinity(0))
    one_core, all_cores = "cpu, 1 core", f"cpu, {cores} cores"
    base = opencv_speed(frames, 1, repeats)
    rows = [Speed("opencv", one_core, 1, base, 1.0)]
    speed = opencv_speed(frames, cores, repeats)
    rows.append(Speed("opencv", all_cores, cores, speed, speed / base))
    if importlib.util.find_spec("numba"):
        speed = fast_speed(frames, repeats)
        rows.append(Speed("fast (Numba)", one_core, 1, speed, speed / base))
    pixels = frames.shape[1] * frames.shape[2]
    for backend in backends:
        figures = _other_process(backend, frames, batches=list(batches), repeats=repeats)
        bound = figures["bandwidth"] / (BYTES_PER_PIXEL * SWEEPS * pixels)
        device = all_cores if figures["device"] == "cpu" else figures["device"]
        for row in figures["batches"]:
            speed = row["pairs_per_second"]
            rows.append(
                Speed(
                    f"keras ({figures['backend']})",
                    device,
                    row["batch"],
                    speed,
                    speed / base,
                    row["first_seconds"],
                    bound,
                )
            )
    return rows


def device_statistics(
    frames: list[np.ndarray], clips: int, size: int, workers: int, flow_batch: int | None = None
) -> tuple[Statistics, float]:
    """Prepares clips with the Keras solver on this process's backend.

    Args:
        frames: BGR uint8 (H, W, 3), of `films.write_unequal_clips`.
        clips: number of videos.
        size: side of the stored frames, in pixels.
        workers: processes that decode and encode.
        flow_batch: pairs that the device solves at once.

    Returns:
        What the device did, and the seconds of the whole preparation.

    Raises:
        UserError: a clip could not be prepared.
    """
    measured: list[Statistics] = []
    settings = conversion.Settings(image_size=size, flow_method="keras")
    run = local_runner(workers, TIME_LIMIT, flow_batch=flow_batch, measured=measured.append)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        films.write_unequal_clips(root / "videos" / "clips", frames, clips)
        catalogue = class_folders.load(root / "videos")
        begun = time.perf_counter()
        prepared = prepare.prepare(catalogue, root / "records", settings, run)
        seconds = time.perf_counter() - begun
    if prepared.failures:
        raise UserError(f"a clip of the benchmark failed: {prepared.failures[0]['reason']}")
    return measured[0], seconds
