"""Recognition as frames come: a window of sampled frames that slides along with the capture."""

import collections
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing import files, flow, video
from preprocessing.errors import UserError
from preprocessing.flow.colors import flow_to_color, scale_of
from stfnet import sampling
from stfnet.config import ClipConfig
from stfnet.drawing import annotation
from stfnet.inference import prediction
from stfnet.inference.capture import CameraCapture, FileCapture
from stfnet.inference.clip import encoded_field, stack, stored_frame
from stfnet.run.config import RunConfig

# Frames of a training video where a run does not say how many it had: ten seconds.
UNKNOWN_LENGTH = 250


class _Follower:
    """The window around what moves (`preprocessing.video.MotionMap`) in a capture without end.

    Motion counts half after half a clip, and the window moves only for clearly more motion.
    """

    def __init__(self, clip: ClipConfig, interval: int):
        self._size = clip.image_size
        self._motion = video.MotionMap(decay=0.5 ** (2 / (clip.num_frames * interval)))
        self.window: video.Window | None = None
        self._last: np.ndarray | None = None

    def add(self, frame: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
        """Takes the next frame, uint8 (H, W, 3).

        Returns:
            (before, small), uint8 (S, S, 3): the frame in the window, and where the window has
            moved the frame before in it too, else None.
        """
        self._motion.add(frame)
        window, last = self._motion.window(self.window), self._last
        moved, self.window, self._last = window != self.window, window, frame
        small = video.resize(video.cut(frame, window), self._size)
        if last is None or not moved:
            return None, small
        return video.resize(video.cut(last, window), self._size), small


class SlidingWindow:
    """The last T sampled frames of a capture and the flow around them, each field computed once.

    Every `interval`-th frame is sampled; it is complete when the last field of its stack is known,
    a few frames later. Only the fields of the stacks are computed, and the raw frames are not kept.

    Args:
        config: of the run whose network is asked.
        interval: frames from one sampled frame to the next; 0 for that of the training clips.
        quality: of the flow, `reference` or `fast`; None for that of the records.
    """

    def __init__(self, config: RunConfig, interval: int = 0, quality: str | None = None):
        self.clip, self.streams, self._stored = (
            config.model.clip,
            config.model.streams,
            config.records,
        )
        self.interval = interval or usual_interval(config)
        # (number, frame, stack); the stack is None where no flow is read.
        self.samples: collections.deque[tuple[int, np.ndarray, np.ndarray | None]]
        self.samples = collections.deque(maxlen=self.clip.num_frames)
        self.count = 0
        self.fields: dict[int, np.ndarray] = {}  # number -> uint8 (H, W, 2)
        self._pending: collections.deque[tuple[int, np.ndarray]] = collections.deque()
        self._quality = quality or config.records.flow_quality
        self._previous: np.ndarray | None = None  # the last frame, uint8 (H, W), grayscale
        moves = self.clip.resize == "motion"
        self._resizer = _Follower(self.clip, self.interval) if moves else None

    @property
    def full(self) -> bool:
        """Whether there are as many sampled frames as a clip has."""
        return len(self.samples) == self.clip.num_frames

    @property
    def seen(self) -> video.Window | None:
        """The part of the last frame that was taken; None for the whole."""
        return self._resizer.window if self._resizer else None

    def add(self, frame: np.ndarray) -> bool:
        """Takes the next frame, uint8 (H, W, 3) RGB; returns whether a sample became complete."""
        number, self.count = self.count, self.count + 1
        small = self._resize(frame)
        if number % self.interval == 0:
            self._pending.append((number, small))
        if self.streams != "rgb":
            previous, self._previous = self._previous, video.grayscale(small)
            if previous is not None and self._is_needed(number - 1):
                pair, bound = (previous, self._previous), self.clip.flow_bound
                self.fields[number - 1] = encoded_field(pair, bound, self._quality, self._stored)
        if not self._pending or number <= self._last_field(self._pending[0][0]):
            return False
        self._complete(*self._pending.popleft())
        return True

    def _resize(self, frame: np.ndarray) -> np.ndarray:
        if self._resizer is None:
            return video.resize(frame, self.clip.image_size, self.clip.resize)
        before, small = self._resizer.add(frame)
        if before is not None and self.streams != "rgb":
            self._previous = video.grayscale(before)  # flow is of one window
        return small

    def _is_needed(self, field: int) -> bool:
        return (field + self.clip.flow_length // 2) % self.interval < self.clip.flow_length

    def _last_field(self, number: int) -> int:
        if self.streams == "rgb":
            return -1
        return number + self.clip.flow_length - self.clip.flow_length // 2 - 1

    def _complete(self, number: int, small: np.ndarray) -> None:
        fields = None
        if self.streams != "rgb":
            first = number - self.clip.flow_length // 2
            wanted = np.clip(first + np.arange(self.clip.flow_length), 0, self.count - 2)
            fields = stack([self.fields[k] for k in wanted.tolist()])
            self.fields = {k: field for k, field in self.fields.items() if k >= first}
        self.samples.append((number, stored_frame(small, self._stored), fields))

    def finish(self) -> bool:
        """Completes, at the end of a capture, the next sample whose stack reaches beyond it.

        Returns:
            Whether there was one.
        """
        if not self._pending:
            return False
        first_field = max(self._pending[0][0] - self.clip.flow_length // 2, 0)
        if first_field > self.count - 2:
            return False
        self._complete(*self._pending.popleft())
        return True

    def clip_inputs(self) -> dict[str, np.ndarray]:
        """The window as a clip, as `clip.read_clip` gives it; its last frame fills it up."""
        samples = list(self.samples)
        samples += samples[-1:] * (self.clip.num_frames - len(samples))
        inputs = {}
        if self.streams != "flow":
            inputs["rgb"] = np.stack([small for _, small, _ in samples])
        if self.streams != "rgb":
            inputs["flow"] = np.stack([fields for *_, fields in samples if fields is not None])
        return inputs


def usual_interval(config: RunConfig) -> int:
    """Frames from one sampled frame to the next: the median of the training clips."""
    middle = sum(config.training.tau_range) // 2
    num_frames = config.records.num_frames or UNKNOWN_LENGTH
    return sampling.clamp(middle, num_frames, config.model.clip.num_frames)


def watch(
    model: Any,
    config: RunConfig,
    source: CameraCapture | FileCapture,
    path: Path | None = None,
    interval: int = 0,
    quality: str = "fast",
    show: Callable[[str], None] = print,
) -> list[tuple[str, float]]:
    """Recognises what happens before a camera, or in a file, until it ends.

    Args:
        model: a network or an `ExportedModel`.
        config: RunConfig.
        source: of `stfnet.inference.capture.open_capture`.
        path: file for the annotated video; None for none. It is written also where the source
            breaks off or Ctrl-C ends it.
        interval: frames between sampled frames; 0 for that of the training clips.
        quality: of the flow.
        show: takes a line of text at each prediction, and one at the end.

    Returns:
        The last ranking: list of (class name, probability), best first; empty if there was none.

    Raises:
        UserError: the camera or the connection is gone, or it was stopped before the first frame.
    """
    window = SlidingWindow(config, interval, quality)
    prediction.warm_up(model, config, quality)
    if path is None:
        return _follow(model, config, source, window, None, show)
    outcome: dict[str, Any] = {}

    def write(temporary: Path) -> None:
        with video.VideoWriter(temporary, source.fps) as writer:
            try:
                outcome["ranking"] = _follow(model, config, source, window, writer, show)
            except UserError as error:
                if not writer.count:
                    raise
                outcome["error"] = error

    files.write_with(path, write)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["ranking"]


def _follow(
    model: Any,
    config: RunConfig,
    source: CameraCapture | FileCapture,
    window: SlidingWindow,
    writer: video.VideoWriter | None,
    show: Callable[[str], None],
) -> list[tuple[str, float]]:
    begun, latencies = 0.0, []
    ranking: list[tuple[str, float]] = []
    notes: tuple[str, ...] = ("filling the window",)

    def frames_per_second() -> float:
        return window.count / max(time.monotonic() - begun, 1e-9)

    def predict(captured: float) -> None:
        nonlocal ranking, notes
        probabilities = prediction.predict_clip(model, window.clip_inputs())
        ranking = prediction.rank(probabilities, config.classes, annotation.BARS)
        latencies.append(time.monotonic() - captured)
        speed = f"{frames_per_second():.1f} frames/s"
        delay = f"latency {latencies[-1]:.2f} s"
        notes = (speed, delay)
        label, probability = ranking[0]
        show(f"frame {window.count:6d}  {label} {probability:.1%}  {speed}, {delay}")

    captured = time.monotonic()
    try:
        for captured, frame in source:
            begun = begun or captured
            if window.add(frame) and window.full:
                predict(captured)
            if writer is not None:
                writer.write(_draw(frame, window, ranking, notes))
        while not ranking and window.finish():
            pass
        if not ranking and window.samples:
            predict(captured)
    except KeyboardInterrupt:
        pass
    finally:
        source.close()
        if window.count:
            latency = f"{np.mean(latencies):.2f} s" if latencies else "none"
            show(
                f"{window.count} frames at {frames_per_second():.1f} frames/s, "
                f"{len(latencies)} predictions, mean latency {latency}, "
                f"{source.dropped} frames dropped"
            )
        for note in source.notes:
            show(f"note: {note}")
    if not window.count:
        raise UserError("stopped before the first frame: there is nothing to show or to write")
    return ranking


def _draw(
    frame: np.ndarray,
    window: SlidingWindow,
    ranking: Sequence[tuple[str, float]],
    notes: Sequence[str],
) -> np.ndarray:
    pictures = [("stream", annotation.draw_frame(frame, window.seen))]
    height, width = pictures[0][1].shape[:2]
    if window.streams != "rgb":
        size, number = window.clip.image_size, max(window.fields, default=None)
        field = np.zeros((size, size, 2), np.float32)
        if number is not None:
            field = flow.decode(window.fields[number], window.clip.flow_bound)
        colored = flow_to_color(field, scale_of(field))
        across = width if window.clip.resize == "stretch" else height
        pictures.append(("optical flow", annotation.enlarge(colored, height, across)))
    span = window.interval * window.clip.num_frames
    first = max(window.count - span, 0)
    sampled = [number - first for number, *_ in window.samples if number >= first]
    panel = annotation.draw_panel(height + annotation.CAPTION, ranking, notes)
    return annotation.compose(
        pictures,
        panel,
        lambda across: annotation.draw_timeline(
            across, span, sampled, window.count - 1 - first, f"frame {window.count}"
        ),
    )
