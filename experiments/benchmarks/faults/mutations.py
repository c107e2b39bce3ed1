"""Damages videos, records, checkpoints, networks and exports, and reads them as the programs do."""

import dataclasses
import functools
import hashlib
import logging
import shutil
import time
import warnings
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from experiments.benchmarks.faults import contents, programs
from experiments.benchmarks.faults.tally import Tally
from preprocessing import records, video, worker_pool
from preprocessing.datasets import class_folders as class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, prepare
from preprocessing.records import verification

# Containers keep their tables at one of the ends.
ENDS = 512  # bytes
MOST_BITS = 256
TIME_LIMIT, VIDEO_TIME_LIMIT = 120.0, 20.0  # s, before a reader counts as hung
WORKERS = 2
SETTINGS = conversion.Settings(image_size=16)
VIDEO_FORMATS = {".mp4": "mp4v", ".avi": "XVID", ".mkv": "mp4v", ".mpg": "mpg1", ".mov": "MJPG"}


# Damage -------------------------------------------------------------------------------------


def mutate(content: bytes, generator) -> bytes:
    """Damages the content of a file: other bytes of at least length 0, and never the same.

    One of: 1 to 256 flipped bits; zeros over, random bytes put into, or bytes taken out of a
    stretch of 1 to 4096 bytes; the end cut off. The place is within the first or the last 512 bytes
    two times of three, and anywhere otherwise.

    Args:
        content: at least one byte.
        generator: np.random.Generator.
    """
    while True:
        damaged = _mutate(content, generator)
        if damaged != content:
            return damaged


def _mutate(content, generator):
    reach = min(ENDS, len(content))
    begin, end = ((0, reach), (len(content) - reach, len(content)), (0, len(content)))[
        generator.integers(3)
    ]
    kind = generator.choice(["flip", "zero", "insert", "delete", "truncate"])
    if kind == "flip":
        damaged = np.frombuffer(content, np.uint8).copy()
        for place in generator.integers(begin, end, 2 ** generator.integers(0, 9)):
            damaged[place] ^= 1 << generator.integers(8)
        return damaged.tobytes()
    place, length = int(generator.integers(begin, end)), int(2 ** generator.integers(0, 13))
    before, after = content[:place], content[place + length :]
    if kind == "zero":
        return before + bytes(len(content) - len(before) - len(after)) + after
    if kind == "insert":
        return before + generator.bytes(length) + content[place:]
    return before + after if kind == "delete" else before


# Reading, in worker processes ---------------------------------------------------------------


def _digest(arrays) -> str:
    found = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()


def read_records(folder) -> str:
    """A digest of all images of a record set that is found whole."""
    from preprocessing.records import reader as cache

    record_set = records.load_record_set(folder)
    for recorded in record_set.videos:
        if fault := verification.fault_of(record_set, recorded):
            raise UserError(f"{recorded.id}: {fault}")
    reader = cache.RecordReader(record_set)
    images = []
    for position, recorded in enumerate(record_set.videos):
        count = np.arange(recorded.num_frames)
        images += reader.clips([position], count[None], count[None, :-1, None])
    return _digest(images)


def read_checkpoint(folder) -> str:
    """A digest of the checkpoint that a run would go on with."""
    from stfnet.run import checkpoints

    arrays, state = checkpoints.load_latest(folder)
    names = sorted(arrays)
    text = np.frombuffer(repr((names, state)).encode(), np.uint8)
    return _digest([text, *(arrays[name] for name in names)])


def read_network(folder) -> str:
    """A digest of a run's network and configuration."""
    import keras

    from stfnet.inference import prediction

    keras.backend.clear_session()
    model, config = prediction.load_run(folder)
    text = np.frombuffer(repr(config).encode(), np.uint8)
    return _digest([text, *(np.asarray(variable) for variable in model.weights)])


