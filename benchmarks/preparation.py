"""Preparation on this machine, against a bare OpenCV loop over the same pairs of frames.

    python -m benchmarks preparation [--video=FILE] [--workers=W]

The bare loop holds the frames decoded and does nothing but TV-L1, on one core. Its time divided by
the cores that the workers can use is what preparation is measured against: 1.00 would mean that
decoding, resizing, encoding and writing cost nothing. The ending of a preparation (joining the
shards and describing them to TensorFlow Datasets) takes seconds once, however large the set, and
is reported separately. Bare loops on all cores at once show what the cores lose to each other.
Processor time a pair is compared as well: unlike wall time, it hardly changes when other programs
want the cores. All of these take turns; what is reported are medians, and the least and largest.

The memory is the peak of a worker's resident set over its life, on a 1080p video, at half and at
all of its frames. A short one is stored losslessly, so that the buffers for images are filled too.
"""

import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from absl import flags

from benchmarks import films, measured_tables, timing
from benchmarks.flow import solve_by_opencv
from experiments import program
from preprocessing import flow, records, worker_pool
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner

FLAGS = flags.FLAGS
CLIPS_PER_WORKER = 2
LOOP = 24  # different frames of the 1080p video
LONG = 4_000  # frames
TIME_LIMIT = 300.0  # s


def define_flags():
    flags.DEFINE_integer("pairs", 64, "Pairs of frames.", lower_bound=8)
    flags.DEFINE_integer("repeats", 5, "Turns; their median is reported.", lower_bound=1)
    flags.DEFINE_integer("size", 224, "Side of the stored frames, in pixels.", lower_bound=16)
    flags.DEFINE_integer("workers", None, "Processes (default: one for each core).", 1, 1024)
    flags.DEFINE_string(
        "video", None, "Video to measure on, played again as needed; else textures."
    )
    flags.DEFINE_integer(
        "memory_frames", 400, "Frames of the 1080p video (30 minutes have 54,000).", lower_bound=4
    )


