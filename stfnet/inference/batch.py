"""Many videos, one answer each: their names to files, and their clips read on all cores."""

import glob
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing import files, worker_pool
from preprocessing.captions import one_line
from preprocessing.datasets import lists, video_tree
from preprocessing.errors import UserError
from preprocessing.video import EXTENSIONS
from stfnet.inference.clip import read_clip
from stfnet.run.config import RunConfig

CSV_FILE = "predictions.csv"
LIST_EXTENSIONS = (".txt", ".lst")
_COLUMNS = ("file", "class", "probability")
_TIME_LIMIT = 300.0  # seconds for a frame or a flow field


def find(names: Sequence[str]) -> tuple[list[Path], bool]:
    """The videos that the command line names, each once, in order; and whether there may be any
    number of them, and not one alone.

    A name is of a video file, a folder of images, a folder of videos, a pattern such as `*.mp4`, or
    a list: a text file of LIST_EXTENSIONS with a path a line, from the list's folder on.

    Raises:
        UserError: a name is an address, a folder, list or pattern has no video, or a list cannot
            be read.
    """
    found: list[Path] = []
    many = len(names) > 1
    for name in names:
        if "://" in name:
            raise UserError(
                f"--video={name} is an address: give --live={name}, or download the video"
            )
        several = _expanded(name)
        if several == []:
            raise UserError(f"--video={name} names no video: name files, or a folder with some")
        many |= several is not None
        found += [Path(name)] if several is None else several
    return list(dict.fromkeys(found)), many


def _expanded(name: str) -> list[Path] | None:
    """What a folder of videos, a list or a pattern names; None where the name is of one video."""
    path = Path(name)
    if path.is_dir():
        return video_tree.find_videos(path) or None
    if path.suffix.lower() in LIST_EXTENSIONS and path.is_file():
        return [path.parent / line for _, line in lists.read_lines(path)]
    if glob.has_magic(name) and not path.exists():
        matching = sorted(map(Path, glob.glob(name, recursive=True)))
        return [one for one in matching if one.is_dir() or one.suffix.lower() in EXTENSIONS]
    return None


def predict(
    model: Any,
    config: RunConfig,
    paths: Sequence[Path],
    output: Path,
    quality: str | None = None,
    show: Callable[[str], None] = print,
    complain: Callable[[str], None] = print,
) -> int:
    """Predicts videos, writes the classes and probabilities to CSV_FILE in their order, and says
    how many cannot be read.

    The clips are read in a process for each core, the flow too, in the quality of the records
    unless another is given. A video that cannot be read is left out. Where an error or Ctrl-C ends
    the work, what is done until then is written. `show` takes a line for each video, in the order
    in which they are done, and `complain` one for each that cannot be read.
    """
    from stfnet.inference import prediction  # Keras, which the processes do without

    output.mkdir(parents=True, exist_ok=True)
    answers: dict[Path, np.ndarray] = {}
    done = 0
    try:
        for path, clip in _clips(config, paths, quality):
            done += 1
            count = f"{done} of {len(paths)}"
            if isinstance(clip, worker_pool.Failure):
                named = clip.reason if str(path) in clip.reason else f"{path}: {clip.reason}"
                complain(f"{count}  {named}")
                continue
            answers[path] = prediction.predict_clip(model, clip)
            ((name, probability),) = prediction.rank(answers[path], config.classes, 1)
            notes = "".join(f"; note: {note}" for note in clip["notes"])
            show(f"{count}  {path}  {one_line(name)} {probability:.1%}{notes}")
    finally:
        answered = [(path, answers[path]) for path in paths if path in answers]
        files.write_csv(output / CSV_FILE, _rows(config.classes, answered))
    return len(paths) - len(answers)


def _rows(
    classes: Sequence[str], answers: Sequence[tuple[Path, np.ndarray]]
) -> Iterator[tuple[str, ...]]:
    yield (*_COLUMNS, *(f"p:{name}" for name in classes))
    for path, probabilities in answers:
        best = int(probabilities.argmax())
        values = (f"{value:.6f}" for value in (probabilities[best], *probabilities))
        yield (files.printable(path), classes[best], *values)


def _clips(
    config: RunConfig, paths: Sequence[Path], quality: str | None
) -> Iterator[tuple[Path, dict[str, Any] | worker_pool.Failure]]:
    workers = min(worker_pool.cores(), len(paths))
    tasks = [(path, config, quality) for path in paths]
    with worker_pool.Pool(workers, _TIME_LIMIT) as pool:
        for (path, *_), result in pool.run(_read, tasks):
            yield path, result


def _read(
    task: tuple[Path, RunConfig, str | None], report: Callable[[int], None]
) -> dict[str, Any]:
    path, config, quality = task
    model = config.model
    return read_clip(
        path,
        model.clip,
        model.streams,
        quality,
        config.records,
        threads=1,
        waiting=lambda: report(0),
    )
