"""An estimate before a preparation: videos, frames, and the hours and disk they will take."""

import collections
import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from preprocessing import records, worker_pool
from preprocessing import video as video_files
from preprocessing.captions import one_line
from preprocessing.datasets.catalogue import Video
from preprocessing.preparation import conversion

# Headers that are read, spread evenly over the videos: thousands of them would take minutes.
_HEADERS = 500
_LEAST_SAMPLES = 8  # videos that are timed, beside more workers
# What is timed of a video: so many frames, and flow at so many places of them.
_FRAMES, _PLACES, _FIELDS_A_PLACE = 150, 3, 2


@dataclasses.dataclass(frozen=True)
class Forecast:
    """The work ahead, with the frames that headers declare; the decoder will count them.

    Attributes:
        frames: class name -> frames of each of its videos whose header was read and opens.
        unreadable: headers that do not open.
        pairs: pairs of frames whose flow is to be stored, of all videos.
        seconds: of all workers together; 0 if no video could be timed, or if the flow comes from a
            device that they share.
        size: bytes of the records.
    """

    videos: int
    frames: dict[str, list[int]]
    unreadable: int
    pairs: int
    seconds: float
    size: float

    @property
    def of_all(self) -> float:
        """By how much sums over the headers are multiplied to be those of all videos."""
        return self.videos / (sum(map(len, self.frames.values())) + self.unreadable)


class _Cost(NamedTuple):
    """Of one video: seconds a frame that is decoded, and a pair; bytes a frame, and a field."""

    frame: float
    pair: float
    frame_bytes: float
    field_bytes: float


def forecast(
    videos: Sequence[Video],
    settings: conversion.Settings,
    workers: int,
    time_limit: float,
) -> Forecast:
    """Reads the headers of at most _HEADERS files, and times parts of a few videos.

    Args:
        videos: still to convert; at least one.
        time_limit: seconds without a frame after which a video is given up.
    """
    some = _spread(videos, _HEADERS)
    paths = list(dict.fromkeys(video.path for video in some))  # a recording has many segments
    headers = dict(worker_pool.run(_probe, paths, workers, time_limit))
    readable = [v for v in some if not isinstance(headers[v.path], worker_pool.Failure)]
    selection = video_files.Selection(settings.fps, settings.repeats)
    frames = collections.defaultdict(list)
    stored = np.zeros(2)  # frames, fields
    for video in readable:
        header = headers[video.path]
        count = selection.num_frames(header.num_frames, header.fps, video.segment)
        frames[video.class_name].append(count)
        stored += [len(numbers) for numbers in settings.stored(count)]
    samples = [(v, settings) for v in _spread(readable, max(_LEAST_SAMPLES, workers))]
    costs = [
        result
        for _, result in worker_pool.run(_measure, samples, workers, time_limit)
        if not isinstance(result, worker_pool.Failure)
    ]
    seconds = size = 0.0
    if costs:
        frame, pair, frame_bytes, field_bytes = np.mean(costs, axis=0)
        size = frame_bytes * stored[0] + field_bytes * stored[1]
        if settings.flow_method != "keras":
            decoded = sum(map(sum, frames.values()))
            # With fewer readable videos than workers, some workers have nothing to do.
            seconds = (frame * decoded + pair * stored[1]) / min(workers, len(readable))
    by = len(videos) / len(some)
    return Forecast(
        videos=len(videos),
        frames=dict(frames),
        unreadable=len(some) - len(readable),
        pairs=round(by * stored[1]),
        seconds=by * seconds,
        size=by * size,
    )


def table(forecast: Forecast) -> list[str]:
    """The forecast as lines for the terminal."""
    everything = [count for counts in forecast.frames.values() for count in counts]
    lines = _classes(forecast) if forecast.of_all == 1 else []
    if forecast.of_all > 1:
        total = forecast.of_all * sum(everything)
        lines.append(
            f"about {total:,.0f} frames in {forecast.videos:,} videos, by"
            f" {len(everything) + forecast.unreadable} headers"
        )
    if forecast.unreadable:
        about = "about " * (forecast.of_all > 1)
        lines.append(
            f"{about}{forecast.of_all * forecast.unreadable:,.0f} videos do not open and will be"
            " listed as failed"
        )
    gigabytes = f"{forecast.size / 1e9:.2f} GB of disk (frames as the headers claim"
    if forecast.seconds:
        lines.append(
            f"about {forecast.seconds / 3600:.2f} hours at"
            f" {forecast.pairs / forecast.seconds:.1f} pairs/s, {gigabytes}, rate of a few videos)"
        )
    elif forecast.size:
        lines.append(f"{gigabytes}); the hours show once the device is at work")
    return lines


def _classes(forecast: Forecast) -> list[str]:
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
    return lines


def _spread(videos: Sequence[Video], most: int) -> list[Video]:
    """At most so many of the videos, at even distances."""
    count = min(most, len(videos))
    return [videos[k * len(videos) // count] for k in range(count)]


def _probe(path: Path, report: Callable[[int], None]) -> video_files.Claim:
    claim = video_files.probe(path)
    report(1)
    return claim


def _measure(task: tuple[Video, conversion.Settings], report: Callable[[int], None]) -> _Cost:
    """Times a part of a video; its record is dropped."""
    video, settings = task
    if settings.flow_method == "keras":  # only bytes are measured, and OpenCV's are as many
        settings = dataclasses.replace(settings, flow_method="opencv", flow_quality="fast")
    sampled = dataclasses.replace(settings, frame_grid=_PLACES, flow_length=_FIELDS_A_PLACE)

    def convert(limit: int) -> tuple[float, records.Example]:
        begun = time.monotonic()
        with records.ExampleWriter("", 0) as writer:
            conversion.convert(
                video.path,
                writer,
                sampled,
                report,
                frame_limit=limit,
                segment=video.segment,
                given_flow=video.flow,
            )
            return time.monotonic() - begun, records.view_example(writer.serialized())

    convert(2)  # loads and compiles
    count, decoding = _decode(video, settings, lambda picture: report(0))
    motion = 0.0
    if settings.resize == "motion":
        window = video_files.MotionMap()
        _, motion = _decode(video, settings, lambda picture: window.add(picture()))
    seconds, example = convert(count)
    frames, fields = ([len(image) for image in example[name]] for name in ("frames", "flow"))
    return _Cost(
        (decoding + motion) / count,
        max(0.0, seconds - decoding - motion) / len(fields),
        statistics.mean(frames),
        statistics.mean(fields),
    )


def _decode(
    video: Video, settings: conversion.Settings, use: Callable[[video_files.Picture], None]
) -> tuple[int, float]:
    """(frames, seconds) of decoding the first _FRAMES frames of a video."""
    begun, count = time.monotonic(), 0
    square = settings.resize != "stretch"
    selection = video_files.Selection(settings.fps, settings.repeats)
    decoded = video_files.read_unconverted(
        video.path, segment=video.segment, square=square, selection=selection
    )
    for _, picture in itertools.islice(decoded, _FRAMES):
        use(picture)
        count += 1
    return count, time.monotonic() - begun