def measure() -> Iterator[tuple[str, measured_tables.Row]]:
    pairs, available = FLAGS.pairs, worker_pool.cores()
    workers = FLAGS.workers or available
    cores = min(workers, available)
    caption = f"{pairs} pairs at {FLAGS.size} x {FLAGS.size}, {program.counted(cores, 'core')}"

    def row(figure, value, unit="", target=None, spread=None):
        values = {"figure": figure, "value": value, "": unit, "turns": spread, "target": target}
        return caption, values

    with tempfile.TemporaryDirectory(prefix="stfnet-benchmark-") as temporary:
        root = Path(temporary)
        clips = root / "videos" / "clips"
        cuts = np.linspace(0, pairs, CLIPS_PER_WORKER * workers + 1).astype(int)
        films.write_clips(clips, films.film(FLAGS.video, pairs + 1), np.diff(cuts).tolist())
        grey = decoded(clips, FLAGS.size)
        reference = np.stack(solve_by_opencv(grey, 1))
        flow.tvl1(grey[:2], quality="fast")  # compiles
        turns = [turn(root / str(k), grey, workers) for k in range(FLAGS.repeats)]
        for name, (unit, of_turn, target) in figures(pairs, cores).items():
            values = [of_turn(one) for one in turns]
            spread = f"{min(values):.3g} to {max(values):.3g}"
            yield row(name, statistics.median(values), unit, target, spread)
        agreed = 100 * agreement(flow.tvl1(grey, quality="fast"), reference)
        yield row("fast flow within one level of the reference", agreed, "%", "at least 99 %")
        agreed = 100 * self_agreement(grey, reference)
        yield row("the reference itself, a frame brighter by a millionth", agreed, "%")
        moving = (np.hypot(*np.moveaxis(reference, -1, 0)) > 0.5).mean()
        yield row("pixels that move", 100 * float(moving), "%")
        path = root / "long.mp4"
        loop = list(films.moving_textures(min(LOOP, FLAGS.memory_frames), *films.FULL_HD))
        looped = itertools.islice(itertools.cycle(loop), FLAGS.memory_frames)
        films.write_video(path, looped, films.MPEG_4)
        for count in (FLAGS.memory_frames // 2, FLAGS.memory_frames):
            megabytes = worker_megabytes(path, count)
            name = f"peak memory of a worker, 1080p, {count:,} frames"
            yield row(name, megabytes, "MB", "below 500 MB")


def decoded(folder: Path, size: int) -> np.ndarray:
    """Grey frames of all clips, as preparation makes them, each once: uint8 (N, size, size)."""
    grey: list[np.ndarray] = []
    for path in sorted(folder.iterdir()):
        frames = list(films.grey_frames(path, size))
        grey += frames[1:] if grey else frames  # the first is the last of the clip before
    return np.stack(grey)


class Turn(NamedTuple):
    """Wall time, or processor time, of the works that take turns, in seconds."""

    bare: float  # OpenCV's loop on one core
    bare_processor: float
    together: float  # on all cores
    fast_processor: float  # the fast solver on one core
    reference: float  # preparation, until the last video is converted
    reference_processor: float  # of its workers
    ending: float
    fast: float  # preparation


def turn(root: Path, grey: np.ndarray, workers: int) -> Turn:
    """Each work once, on the clips beside `root`, which takes the records and is removed."""
    cores = min(workers, worker_pool.cores())
    begun = time.process_time()
    bare = timing.seconds(lambda: solve_by_opencv(grey, 1))
    bare_processor = time.process_time() - begun
    together = timing.seconds(lambda: solve_by_opencv(grey, cores))
    fast_processor = timing.seconds(lambda: flow.tvl1(grey, quality="fast"), time.process_time)
    reference = preparation_seconds(root, "reference", workers)
    fast, _, _ = preparation_seconds(root, "fast", workers)
    shutil.rmtree(root)
    return Turn(bare, bare_processor, together, fast_processor, *reference, fast)


def figures(pairs: int, cores: int) -> dict[str, tuple[str, Callable[[Turn], float], str | None]]:
    """What a turn says: name -> (unit, figure, target)."""
    return {
        "bare OpenCV TV-L1 loop, one core": ("pairs/s", lambda t: pairs / t.bare, None),
        "bare loops on all cores at once": ("pairs/s", lambda t: pairs / t.together, None),
        "prepare --flow_quality=reference": ("pairs/s", lambda t: pairs / t.reference, None),
        "prepare --flow_quality=fast": ("pairs/s", lambda t: pairs / t.fast, None),
        "reference: its time, to the bare loop's / cores": (
            "",
            lambda t: t.reference * cores / t.bare,
            "at most 1.1",
        ),
        "reference: its time, to bare loops at once": (
            "",
            lambda t: t.reference / t.together,
            None,
        ),
        "reference: its processor time, to the bare loop's": (
            "",
            lambda t: t.reference_processor / t.bare_processor,
            None,
        ),
        "reference: its ending, once": ("s", lambda t: t.ending, None),
        "fast flow, one core, to the reference": (
            "times",
            lambda t: t.bare_processor / t.fast_processor,
            "at least 2",
        ),
    }


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
    return agreement(np.stack([solver.calc(one, two, None) for one, two in pairs]), reference)


def preparation_seconds(root: Path, quality: str, workers: int) -> tuple[float, float, float]:
    """(seconds until the last video is converted, workers' processor seconds, of the ending).

    Raises:
        UserError: a clip could not be prepared.
    """
    catalogue = class_folders.load(root.parent / "videos")
    local = local_runner(workers, TIME_LIMIT)
    converted = processor = 0.0

    def children_seconds():
        times = os.times()  # of the processes that this one started and that ended
        return times.children_user + times.children_system

    def timed(plan, numbers):
        nonlocal converted, processor
        before = children_seconds()
        yield from local(plan, numbers)
        converted, processor = time.perf_counter(), children_seconds() - before

    settings = conversion.Settings(image_size=FLAGS.size, flow_quality=quality)
    begun = time.perf_counter()
    prepared = prepare.prepare(catalogue, root / quality, settings, timed)
    if prepared.failures:
        raise UserError(f"a clip of the benchmark failed: {prepared.failures[0]['reason']}")
    return converted - begun, processor, time.perf_counter() - converted


def worker_megabytes(path: Path, num_frames: int) -> float:
    """Peak resident memory of a fresh worker that converts the first frames of a video.

    Raises:
        UserError: the video could not be converted.
    """
    task = (path, num_frames, FLAGS.size)
    ((_, result),) = worker_pool.run(_convert_and_weigh, [task], 1, TIME_LIMIT)
    if isinstance(result, worker_pool.Failure):
        raise UserError(f"the 1080p video failed: {result.reason}")
    return result


def _convert_and_weigh(task, report):
    path, num_frames, size = task
    # PNG fills the buffers soon; JPEG keeps a long video below a record's 2 GiB.
    image_format = "png" if num_frames < LONG else "jpeg"
    settings = conversion.Settings(image_size=size, image_format=image_format, flow_quality="fast")
    with (
        records.ExampleWriter("long", 0, path.parent) as writer,
        path.with_name("record").open("wb") as file,
    ):
        conversion.convert(path, writer, settings, report, frame_limit=num_frames)
        writer.write_record(file)
    # Not getrusage: its peak is inherited from the process that started this one.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024