def read_export(folder) -> tuple:
    """What an export answers: configuration, class names and the probabilities of a clip."""
    from stfnet.inference import export

    model, config = export.load_export(folder)
    names = (folder / export.CLASSES_FILE).read_text()
    probabilities = model.predict_on_batch(programs.random_clip(config))
    return repr(config), names, tuple(map(float, probabilities.ravel()))


@dataclasses.dataclass(frozen=True)
class Task:
    """A folder to be copied, damaged and read.

    Attributes:
        read: function of a folder, importable by name.
        source: the undamaged folder.
        copy: where its copy goes, and is removed again.
        file: which file is damaged; None: none.
        seed: of the damage.
    """

    read: Callable
    source: Path
    copy: Path
    file: str | None = None
    seed: tuple = ()


def damage_and_read(task: Task, report=lambda amount: None):
    """Does a task and returns what `task.read` does."""
    shutil.copytree(task.source, task.copy)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # that a damaged checkpoint is passed over
    try:
        if task.file:
            path = task.copy / task.file
            path.write_bytes(mutate(path.read_bytes(), np.random.default_rng(task.seed)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return task.read(task.copy)
    finally:
        logging.disable(before)
        shutil.rmtree(task.copy)


# Counting -----------------------------------------------------------------------------------


def judge(result, accepted: Iterable) -> tuple[str, str]:
    """(outcome, reason) of what a worker returned for a damaged folder.

    Args:
        result: of the reader, or `runner.Failure`.
        accepted: results that are right.
    """
    if isinstance(result, worker_pool.Failure):
        if result.outcome == "refused":
            return "survived", ""
        return "lost", f"{result.outcome}: {result.reason}"
    if any(_equal(result, right) for right in accepted):
        return "survived", ""
    return "wrong", "read as if it were whole, with another result"


def _equal(ours, theirs):
    return contents.difference(_listed(ours), _listed(theirs)) is None


def _listed(value):
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def _files(folder, pattern="*"):
    found = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return [str(path.relative_to(folder)) for path in found if path.stat().st_size]


def _tasks(name, road, scratch, count, seed):
    """(tasks that give the right results, tasks with damage)."""
    read, source, chosen = {
        "records": lambda: (read_records, road.records, None),
        "checkpoints": lambda: (read_checkpoint, road.run / "checkpoints", None),
        "networks": lambda: (read_network, road.run, ["best.keras"]),
        "exports": lambda: (read_export, road.export, None),
    }[name]()
    task = functools.partial(Task, read)
    right = [task(source, scratch / "right")]
    if name == "records":  # half of the damage to the shards, half to the metadata
        chosen = [records.METADATA_FILE, *_files(source, "*.tfrecord-*")]
    elif name == "checkpoints":  # the newest is damaged, and the one before it is as good
        chosen = _files(source, "*.npz")[-1:]
        older = scratch / "older"
        shutil.copytree(source, older)
        (older / chosen[0]).unlink()
        right.append(task(older, scratch / "right-older"))
    elif name == "networks":  # without the rest of the run
        source = scratch / "whole"
        source.mkdir()
        for file in ("config.json", "best.keras"):
            shutil.copy(road.run / file, source / file)
    chosen = chosen or _files(source)
    damaged = [
        task(
            source,
            scratch / str(number),
            chosen[number % len(chosen)],
            (seed, zlib.crc32(name.encode()), number),
        )
        for number in range(count)
    ]
    return right, damaged


def damage(name: str, road, scratch: Path, count: int, seed: int) -> Tally:
    """Damages files of one kind, each in a copy of its own, and reads them.

    Args:
        name: `videos`, `records`, `checkpoints`, `networks` or `exports`.
        road: fault_programs.Road, for undamaged files.
        scratch: folder to be made for the copies.
        count: of damaged files.
        seed: of what is drawn.
    """
    if name == "videos":
        return damage_videos(scratch, count, seed)
    scratch.mkdir(parents=True)
    right, damaged = _tasks(name, road, scratch, count, seed)
    tally, begun = Tally(name), time.monotonic()
    accepted = [result for _, result in worker_pool.run(damage_and_read, right, 1, TIME_LIMIT)]
    for result in accepted:
        if isinstance(result, worker_pool.Failure):
            raise UserError(f"undamaged {name} are not read: {result.reason}")
    results = worker_pool.run(damage_and_read, damaged, WORKERS, TIME_LIMIT)
    for task, result in tqdm(results, total=count, desc=f"damaged {name}", leave=False):
        outcome, reason = judge(result, accepted)
        tally.add(outcome, f"{task.file} {task.copy.name}", reason)
    tally.seconds = time.monotonic() - begun
    return tally


def judge_video(name: str, failures, recorded) -> tuple[str, str]:
    """(outcome, reason) of a damaged video.

    Args:
        name: of the video.
        failures: id -> row of failures.jsonl.
        recorded: ids of the videos whose record is whole.
    """
    if (name in failures) == (name in recorded):
        return "lost", "it is not either in the records or among the failures"
    failure = failures.get(name, {})
    if failure.get("outcome") == "error":
        return "lost", failure["reason"]
    return "survived", ""


def _write_formats(folder):
    """The same frames as a video of each format; returns their paths."""
    programs.write_videos(folder.parent / "frames", groups=1)
    (film,) = (folder.parent / "frames" / "Right").iterdir()
    frames = [cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) for frame in video.read_frames(film)]
    folder.mkdir()
    paths = [folder / f"whole-{suffix[1:]}{suffix}" for suffix in VIDEO_FORMATS]
    for path, code in zip(paths, VIDEO_FORMATS.values(), strict=True):
        writer = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*code), 25, frames[0].shape[1::-1]
        )
        for frame in frames:
            writer.write(frame)
        writer.release()
    return paths


