"""An estimate before a preparation: videos, frames, and the hours and disk they will take."""

import collections
import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from preprocessing import records, worker_pool
from preprocessing import video as video_files
from preprocessing.captions import one_line
from preprocessing.datasets.catalogue import Video
from preprocessing.preparation import conversion

# Pairs of the first videos that are timed; the first pair warms up.
_MEASURED_PAIRS = 6


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The work ahead, with the frames that headers declare; the decoder will count them.

    Attributes:
        frames: class name -> frames that each of its readable videos declares.
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
        """Pairs of neighbouring frames; each becomes a flow field."""
        return sum(max(0, count - 1) for counts in self.frames.values() for count in counts)


def forecast(
    videos: Sequence[Video],
    settings: conversion.Settings,
    workers: int,
    time_limit: float,
) -> Forecast:
    """Reads every file's header, and times the first pairs of one video for each worker.

    Args:
        videos: still to convert.
        settings: what they will be converted to.
        workers: processes that will convert them.
        time_limit: seconds without a frame after which a video is given up.
    """
    paths = list(dict.fromkeys(video.path for video in videos))  # a recording has many segments
    headers = dict(worker_pool.run(_probe, paths, workers, time_limit))
    readable = [v for v in videos if not isinstance(headers[v.path], worker_pool.Failure)]
    frames = collections.defaultdict(list)
    for video in readable:
        frames[video.class_name].append(_num_frames(video, headers[video.path]))
    samples = [(video, settings) for video in readable[:workers]]
    measured = [
        result
        for _, result in worker_pool.run(_measure, samples, workers, time_limit)
        if not isinstance(result, worker_pool.Failure)
    ]
    rates = [rate for rate, _ in measured if rate]
    return Forecast(
        frames=dict(frames),
        unreadable=len(videos) - len(readable),
        # With fewer readable videos than workers, some workers have nothing to do.
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


def _probe(path: Path, report: Callable[[int], None]) -> video_files.Claim:
    claim = video_files.probe(path)
    report(1)
    return claim


def _num_frames(video: Video, header: video_files.Claim) -> int:
    if video.segment is None:
        return header.num_frames
    return video.segment.num_frames(header.fps, header.num_frames)


def _measure(
    task: tuple[Video, conversion.Settings], report: Callable[[int], None]
) -> tuple[float, float]:
    """(pairs a second, bytes a frame) of the first frames of a video; their record is dropped.

    0 pairs a second for a video of one pair, and for `keras`, which the shared device solves.
    """
    video, settings = task
    shared = settings.flow_method == "keras"
    if shared:  # without the device only bytes can be measured, and OpenCV's are as many
        settings = dataclasses.replace(settings, flow_method="opencv")
    times = []

    def timed_report(pairs):
        if pairs:
            times.append(time.monotonic())
        report(pairs)

    with records.ExampleWriter("", 0) as writer:
        limit = _MEASURED_PAIRS + 2
        facts = conversion.convert(
            *(video.path, writer, settings, timed_report, limit),
            segment=video.segment,
            given_flow=video.flow,
        )
        size = writer.size / facts.num_frames
    if shared or len(times) < 2:
        return 0.0, size
    return (len(times) - 1) / (times[-1] - times[0]), size
