"""A worker's side of the device process: grey frames in, flow fields out, both in a shared ring.

The worker runs ahead: it fills the ring with frames before it waits for a field, so that up to two
batches of its video are with the device while it encodes those that came back.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import reduction

import numpy as np

from preprocessing import worker_pool
from preprocessing.flow.service import shared_ring

BATCHES_AHEAD = 2  # of the device's batches, what a worker's ring holds
_MESSAGES_PER_BATCH = 4  # pairs are announced in quarters of a batch
_PATIENCE_SECONDS = 1.0  # between two signs of life of a worker that waits

# Address -> connection that the last video of this process left in order.
_idle: dict[str, "_Client"] = {}


class DeviceLostError(worker_pool.StopRunError):
    """The device process ended while this worker needed it: no video can be converted."""

    def __init__(self, reason: str = "the process that computes optical flow has ended"):
        super().__init__(reason)


def fields(
    frames: Iterable[np.ndarray], address: str, waiting: Callable[[], None] = lambda: None
) -> Iterator[np.ndarray]:
    """As `preprocessing.flow.Solver.fields`, solved by the process at `address`.

    Args:
        frames: uint8 (H, W), of the size that the process solves.
        address: from `server.serving`.
        waiting: called about once a second while a field is waited for.

    Yields:
        float32 (H, W, 2), pixels.

    Raises:
        DeviceLostError: the process is gone.
    """
    client = _idle.pop(address, None) or _Client(address)
    try:
        yield from client.solve(frames, waiting)
    except BaseException:
        client.close()  # with what is under way, which the device process then drops
        raise
    _idle[address] = client


@contextlib.contextmanager
def _reaching_the_device():
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise DeviceLostError from error


class _Client:
    def __init__(self, address):
        key = multiprocessing.current_process().authkey
        with _reaching_the_device():
            self._connection = multiprocessing.connection.Client(address, "AF_UNIX", authkey=key)
            self._batch, size = self._connection.recv()
            self._ring = shared_ring.Ring(BATCHES_AHEAD * self._batch, size)
            self._connection.send(self._ring.slots)
            reduction.send_handle(self._connection, self._ring.descriptor, None)
        self._ring.forget()
        self._frames = 0  # written since the ring was allocated

    def solve(self, frames, waiting):
        """Writes frames as far as the ring goes, and yields fields when it is full."""
        # Pairs by number: those before `taken` are yielded, before `solved` solved, before `sent`
        # announced. Pair n - 1 is whole once frame n is written.
        self._taken = self._solved = self._sent = self._frames
        for frame in frames:
            number = self._frames
            if number - self._taken > self._ring.slots:
                yield self._take(waiting)
            self._ring.frame(number)[:] = frame
            self._frames += 1
            if number - self._sent >= max(1, self._batch // _MESSAGES_PER_BATCH):
                self._send()
        while self._taken < self._frames - 1:
            yield self._take(waiting)

    def _take(self, waiting):
        if self._taken == self._solved:
            self._send()
            with _reaching_the_device():
                while not self._connection.poll(_PATIENCE_SECONDS):
                    waiting()
                self._solved += self._connection.recv()
        field = self._ring.field(self._taken).copy()
        self._taken += 1
        return field

    def _send(self):
        """Announces the pairs that are whole."""
        count = self._frames - 1 - self._sent
        if count > 0:
            with _reaching_the_device():
                self._connection.send((self._sent, count))
            self._sent += count

    def close(self):
        self._connection.close()
