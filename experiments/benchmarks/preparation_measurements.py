"""What `experiments.benchmark preparation` measures."""

import itertools
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from experiments.benchmarks import films
from preprocessing import flow, records, worker_pool
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner

_CLIPS_PER_WORKER = 2
_LOOP = 24  # different frames of the 1080p video
_LONG = 4_000  # frames
_TIME_LIMIT = 300.0  # s


def decoded(folder: Path, size: int) -> np.ndarray:
    """Grey frames of all clips, as preparation makes them, each once: uint8 (N, size, size)."""
    grey: list[np.ndarray] = []
    for path in sorted(folder.iterdir()):
        frames = list(films.grey_frames(path, size))
        grey += frames[1:] if grey else frames  # the first is the last of the clip before
    return np.stack(grey)


def bare_loop(grey: np.ndarray) -> tuple[float, float, np.ndarray]:
    """(seconds, processor seconds, fields) of OpenCV's TV-L1 over all pairs, on one core."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    solver: Any = cv2.optflow.DualTVL1OpticalFlow.create()
    begun = time.perf_counter(), time.process_time()
    fields = [solver.calc(first, second, None) for first, second in itertools.pairwise(grey)]
    ended = time.perf_counter(), time.process_time()
    cv2.setNumThreads(threads)
    return ended[0] - begun[0], ended[1] - begun[1], np.stack(fields)


def bare_loops(grey: np.ndarray, workers: int, folder: Path) -> float:
    """Seconds of bare loops in several processes at once, each over its part of the pairs.

    Cores that share caches, memory or an arithmetic unit are slower together than one is alone:
    no division of the work can be faster than this.
    """
    path = folder / "grey.npy"
    np.save(path, grey)
    tasks = [(path, number, workers) for number in range(workers)]
    spans = [span for _, span in worker_pool.run(_bare_part, tasks, workers, _TIME_LIMIT)]
    begun, ended = zip(*spans, strict=True)
    return max(ended) - min(begun)


def _bare_part(task, _):
    """Begin and end of one process's loop, on the clock that all processes share."""
    path, number, workers = task
    pairs = np.array_split(np.arange(len(np.load(path)) - 1), workers)[number]
    grey = np.load(path)[pairs[0] : pairs[-1] + 2]
    begun = time.monotonic()
    bare_loop(grey)
    return begun, time.monotonic()


def fast_loop(grey: np.ndarray) -> tuple[float, np.ndarray]:
    """(processor seconds, fields) of the compiled TV-L1 over all pairs, on one core."""
    flow.tvl1(grey[:2], quality="fast")  # compiles
    begun = time.process_time()
    fields = flow.tvl1(grey, quality="fast")
    return time.process_time() - begun, fields


def agreement(fields: np.ndarray, reference: np.ndarray) -> float:
    """Fraction of the stored 8-bit values that differ by at most one level."""
    difference = flow.encode(fields).astype(int) - flow.encode(reference)
    return float((np.abs(difference) <= 1).mean())


def self_agreement(grey: np.ndarray, reference: np.ndarray) -> float:
    """`agreement` of OpenCV's TV-L1 with itself, each pair's second frame brighter by a millionth.

    Where a field hangs by such a difference no other program can be asked for the same one.
    """
    solver: Any = cv2.optflow.DualTVL1OpticalFlow.create()
    frames = grey.astype(np.float32) / np.float32(255)  # by which it multiplies what is no byte
    brighter = frames * np.float32(1 + 1e-6)
    pairs = zip(frames[:-1], brighter[1:], strict=True)
    fields = np.stack([solver.calc(first, second, None) for first, second in pairs])
    return agreement(fields, reference)


