"""Damages videos and prepares them among whole ones."""

import shutil
import time
import zlib
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments.benchmarks import films
from experiments.benchmarks.faults.mutations import mutate
from experiments.benchmarks.faults.tally import Tally
from preprocessing import records
from preprocessing.datasets import class_folders
from preprocessing.preparation import conversion, prepare
from preprocessing.preparation.local import local_runner
from preprocessing.records import verification

TIME_LIMIT = 20.0  # s without a frame, before a video counts as hung
WORKERS = 2
SETTINGS = conversion.Settings(image_size=16)
FORMATS = {".mp4": "mp4v", ".avi": "XVID", ".mkv": "mp4v", ".mpg": "mpg1", ".mov": "MJPG"}


def judge(name: str, failures: Mapping, recorded: Collection) -> tuple[str, str]:
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
    wall, square = films.noise_textures(1, 2, 48, 64)
    corners = [(12, 20 + 2 * k) for k in range(9)]
    folder.mkdir(parents=True)
    paths = [folder / f"whole-{suffix[1:]}{suffix}" for suffix in FORMATS]
    for path, codec in zip(paths, FORMATS.values(), strict=True):
        films.write_video(path, films.moving_square(wall, square[:24, :24], corners), codec, 25)
    return paths


def _records(record_set, names):
    """The records of some videos of a set: id -> features."""
    return {
        entry.id: records.read_video(record_set, entry)
        for entry in record_set.videos
        if entry.id in names
    }


def damage_videos(scratch: Path, count: int, seed: int) -> Tally:
    """Prepares whole videos among damaged ones of five formats.

    A damaged video survives as a record or as a named failure; it is lost where the failure is an
    unexpected exception or it is in neither list. The outcome is wrong where a whole video has
    another record than without damaged ones.
    """
    tally, begun = Tally("videos"), time.monotonic()
    whole = _write_formats(scratch / "whole" / "class")
    folder = scratch / "videos" / "class"
    shutil.copytree(scratch / "whole" / "class", folder)
    for number in range(count):
        path = whole[number % len(whole)]
        generator = np.random.default_rng([seed, zlib.crc32(b"videos"), number])
        damaged = folder / f"damaged-{number:05d}{path.suffix}"
        damaged.write_bytes(mutate(path.read_bytes(), generator))
    local = local_runner(WORKERS, TIME_LIMIT)

    def run(plan, numbers):
        results = local(plan, numbers)
        yield from tqdm(results, total=len(numbers), desc="damaged videos", leave=False)

    undamaged = prepare.prepare(
        class_folders.load(scratch / "whole"), scratch / "whole-records", SETTINGS, local
    )
    prepared = prepare.prepare(
        class_folders.load(folder.parent), scratch / "records", SETTINGS, run
    )
    failures = {failure["id"]: failure for failure in prepared.failures}
    recorded = {entry.id for entry in prepared.record_set.videos}
    recorded -= {fault.video_id for fault in verification.verify(prepared.record_set, WORKERS)}
    for number in range(count):
        name = f"damaged-{number:05d}"
        outcome, reason = judge(name, failures, recorded)
        tally.add(outcome, name, reason)
    expected = _records(undamaged.record_set, {path.stem for path in whole})
    actual = _records(prepared.record_set, expected.keys() & recorded)
    spoiled = [name for name, record in expected.items() if record != actual.get(name)]
    if spoiled:
        tally.add("wrong", min(spoiled), "a whole video has another record among damaged ones")
    tally.seconds = time.monotonic() - begun
    return tally
