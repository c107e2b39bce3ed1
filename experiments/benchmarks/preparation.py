"""Preparation on this machine, against a bare OpenCV loop over the same pairs of frames.

    python -m experiments.benchmark preparation [--video=FILE] [--workers=W] [--output=JSON]

The bare loop holds the frames decoded and does nothing but TV-L1, on one core. Its time divided by
the cores that the workers can use is what preparation is measured against: 1.00 would mean that
decoding, resizing, encoding and writing cost nothing. The ending of a preparation (joining the
shards and describing them to TensorFlow Datasets) takes seconds once, however large the set, and
is told apart. Bare loops on all cores at once show what the cores lose to each other. Processor
time a pair is compared as well: it hardly changes where other programs want the cores, as the wall
time does.

The memory is the peak of a worker's resident set over its life, on a 1080p video, at half and at
all of its frames. A short one is stored losslessly, so that the buffers for images fill all the
same.
"""

import itertools
import json
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from experiments import program
from preprocessing import flow, records, video, worker_pool
from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner

FLAGS = flags.FLAGS

TARGET_RATIO, TARGET_MEGABYTES, TARGET_SPEEDUP, TARGET_AGREEMENT = 1.1, 500, 2.0, 0.99
_CLIPS_PER_WORKER = 2
_CLIP_SIZE, _FULL_HD = (320, 240), (1920, 1080)  # width, height
_LOOP = 24  # different frames of the 1080p video
_LONG = 4_000  # frames
_TIME_LIMIT = 300.0


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


def moving_textures(count, width, height):
    """BGR uint8 frames: a textured square crosses a wall before a camera that drifts."""
    rng = np.random.default_rng(0)
    wall, square = (
        cv2.resize(rng.integers(0, 256, (40, 60, 3), np.uint8), (2 * width, 2 * height))
        for _ in range(2)
    )
    side = height // 3
    for t in range(count):
        drift = np.float32([[1, 0, -0.7 * t % width], [0, 1, -0.3 * t % height]])
        frame = cv2.warpAffine(wall, drift, (width, height), borderMode=cv2.BORDER_WRAP)
        left, top = 3 * t % (width - side), t % (height - side)
        frame[top : top + side, left : left + side] = square[:side, :side]
        yield frame


def film_frames(path, count):
    """The first `count` BGR frames of a video, forwards and backwards as often as it takes."""
    frames = [cv2.cvtColor(f, cv2.COLOR_RGB2BGR) for f in video.read_frames(path)][:count]
    if len(frames) < 2:
        raise UserError(f"{path} has {len(frames)} frame: flow needs two")
    there_and_back = itertools.cycle(frames + frames[-2:0:-1])
    return itertools.islice(there_and_back, count)


def write_clips(folder, frames, count):
    """Writes frames as `count` videos that share a frame with the next, so that no pair is lost."""
    frames = list(frames)
    folder.mkdir(parents=True)
    cuts = np.linspace(0, len(frames) - 1, count + 1).astype(int)
    for number, (first, last) in enumerate(itertools.pairwise(cuts)):
        path = folder / f"clip{number:03d}.avi"
        # Every frame is coded by itself here, so the shared frames decode alike.
        write_video(path, frames[first : last + 1], "MJPG")


def write_video(path, frames, fourcc):
    """Writes BGR frames as a video."""
    writer = None
    for frame in frames:
        if writer is None:
            size = frame.shape[1::-1]
            writer = cv2.VideoWriter(
                str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*fourcc), 30, size
            )
        writer.write(frame)
    writer.release()


def decoded(folder, size):
    """Grey frames of all clips, as preparation makes them, each once: uint8 (N, size, size)."""
    grey = []
    for path in sorted(folder.iterdir()):
        frames = [
            cv2.cvtColor(video.resize(frame, size), cv2.COLOR_RGB2GRAY)
            for frame in video.read_frames(path)
        ]
        grey += frames[1:] if grey else frames
    return np.stack(grey)


