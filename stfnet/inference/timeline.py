"""What happens when in a long video: a window slides over it, and what it shows becomes rows.

The window is that of live recognition (`stfnet.inference.live.SlidingWindow`): the video is decoded
once, each flow field is computed once, and no more than a window of it is in memory.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing import files, video
from preprocessing.captions import clock, one_line
from preprocessing.errors import UserError
from stfnet.inference import live, prediction
from stfnet.inference.clip import read_timed_frames, selection
from stfnet.run.config import RunConfig

PROGRESS_SECONDS = 10.0  # between two lines of progress
CSV_FILE, SRT_FILE = "timeline.csv", "timeline.srt"
CSV_COLUMNS = ("start", "end", "class", "probability")


@dataclass(frozen=True)
class Row:
    """A time in which one class is the most probable.

    Attributes:
        start, end: in seconds.
        class_name: the class.
        probability: of the class, mean over the windows.
    """

    start: float
    end: float
    class_name: str
    probability: float


@dataclass(frozen=True)
class Timeline:
    """The classes of a video over its time.

    Attributes:
        classes: names.
        edges: float64 (W + 1,), seconds, growing: window k stands for the time from edge k to
            edge k + 1.
        probabilities: float32 (W, C), of each window.
    """

    classes: tuple[str, ...]
    edges: np.ndarray
    probabilities: np.ndarray

    def rows(self) -> list[Row]:
        """Neighbouring windows of one class as one row, in the order of time, without gaps."""
        best = self.probabilities.argmax(1)
        firsts = np.concatenate([[0], np.flatnonzero(np.diff(best)) + 1]).tolist()
        ends = [*firsts[1:], len(best)]
        return [
            Row(
                start=float(self.edges[first]),
                end=float(self.edges[end]),
                class_name=self.classes[best[first]],
                probability=float(self.probabilities[first:end, best[first]].mean()),
            )
            for first, end in zip(firsts, ends, strict=True)
        ]


def edges_between(centers: Sequence[float], end: float) -> np.ndarray:
    """Divides a video's time among windows that overlap: half way between their centres.

    Args:
        centers: of W windows, in seconds, growing.
        end: of the video, in seconds.

    Returns:
        float64 (W + 1,), from 0 to the end.
    """
    middle = np.asarray(centers, np.float64)
    return np.concatenate([[0.0], (middle[1:] + middle[:-1]) / 2, [end]])


def recognise(
    model: Any,
    config: RunConfig,
    path: Path | str,
    interval: int = 0,
    stride: int = 0,
    quality: str | None = None,
    show: Callable[[str], None] = print,
) -> Timeline:
    """Slides a window over a whole video.

    The last window ends with the video; a video shorter than a window is one, in which its last
    frame is repeated.

    Args:
        model: a network or an `ExportedModel`.
        config: RunConfig.
        path: video file, or folder of images.
        interval: frames from one sampled frame to the next; 0 for that of the training
            clips.
        stride: frames from one window to the next, rounded to a multiple of the interval; 0 for
            half a window.
        quality: of the flow, `reference` or `fast`; None for that of the records.
        show: takes a line of text every PROGRESS_SECONDS, one before and one at the end.

    Raises:
        UserError: the video does not decode, or has one frame and the network reads flow.
    """
    window = live.SlidingWindow(config, interval, quality)
    interval = window.interval
    samples = config.model.clip.num_frames
    every = max(1, round(stride / interval) if stride else samples // 2)
    claim = video.probe(Path(path))
    fps = selection(config.model.clip).rate(claim.fps)
    progress = _Progress(claim.num_frames / video.usual_fps(claim.fps), show)
    show(
        f"windows of {samples} frames, one of every {interval}: {samples * interval / fps:.2f} s;"
        f" from one to the next {every * interval / fps:.2f} s"
    )
    centers: list[float] = []
    probabilities: list[np.ndarray] = []
    times: dict[int, float] = {}  # of the window's sampled frames
    completed = predicted = 0  # samples: so far, and at the last window

    def predict() -> None:
        nonlocal predicted
        predicted = completed
        numbers = [number for number, *_ in window.samples]
        for number in [number for number in times if number < numbers[0]]:
            del times[number]
        centers.append((times[numbers[0]] + times[numbers[-1]]) / 2)
        probabilities.append(prediction.predict_clip(model, window.clip_inputs()))

    def complete() -> None:
        nonlocal completed
        completed += 1
        if completed >= samples and (completed - samples) % every == 0:
            predict()

    seconds, step = 0.0, 1 / fps

    def note(kind: str, reason: str) -> None:
        show(f"note: {reason}")

    for now, frame in read_timed_frames(path, config.model.clip, note=note):
        step, seconds = (now - seconds) if window.count else step, now
        if window.count % interval == 0:
            times[window.count] = seconds
        if window.add(frame):
            complete()
        progress.update(seconds, config.classes, probabilities)
    while window.finish():
        complete()
    if not completed:
        raise UserError(f"{path} has {window.count} frame, and flow needs two: give a longer video")
    if predicted < completed:
        predict()
    progress.finish(seconds + step, window.count, len(centers))
    return Timeline(
        tuple(config.classes), edges_between(centers, seconds + step), np.stack(probabilities)
    )


class _Progress:
    """Lines that say how far a video is done.

    Args:
        length: of the video in seconds, as its header claims; 0 where it does not.
        show: takes them.
    """

    def __init__(self, length: float, show: Callable[[str], None]):
        self.length, self.show = length, show
        self.begun = self.shown = time.monotonic()

    def update(
        self, seconds: float, classes: Sequence[str], probabilities: Sequence[np.ndarray]
    ) -> None:
        """Shows a line where the last is PROGRESS_SECONDS old."""
        now = time.monotonic()
        if now < self.shown + PROGRESS_SECONDS:
            return
        self.shown = now
        line = clock(seconds)
        if self.length:
            line += f" of {clock(self.length)}"
        if probabilities:
            ((name, probability),) = prediction.rank(probabilities[-1], classes, 1)
            line += f"  {one_line(name)} {probability:.1%}"
        rate = seconds / (now - self.begun)
        line += f"  {rate:.2f} s of video a second"
        if self.length > seconds > 0:
            line += f", about {clock((self.length - seconds) / rate)} left"
        self.show(line)

    def finish(self, seconds: float, num_frames: int, windows: int) -> None:
        """Shows the last line."""
        elapsed = time.monotonic() - self.begun
        self.show(
            f"{clock(seconds)} of video, {num_frames} frames in {windows} windows: took"
            f" {clock(elapsed)}, {num_frames / elapsed:.1f} frames/s"
        )


def write(folder: Path, timeline: Timeline) -> tuple[Path, Path]:
    """Writes the rows of a timeline as CSV_FILE and SRT_FILE, each whole or not at all.

    The CSV has CSV_COLUMNS, seconds to the millisecond and probabilities from 0 to 1; the other is
    SubRip subtitles, which players show over the video.

    Args:
        folder: is made where it is missing.
        timeline: of the video.

    Returns:
        The paths of both.
    """
    rows = timeline.rows()
    table = [
        (f"{row.start:.3f}", f"{row.end:.3f}", row.class_name, f"{row.probability:.4f}")
        for row in rows
    ]
    subtitles = "\n".join(
        f"{number}\n{_srt_time(row.start)} --> {_srt_time(row.end)}\n"
        f"{one_line(row.class_name)} {row.probability:.0%}\n"
        for number, row in enumerate(rows, 1)
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files.write_csv(folder / CSV_FILE, [CSV_COLUMNS, *table])
    files.write_text(folder / SRT_FILE, subtitles)
    return folder / CSV_FILE, folder / SRT_FILE


def _srt_time(seconds: float) -> str:
    rest, milliseconds = divmod(round(1000 * seconds), 1000)
    minutes, rest = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest:02d},{milliseconds:03d}"
