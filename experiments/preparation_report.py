"""What `experiments.prepare` says to the person at the terminal: refusals, progress, results."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from experiments import program
from experiments.program import counted
from preprocessing import files, records, splits
from preprocessing.datasets import load
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.datasets.titles import title
from preprocessing.errors import UserError
from preprocessing.flow import constants, device
from preprocessing.preparation import conversion, estimate, prepare, stock
from preprocessing.records import outcomes, summary, verification

_DIFFERENCES_FILE = "differences.txt"
_SHOWN_DIFFERENCES = 20
_SHOWN_NAMES = 3
_OF_VERIFYING = ("verify", "workers", "time_limit")
# (flag, whether its value is one beside which the others have no effect, those others).
_INEFFECTIVE: tuple[tuple[str, Callable[[Any], bool], list[str]], ...] = (
    ("runner", lambda name: name == "local", ["beam_options"]),
    ("runner", lambda name: name == "beam", ["workers", "flow_batch"]),
    ("flow", lambda flow: flow == constants.GIVEN, ["flow_method", "flow_quality", "flow_batch"]),
    ("flow_method", lambda method: method == "opencv", ["flow_batch"]),
    ("flow_method", lambda method: method == "keras", ["flow_quality"]),
    ("image_format", lambda name: name == "png", ["jpeg_quality"]),
    ("frame_grid", lambda grid: not grid, ["flow_length"]),
    (
        "source",
        lambda source: _kind(source) != "synthetic",
        ["seed", "synthetic_groups", "synthetic_clips"],
    ),
    ("source", lambda source: _kind(source) not in ("synthetic", "tfds"), ["videos"]),
    ("source", lambda source: _kind(source) != "folder", ["flow"]),
)


def check_flags(module: str):
    """Refuses flags of a module that are missing or that have no effect beside the others."""
    if flags.FLAGS["verify"].value:
        own = [flag.name for flag in flags.FLAGS.get_flags_for_module(module)]
        ineffective = [name for name in own if name not in _OF_VERIFYING]
        return program.refuse_without_effect(ineffective, "with --verify")
    for name in ("source", "output"):
        if not flags.FLAGS[name].value:
            raise UserError(f"--{name} is missing (--help lists the flags)")
    program.output_folder("output")
    for name, applies, ineffective in _INEFFECTIVE:
        value = flags.FLAGS[name].value
        if applies(value):
            program.refuse_without_effect(ineffective, f"with --{name}={value}")
    if flags.FLAGS["videos"].value:
        program.output_folder("videos")


def _kind(source: str) -> str:
    return source.partition(":")[0]


def verify(folder: Path, workers: int, time_limit: float):
    """Reads a record set back, prints what is damaged, and raises a UserError if something is."""
    record_set = records.load_record_set(folder, every_class=True)
    with _bar(" videos", len(record_set.videos)) as bar:
        faults = verification.verify(record_set, workers, time_limit, bar.update)
    _show_faults(record_set, faults)


def show_source(source: load.Source, catalogue: Catalogue, output: Path):
    """Prints what a source holds, what is taken of it, and how each protocol would divide it.

    All differences from a published collection go to a file in the output folder.
    """
    _show_count(source.catalogue, source.catalogue.name)
    for line in (*source.catalogue.left_out, *source.differences[:_SHOWN_DIFFERENCES]):
        print(line)
    if source.differences:
        output.mkdir(parents=True, exist_ok=True)
        files.write_text(output / _DIFFERENCES_FILE, "\n".join(source.differences) + "\n")
        print(f"{output / _DIFFERENCES_FILE} lists every difference from the published collection")
    if catalogue != source.catalogue:
        _show_count(catalogue, "taken of it")
    called = title(catalogue.name, (video.class_name for video in catalogue.videos))
    _show_title(catalogue.name, called)
    print(*splits.table(splits.divisions(catalogue.videos)), sep="\n")


def _show_count(catalogue: Catalogue, name: str):
    videos, classes = len(catalogue.videos), len(catalogue.classes)
    print(f"{name}: {counted(videos, 'video')} of {counted(classes, 'class', 'classes')}")


def _show_title(name: str, title: str):
    if title != name:
        print(f"figures of it stand under {title}, not beside published ones of {name}")


def show_flow(catalogue: Catalogue, settings: conversion.Settings):
    """Prints whether flow that is there already is read, and as what."""
    ready = sum(video.flow is not None for video in catalogue.videos)
    videos = counted(len(catalogue.videos), "video")
    if settings.flow_method == constants.GIVEN:
        print(
            f"flow given for {ready} of {videos}: 0..255 is read as"
            f" -{settings.flow_bound:g}..{settings.flow_bound:g} pixels (--flow_bound)."
            " Of new videos, experiments.predict computes TV-L1 itself"
        )
    elif ready:
        have = counted(ready, f"of {videos} has", f"of {videos} have")
        print(
            f"{have} ready-made flow, which is not read: --flow=given takes it, and none is"
            " computed"
        )


class Progress:
    """The estimate before a preparation, a bar during it, and then what the device did."""

    def __init__(self, settings: conversion.Settings, runner: str, workers: int, time_limit: float):
        self._settings, self._runner = settings, runner
        self._workers, self._time_limit = workers, time_limit
        self._bar: tqdm | None = None
        self._statistics: device.Statistics | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, error_type, *_):
        if self._bar:
            self._bar.close()
        if self._statistics and not error_type:
            print(self._statistics)

    def announce(self, videos: Sequence[Video], changes: str):
        """Prints what has changed, how long the videos will take, and starts the bar."""
        if changes:
            print(changes, flush=True)
        if not videos:
            return
        forecast = estimate.forecast(videos, self._settings, self._workers, self._time_limit)
        print(*estimate.table(forecast), sep="\n", flush=True)
        if self._runner == "beam":
            print("the hours are this machine's: Beam's workers have their own number and speed")
        self._bar = _bar(" pairs", forecast.pairs)

    def update(self, pairs: int):
        if self._bar:
            self._bar.update(pairs)

    def measured(self, statistics: device.Statistics):
        self._statistics = statistics


def show_prepared(prepared: prepare.Prepared, allowed: int):
    """Prints what was prepared; a UserError where more videos failed than are allowed."""
    record_set, failed = prepared.record_set, len(prepared.failures)
    counts, folder = record_set.counts, record_set.folder
    state = f"{prepared.converted} converted now" if prepared.changed else "finished before"
    print(
        f"{folder}: {counted(counts['videos'], 'video')}, {counted(counts['frames'], 'frame')},"
        f" {failed} failed ({state}), SHA-256 {record_set.sha256 or 'unknown'}"
    )
    _show_title(record_set.name, record_set.title)
    if empty := prepared.record_set.empty_classes():
        total = len(prepared.record_set.classes)
        have = f"of {total} classes have no video in the records and will be no classes"
        has = f"of {total} classes has no video in the records and will be no class"
        print(f"{counted(len(empty), has, have)} of a network: {_some(empty)}")
    copies = [row for row in prepared.notes if row["outcome"] == stock.COPY]
    if copies:
        pairs = _some([f"{row['id']} {row['reason']}" for row in copies])
        print(f"{counted(len(copies), 'copy', 'copies')} in another class, group or part: {pairs}")
    if notes := len(prepared.notes):
        print(
            f"{counted(notes, 'note')}: such videos are in the records, repaired or"
            f" doubtful, {folder / outcomes.NOTES_FILE} says why"
        )
    if rates := summary.rates_that_differ(prepared.record_set):
        print(rates)
    if failed > allowed:
        raise UserError(
            f"{failed} of {counted(counts['videos'] + failed, 'video')} could not be used,"
            f" {allowed} allowed: the first because {prepared.failures[0]['reason']}."
            f" The records hold the others; {folder / outcomes.FAILURES_FILE} lists all. Repair"
            f" them and run the same command again, or set --allow_failures={failed}"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN_NAMES]) + ", ..." * (len(names) > _SHOWN_NAMES)


def _bar(unit: str, total: int) -> tqdm:
    """A bar with rate and time left."""
    # A log file gets a line a minute.
    shown_every = 0.5 if sys.stderr.isatty() else 60
    return tqdm(total=total, unit=unit, smoothing=0.1, mininterval=shown_every, leave=False)


def _show_faults(record_set: records.RecordSet, faults: Sequence[verification.Fault]):
    for fault in faults:
        print(" ".join(filter(None, [fault.shard, fault.video_id])) + f": {fault.reason}")
    shards = sorted({fault.shard for fault in faults})
    if shards == [records.METADATA_FILE]:
        raise UserError(
            f"the records of {record_set.folder} are whole, {records.METADATA_FILE} lists others"
            " than it was written for: copy it again from where the set was made, or, if the"
            ' change was meant, set its "sha256" to "" and run the same experiments.prepare again'
        )
    if faults:
        videos = counted(len(record_set.videos), "video")
        raise UserError(
            f"{counted(len(faults), f'of {videos} is', f'of {videos} are')} damaged: delete"
            f" {', '.join(shards)} in {record_set.folder} and run the same experiments.prepare"
            " again, which makes only their videos again"
        )
    print(f"{record_set.folder}: {counted(len(record_set.videos), 'video')} read back, all whole")
    print(
        f"SHA-256 {record_set.sha256}"
        if record_set.sha256
        else "no SHA-256 to compare with: run the same experiments.prepare again to add them"
    )