def bare_loop(grey):
    """(seconds, processor seconds, fields) of OpenCV's TV-L1 over all pairs, on one core."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    solver = cv2.optflow.DualTVL1OpticalFlow_create()
    begun = time.perf_counter(), time.process_time()
    fields = [solver.calc(first, second, None) for first, second in itertools.pairwise(grey)]
    seconds = time.perf_counter() - begun[0], time.process_time() - begun[1]
    cv2.setNumThreads(threads)
    return *seconds, np.stack(fields)


def bare_loops(grey, workers, folder):
    """Seconds of bare loops in several processes at once, each over its share of the pairs.

    Cores that share caches, memory or an arithmetic unit are slower together than one is alone:
    no division of the work can be faster than this.
    """
    path = folder / "grey.npy"
    np.save(path, grey)
    tasks = [(path, number, workers) for number in range(workers)]
    spans = [span for _, span in worker_pool.run(_bare_share, tasks, workers, _TIME_LIMIT)]
    begun, ended = zip(*spans, strict=True)
    return max(ended) - min(begun)


def _bare_share(task, _):
    """Begin and end of one process's loop, on the clock that all processes share."""
    path, number, workers = task
    share = np.array_split(np.arange(len(np.load(path)) - 1), workers)[number]
    grey = np.load(path)[share[0] : share[-1] + 2]
    begun = time.monotonic()
    bare_loop(grey)
    return begun, time.monotonic()


def fast_loop(grey):
    """(processor seconds, fields) of the compiled TV-L1 over all pairs, on one core."""
    solver = flow.Solver(quality="fast")
    list(solver.fields(grey[:2]))  # compiles
    begun = time.process_time()
    fields = list(solver.fields(grey))
    return time.process_time() - begun, np.stack(fields)


def agreement(fields, reference):
    """Share of the stored 8-bit values that differ by at most one level."""
    difference = flow.encode(fields).astype(int) - flow.encode(reference)
    return float((np.abs(difference) <= 1).mean())


def preparation_seconds(videos, output, settings, workers):
    """(seconds until the last video is converted, workers' processor seconds, of the ending)."""
    catalogue = class_folders.load(videos)
    local = local_runner(workers, _TIME_LIMIT)
    converted = processor = None

    def timed(made, numbers):
        nonlocal converted, processor
        before = _children_seconds()
        yield from local(made, numbers)
        converted, processor = time.perf_counter(), _children_seconds() - before

    clip = {"num_frames": 17, "flow_length": 4}
    begun = time.perf_counter()
    prepared = prepare.prepare(catalogue, output, settings, clip, timed)
    if prepared.failures:
        raise UserError(f"a clip of the benchmark failed: {prepared.failures[0]['reason']}")
    return converted - begun, processor, time.perf_counter() - converted


def _children_seconds():
    """Processor time of the processes that this one started and that ended."""
    times = os.times()
    return times.children_user + times.children_system


def worker_megabytes(path, num_frames, size):
    """Peak resident memory of a fresh worker that converts the first frames of a video."""
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


