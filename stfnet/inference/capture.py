"""Frames as they come: from a file, a camera or a network address."""

import collections
import contextlib
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import cv2
import numpy as np

from preprocessing import video
from preprocessing.errors import UserError

QUEUED_FRAMES = 32  # about a second of a camera's frames
PATIENCE = 2.0  # seconds that a camera may take to close
SILENCE = 10.0  # seconds without a frame after which a camera counts as gone


class FileCapture:
    """Frames of a video file, those of the selection, each as fast as it is asked for.

    At the end `notes` has a line for whatever was repaired or is damaged.
    """

    dropped = 0

    def __init__(self, path: Path, selection: video.Selection):
        self.path, self._selection = path, selection
        self.notes: list[str] = []
        self.fps = selection.rate(video.probe(path).fps)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yields (seconds on the monotonic clock when it was read, uint8 (H, W, 3) RGB)."""

        def note(kind: str, reason: str) -> None:
            self.notes.append(reason)

        frames = video.read_frames(self.path, note, square=True, selection=self._selection)
        for frame in frames:
            yield time.monotonic(), frame

    def close(self) -> None:
        pass


class CameraCapture:
    """A camera by its number, or a video stream by its address, read in the background.

    Where the work is slower than the camera and QUEUED_FRAMES frames wait, all of them are dropped
    at once: neighbours mostly stay neighbours, as flow needs them, and the delay stays bounded.

    Raises:
        UserError: it cannot be opened.
    """

    def __init__(self, source: int | str, selection: video.Selection):
        self.name = f"camera {source}" if isinstance(source, int) else f"stream {source}"
        self.dropped, self.count = 0, 0
        self.notes: list[str] = []
        try:
            if isinstance(source, int):
                fps, self._length, self._frames = _camera_frames(source)
            else:
                claim, self._frames = video.read_address(source, SILENCE)
                fps, self._length = claim.fps, claim.num_frames  # of a finite video
        except video.VideoError as error:
            raise UserError(
                f"{self.name} cannot be opened: check that it is connected, not in use by another "
                f"program and may be read, or give another --live ({error})"
            ) from error
        self.fps, self._selection = selection.rate(fps), selection
        self._queue: collections.deque[tuple[float, np.ndarray]] = collections.deque()
        self._ready = threading.Condition()
        self._ended = self._closed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(video.VideoError):  # it is gone, which the reader of frames says
            for frame in self._frames:
                with self._ready:
                    if len(self._queue) == QUEUED_FRAMES:
                        self.dropped += len(self._queue)
                        self._queue.clear()
                    self._queue.append((time.monotonic(), frame))
                    self._ready.notify()
                if self._closed:
                    break
        with self._ready:
            self._ended = True
            self._ready.notify()
        self._frames.close()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """Yields (seconds on the monotonic clock when it came, uint8 (H, W, 3) RGB).

        Raises:
            UserError: the camera or the connection is gone.
        """
        return self._selection(self._queued())

    def _queued(self) -> Iterator[tuple[float, np.ndarray]]:
        while True:
            with self._ready:
                there_is = self._ready.wait_for(lambda: self._queue or self._ended, SILENCE)
                if not self._queue:
                    break
                captured, frame = self._queue.popleft()
            self.count += 1
            yield captured, frame
        if there_is and 0 < self._length <= self.count + self.dropped:
            return
        how = "ended" if there_is else f"gave nothing for {SILENCE:.0f} seconds"
        raise UserError(
            f"{self.name} {how} after {self.count + self.dropped} frames: it was disconnected, "
            "switched off or taken by another program"
        )

    def close(self) -> None:
        self._closed = True
        # Python must not end while OpenCV is in its thread; a camera that hangs is not waited for.
        self._reader.join(PATIENCE)


def open_capture(
    source: str, selection: video.Selection | None = None
) -> CameraCapture | FileCapture:
    """Opens what the command line names: the number of a camera, an address or a file.

    Without a selection all frames are taken.
    """
    selection = selection or video.Selection()
    if source.isdecimal():
        return CameraCapture(int(source), selection)
    if "://" in source:
        return CameraCapture(source, selection)
    return FileCapture(Path(source), selection)


def _camera_frames(number: int) -> tuple[float, int, Generator[np.ndarray]]:
    """(frames a second, 0 for no end, the frames: uint8 (H, W, 3), RGB) of a camera here."""
    try:
        capture = cv2.VideoCapture(number)
    except cv2.error:  # a number beyond those of any camera
        capture = cv2.VideoCapture()
    if not capture.isOpened():
        raise video.VideoError("unreadable", "OpenCV finds no such camera")

    def frames() -> Generator[np.ndarray]:
        try:
            while (read := capture.read())[0]:
                yield cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB)
        finally:
            capture.release()

    return capture.get(cv2.CAP_PROP_FPS), 0, frames()
