"""Frames as they come: from a file, a camera or a network address."""

import collections
import threading
import time
from pathlib import Path

import cv2
import numpy as np

from preprocessing import video
from preprocessing.errors import UserError

QUEUED_FRAMES = 32  # about a second of a camera's frames
PATIENCE = 2.0  # seconds that a camera may take to close
SILENCE = 10.0  # seconds without a frame after which a camera counts as gone


class FileCapture:
    """Frames of a video file, each as fast as it is asked for."""

    dropped = 0

    def __init__(self, path: Path):
        self.path, self.fps = path, video.usual_fps(video.probe(path).fps)

    def __iter__(self):
        """Yields (seconds on the monotonic clock when it was read, uint8 (H, W, 3) RGB)."""
        for frame in video.read_frames(self.path):
            yield time.monotonic(), frame

    def close(self):
        pass


class CameraCapture:
    """A camera, here or at a network address, read in the background.

    Where the work is slower than the camera and QUEUED_FRAMES frames wait, all of them are dropped
    at once: neighbours mostly stay neighbours, as flow needs them, and the delay stays bounded.

    Args:
        source: number of a camera, or address of a video stream.

    Raises:
        UserError: it cannot be opened.
    """

    def __init__(self, source: int | str):
        self.name = f"camera {source}" if isinstance(source, int) else f"stream {source}"
        self.dropped, self.count = 0, 0
        try:
            self._capture = cv2.VideoCapture(source)
        except cv2.error:  # a number beyond those of any camera
            self._capture = cv2.VideoCapture()
        if not self._capture.isOpened():
            raise UserError(
                f"{self.name} cannot be opened: check that it is connected, not in use by another "
                "program and may be read, or give another --live"
            )
        self.fps = video.usual_fps(self._capture.get(cv2.CAP_PROP_FPS))
        self._length = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)  # of a finite video
        self._queue: collections.deque[tuple[float, np.ndarray]] = collections.deque()
        self._ready = threading.Condition()
        self._ended = self._closed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while not self._closed:
            there_is, frame = self._capture.read()
            with self._ready:
                self._ended = not there_is
                if there_is:
                    if len(self._queue) == QUEUED_FRAMES:
                        self.dropped += len(self._queue)
                        self._queue.clear()
                    self._queue.append((time.monotonic(), frame))
                self._ready.notify()
            if not there_is:
                break
        self._capture.release()

    def __iter__(self):
        """Yields (seconds on the monotonic clock when it came, uint8 (H, W, 3) RGB).

        Raises:
            UserError: the camera or the connection is gone.
        """
        while True:
            with self._ready:
                there_is = self._ready.wait_for(lambda: self._queue or self._ended, SILENCE)
                if not self._queue:
                    break
                captured, frame = self._queue.popleft()
            self.count += 1
            yield captured, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        if there_is and 0 < self._length <= self.count + self.dropped:
            return
        how = "ended" if there_is else f"gave nothing for {SILENCE:.0f} seconds"
        raise UserError(
            f"{self.name} {how} after {self.count + self.dropped} frames: it was disconnected, "
            "switched off or taken by another program"
        )

    def close(self):
        self._closed = True
        # Python must not end while OpenCV is in its thread; a camera that hangs is not waited for.
        self._reader.join(PATIENCE)


def open_capture(source: str) -> CameraCapture | FileCapture:
    """Opens what the command line names: the number of a camera, an address or a file."""
    if source.isdecimal():
        return CameraCapture(int(source))
    if "://" in source:
        return CameraCapture(source)
    return FileCapture(Path(source))
