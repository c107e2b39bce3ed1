"""Damages records, checkpoints, networks and exports, and reads them as the programs do."""

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

import numpy as np
from tqdm import tqdm

from experiments.benchmarks.faults import contents, programs
from experiments.benchmarks.faults.mutations import mutate
from experiments.benchmarks.faults.tally import Tally
from preprocessing import records, worker_pool
from preprocessing.errors import UserError
from stfnet import run

TIME_LIMIT = 120.0  # s, before a reader counts as hung
WORKERS = 2


# Reading, in worker processes.


def _digest(arrays) -> str:
    sums = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        sums.update(f"{array.dtype}{array.shape}".encode())
        sums.update(array.tobytes())
    return sums.hexdigest()


def read_records(folder) -> str:
    """A digest of all images of a record set, after it was verified."""
    from preprocessing.records import reader, verification

    record_set = records.load_record_set(folder)
    for recorded in record_set.videos:
        if fault := verification.fault_of(record_set, recorded):
            raise UserError(f"{recorded.id}: {fault}")
    record_reader = reader.RecordReader(record_set)
    images: list[np.ndarray] = []
    for position, recorded in enumerate(record_set.videos):
        count = np.arange(recorded.num_frames)
        images += record_reader.clips([position], count[None], count[None, :-1, None])
    return _digest(images)


def read_checkpoint(folder) -> str:
    """A digest of the checkpoint that a run would resume from."""
    from stfnet.run import checkpoints

    checkpoint = checkpoints.load_latest(folder)
    if checkpoint is None:
        raise ValueError(f"{folder} has no checkpoint")
    arrays, state = checkpoint
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
    logging.disable(logging.WARNING)  # that a damaged checkpoint is skipped
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


# Counting.


def judge(result, accepted: Iterable) -> tuple[str, str]:
    """(outcome, reason) of what a worker returned for a damaged folder.

    Args:
        result: of the reader, or `worker_pool.Failure`.
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
    paths = (path for path in sorted(folder.rglob(pattern)) if path.is_file())
    return [str(path.relative_to(folder)) for path in paths if path.stat().st_size]


def _tasks(name, references, scratch, count, seed):
    """(tasks that give the right results, tasks with damage)."""
    if name == "records":  # half of the damage to the shards, half to the metadata
        task, source = functools.partial(Task, read_records), references.records
        chosen = [records.METADATA_FILE, *_files(source, "*.tfrecord-*")]
    elif name == "checkpoints":
        task = functools.partial(Task, read_checkpoint)
        source = references.run / run.CHECKPOINTS_FOLDER
        chosen = _files(source, "*.npz")[-1:]
    elif name == "networks":  # without the rest of the run
        task, source = functools.partial(Task, read_network), scratch / "whole"
        source.mkdir()
        for file in (run.CONFIG_FILE, run.BEST_FILE):
            shutil.copy(references.run / file, source / file)
        chosen = [run.BEST_FILE]
    else:
        task, source = functools.partial(Task, read_export), references.export
        chosen = _files(source)
    right = [task(source, scratch / "right")]
    if name == "checkpoints":  # the newest is damaged, and the one before it is as good
        older = scratch / "older"
        shutil.copytree(source, older)
        (older / chosen[0]).unlink()
        right.append(task(older, scratch / "right-older"))
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


def damage(
    name: str, references: programs.References, scratch: Path, count: int, seed: int
) -> Tally:
    """Damages files of one kind, each in a copy of its own, and reads them.

    Args:
        name: `records`, `checkpoints`, `networks` or `exports`.
        references: have the undamaged files.
        scratch: folder to be made for the copies.
        count: of damaged files.
        seed: of what is drawn.
    """
    scratch.mkdir(parents=True)
    right, damaged = _tasks(name, references, scratch, count, seed)
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
