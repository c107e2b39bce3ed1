"""What a preparation has before it: videos, frames, and the hours and disk they will take."""

import collections
import dataclasses
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from preprocessing import records, video, worker_pool
from preprocessing.captions import one_line
from preprocessing.datasets import catalogue
from preprocessing.preparation import conversion

# Pairs of the first videos that are timed; the first pair warms up.
_MEASURED_PAIRS = 6


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The work ahead. Frames are those that headers claim; the decoder will count them.

    Attributes:
        frames: class name -> frames claimed by each of its readable videos.
        unreadable: videos whose header does not open.
        pairs_per_second: of all workers together, 0 if no video could be timed, or if the flow
            comes from a device that they share.
        bytes_per_frame: of a frame and its flow field in the records.
    """

    frames: dict[str, list[int]]
    unreadable: int
    pairs_per_second: float
    bytes_per_frame: float

    @property
    def pairs(self) -> int:
        """Pairs of neighbouring frames, each with a flow field."""
        return sum(max(0, count - 1) for counts in self.frames.values() for count in counts)


def survey(
    videos: Sequence[catalogue.Video],
    settings: conversion.Settings,
    workers: int,
    time_limit: float,
) -> Forecast:
    """Reads every header and times the first pairs of one video for each worker."""
    claims = dict(worker_pool.run(_probe, [video.path for video in videos], workers, time_limit))
    frames = collections.defaultdict(list)
    for listed in videos:
        claim = claims[listed.path]
        if not isinstance(claim, worker_pool.Failure):
            frames[listed.class_name].append(claim.num_frames)
    readable = [v for v in videos if not isinstance(claims[v.path], worker_pool.Failure)]
    samples = [(v.path, settings) for v in readable[:workers]]
    measured = [
        result
        for _, result in worker_pool.run(_measure, samples, workers, time_limit)
        if not isinstance(result, worker_pool.Failure)
    ]
    rates = [rate for rate, _ in measured if rate]
    return Forecast(
        frames=dict(frames),
        unreadable=len(videos) - len(readable),
        # Fewer videos than workers were timed where fewer are readable; they share alike.
        pairs_per_second=statistics.mean(rates) * min(workers, len(readable)) if rates else 0.0,
        bytes_per_frame=statistics.mean(size for _, size in measured) if measured else 0.0,
    )


def table(forecast: Forecast) -> list[str]:
    """The forecast as lines for the terminal."""
    rows = [(one_line(name, 40), frames) for name, frames in sorted(forecast.frames.items())]
    everything = [count for _, frames in rows for count in frames]
    width = max([5, *(len(name) for name, _ in rows)])
    lines = [f"{'class':<{width}}  videos    frames  shortest  longest"]
    for name, frames in [*rows, ("total", everything)]:
        if frames:
            lines.append(
                f"{name:<{width}}  {len(frames):>6}  {sum(frames):>8}  {min(frames):>8}"
                f"  {max(frames):>7}"
            )
    if forecast.unreadable:
        lines.append(f"{forecast.unreadable} videos do not open and will be listed as failed")
    if forecast.pairs_per_second:
        hours = forecast.pairs / forecast.pairs_per_second / 3600
        gigabytes = sum(everything) * forecast.bytes_per_frame / 1e9
        lines.append(
            f"about {hours:.2f} hours at {forecast.pairs_per_second:.1f} pairs/s, {gigabytes:.2f}"
            " GB of disk (frames as the headers claim, rate of the first videos)"
        )
    elif forecast.bytes_per_frame:
        gigabytes = sum(everything) * forecast.bytes_per_frame / 1e9
        lines.append(
            f"{gigabytes:.2f} GB of disk (frames as the headers claim); the hours show once the"
            " device is at work"
        )
    return lines


def _probe(path: Path, report) -> video.Claim:
    claim = video.probe(path)
    report(1)
    return claim


def _measure(task: tuple[Path, conversion.Settings], report) -> tuple[float, float]:
    """(pairs a second, bytes a frame) over the first frames of a video, which are dropped."""
    path, settings = task
    shared = settings.flow_method == "keras"
    if shared:  # only its bytes can be told without the device, and OpenCV's are as many
        settings = dataclasses.replace(settings, flow_method="opencv")
    times = []

    def note(pairs):
        times.append(time.monotonic())
        report(pairs)

    with records.ExampleWriter("", 0) as writer:
        limit = _MEASURED_PAIRS + 2
        facts = conversion.convert(path, writer, settings, note, frame_limit=limit)
        size = writer.size / facts.num_frames
    timed = len(times) > 1 and not shared
    return (len(times) - 1) / (times[-1] - times[0]) if timed else 0.0, size