def preparation_seconds(
    videos: Path, output: Path, settings: conversion.Settings, workers: int
) -> tuple[float, float, float]:
    """(seconds until the last video is converted, workers' processor seconds, of the ending).

    Raises:
        UserError: a clip could not be prepared.
    """
    catalogue = class_folders.load(videos)
    local = local_runner(workers, _TIME_LIMIT)
    converted = processor = 0.0

    def timed(plan, numbers):
        nonlocal converted, processor
        before = _children_seconds()
        yield from local(plan, numbers)
        converted, processor = time.perf_counter(), _children_seconds() - before

    begun = time.perf_counter()
    prepared = prepare.prepare(catalogue, output, settings, timed)
    if prepared.failures:
        raise UserError(f"a clip of the benchmark failed: {prepared.failures[0]['reason']}")
    return converted - begun, processor, time.perf_counter() - converted


def _children_seconds():
    """Processor time of the processes that this one started and that ended."""
    times = os.times()
    return times.children_user + times.children_system


def worker_megabytes(path: Path, num_frames: int, size: int) -> float:
    """Peak resident memory of a fresh worker that converts the first frames of a video.

    Raises:
        UserError: the video could not be converted.
    """
    task = (path, num_frames, size)
    ((_, result),) = worker_pool.run(_convert_and_weigh, [task], 1, _TIME_LIMIT)
    if isinstance(result, worker_pool.Failure):
        raise UserError(f"the 1080p video failed: {result.reason}")
    return result


def _convert_and_weigh(task, report):
    path, num_frames, size = task
    # PNG fills the buffers soon; JPEG keeps a long video below a record's 2 GiB.
    image_format = "png" if num_frames < _LONG else "jpeg"
    settings = conversion.Settings(image_size=size, image_format=image_format, flow_quality="fast")
    with (
        records.ExampleWriter("long", 0, path.parent) as writer,
        path.with_name("record").open("wb") as file,
    ):
        conversion.convert(path, writer, settings, report, frame_limit=num_frames)
        writer.write_record(file)
    # Not getrusage: its peak is inherited from the process that started this one.
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024


def measure(
    frames: Iterable[np.ndarray], size: int, workers: int, memory_frames: int
) -> dict[str, Any]:
    """Every figure of the table.

    Args:
        frames: BGR frames, uint8 (H, W, 3); one more than pairs.
        size: of the stored frames, in pixels.
        workers: processes.
        memory_frames: frames of the 1080p video.

    Returns:
        dict of figures; seconds, pairs a second, fractions and megabytes.
    """
    cores = len(os.sched_getaffinity(0))
    figures: dict[str, Any] = {"size": size, "workers": workers, "cores": cores}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        films.write_clips(root / "videos" / "clips", frames, _CLIPS_PER_WORKER * workers)
        grey = decoded(root / "videos" / "clips", size)
        bare, bare_processor, reference = bare_loop(grey)
        together = bare_loops(grey, min(workers, cores), root)
        figures |= {
            "pairs": len(grey) - 1,
            "bare_seconds": bare,
            "bare_processor_seconds": bare_processor,
            "bare_together_seconds": together,
        }
        for quality in flow.QUALITIES:
            settings = conversion.Settings(image_size=size, flow_quality=quality)
            times = preparation_seconds(root / "videos", root / quality, settings, workers)
            for name, seconds in zip(("", "processor_", "ending_"), times, strict=True):
                figures[f"{quality}_{name}seconds"] = seconds
        fast_seconds, fast = fast_loop(grey)
        figures |= {
            "ratio": figures["reference_seconds"] * min(workers, cores) / bare,
            "together_ratio": figures["reference_seconds"] / together,
            "processor_ratio": figures["reference_processor_seconds"] / bare_processor,
            "fast_speedup": bare_processor / fast_seconds,
            "fast_agreement": agreement(fast, reference),
            "self_agreement": self_agreement(grey, reference),
            "moving_pixels": float((np.hypot(*np.moveaxis(reference, -1, 0)) > 0.5).mean()),
        }
        path = root / "long.mp4"
        loop = list(films.moving_textures(min(_LOOP, memory_frames), *films.FULL_HD))
        looped = itertools.islice(itertools.cycle(loop), memory_frames)
        films.write_video(path, looped, films.MPEG_4)
        figures["megabytes"] = [
            [count, worker_megabytes(path, count, size)]
            for count in (memory_frames // 2, memory_frames)
        ]
    return figures