def damage_videos(scratch: Path, count: int, seed: int) -> Tally:
    """Prepares whole videos among damaged ones of five formats.

    A damaged video survives as a record or as a named failure; it is lost where the failure is an
    exception that nothing foresaw or it is in neither list, and wrong where the record of a whole
    video is another than without damaged ones.
    """
    tally, begun = Tally("videos"), time.monotonic()
    whole = _write_formats(scratch / "whole" / "class")
    expected = {path.stem: conversion.example(path, path.stem, 0, SETTINGS) for path in whole}
    folder = scratch / "videos" / "class"
    shutil.copytree(scratch / "whole" / "class", folder)
    for number in range(count):
        path = whole[number % len(whole)]
        generator = np.random.default_rng([seed, zlib.crc32(b"videos"), number])
        damaged = folder / f"damaged-{number:05d}{path.suffix}"
        damaged.write_bytes(mutate(path.read_bytes(), generator))
    local = prepare.local_runner(WORKERS, VIDEO_TIME_LIMIT)

    def run(made, numbers):
        yield from tqdm(
            local(made, numbers), total=len(numbers), desc="damaged videos", leave=False
        )

    prepared = prepare.prepare(
        class_folders.load(folder.parent),
        scratch / "records",
        SETTINGS,
        {"num_frames": 3, "flow_length": 4},
        run,
    )
    failures = {failure["id"]: failure for failure in prepared.failures}
    recorded = {entry.id: entry for entry in prepared.record_set.videos}
    broken = {fault.video_id: fault for fault in verification.verify(prepared.record_set, WORKERS)}
    spoiled = [
        name
        for name, example in expected.items()
        if name not in recorded
        or name in broken
        or records.read_record(
            prepared.record_set.shard_paths[recorded[name].shard],
            recorded[name].offset,
            recorded[name].length,
        )
        != records.read_example(example)
    ]
    for number in range(count):
        name = f"damaged-{number:05d}"
        outcome, reason = judge_video(name, failures, recorded.keys() - broken.keys())
        tally.add(outcome, name, reason)
    if spoiled:
        tally.add("wrong", min(spoiled), "a whole video has another record among damaged ones")
    tally.seconds = time.monotonic() - begun
    return tally