def measure(frames, size, workers, memory_frames):
    """Every figure of the table.

    Args:
        frames: BGR frames, uint8 (H, W, 3); one more than pairs.
        size: of the stored frames, in pixels.
        workers: processes.
        memory_frames: frames of the 1080p video.

    Returns:
        dict of figures; seconds, pairs a second, shares and megabytes.
    """
    cores = len(os.sched_getaffinity(0))
    found = {"size": size, "workers": workers, "cores": cores}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        write_clips(root / "videos" / "clips", frames, _CLIPS_PER_WORKER * workers)
        grey = decoded(root / "videos" / "clips", size)
        found["pairs"] = len(grey) - 1
        found["bare_seconds"], found["bare_processor_seconds"], reference = bare_loop(grey)
        found["bare_together_seconds"] = bare_loops(grey, min(workers, cores), root)
        for quality in flow.QUALITIES:
            settings = conversion.Settings(image_size=size, flow_quality=quality)
            output = root / quality
            times = preparation_seconds(root / "videos", output, settings, workers)
            for name, seconds in zip(("", "processor_", "ending_"), times, strict=True):
                found[f"{quality}_{name}seconds"] = seconds
        found["ratio"] = found["reference_seconds"] * min(workers, cores) / found["bare_seconds"]
        found["together_ratio"] = found["reference_seconds"] / found["bare_together_seconds"]
        found["processor_ratio"] = (
            found["reference_processor_seconds"] / found["bare_processor_seconds"]
        )
        fast_seconds, fast = fast_loop(grey)
        found["fast_speedup"] = found["bare_processor_seconds"] / fast_seconds
        found["fast_agreement"] = agreement(fast, reference)
        found["moving_pixels"] = float((np.hypot(*np.moveaxis(reference, -1, 0)) > 0.5).mean())
        path = root / "long.mp4"
        loop = list(moving_textures(min(_LOOP, memory_frames), *_FULL_HD))
        looped = itertools.islice(itertools.cycle(loop), memory_frames)
        write_video(path, looped, "mp4v")
        found["megabytes"] = [
            [count, worker_megabytes(path, count, size)]
            for count in (memory_frames // 2, memory_frames)
        ]
    return found


def table(found):
    """The figures as lines of a Markdown table."""
    pairs, workers = found["pairs"], found["workers"]
    rows = [
        ("bare OpenCV TV-L1 loop, one core", _rate(pairs, found["bare_seconds"]), ""),
        (
            f"bare loops on {min(workers, found['cores'])} cores at once",
            _rate(pairs, found["bare_together_seconds"]),
            "",
        ),
        (
            f"preparation, {workers} workers",
            _rate(pairs, found["reference_seconds"])
            + f"; {found['ratio']:.2f} x bare loop / {min(workers, found['cores'])}",
            f"at most {TARGET_RATIO}",
        ),
        ("the same", f"{found['together_ratio']:.2f} x bare loops at once", ""),
        ("its processor time", f"{found['processor_ratio']:.2f} x bare loop", ""),
        ("its ending, once", f"{found['reference_ending_seconds']:.1f} s", ""),
        (
            f"preparation, {workers} workers, `--flow_quality=fast`",
            _rate(pairs, found["fast_seconds"]),
            "",
        ),
        (
            "fast flow, one core",
            f"{found['fast_speedup']:.1f} x the reference",
            f"at least {TARGET_SPEEDUP:g}",
        ),
        (
            "fast flow within one level of the reference",
            f"{100 * found['fast_agreement']:.2f} % ({100 * found['moving_pixels']:.0f} % of the"
            " pixels move)",
            f"at least {100 * TARGET_AGREEMENT:g} %",
        ),
    ]
    rows += [
        (
            f"peak memory of a worker, 1080p, {count:,} frames",
            f"{size:.0f} MB",
            f"below {TARGET_MEGABYTES} MB",
        )
        for count, size in found["megabytes"]
    ]
    lines = [
        f"{pairs} pairs at {found['size']} x {found['size']}, {found['cores']} cores",
        "",
        "| | measured | target |",
        "|---|---|---|",
    ]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def _rate(pairs, seconds):
    return f"{seconds:.1f} s, {pairs / seconds:.2f} pairs/s"


def main(_):
    if FLAGS.output:
        program.output_file("output")
    count = FLAGS.pairs + 1
    if FLAGS.video:
        frames = film_frames(Path(FLAGS.video), count)
    else:
        frames = moving_textures(count, *_CLIP_SIZE)
    workers = FLAGS.workers or len(os.sched_getaffinity(0))
    found = measure(frames, FLAGS.size, workers, FLAGS.memory_frames)
    print(table(found))
    if FLAGS.output:
        Path(FLAGS.output).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    define_flags()
    program.run(main)
