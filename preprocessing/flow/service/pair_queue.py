"""The pairs of frames that wait for the device, of all workers."""

import collections
import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

W = TypeVar("W", bound=Hashable)  # a worker


class PairQueue(Generic[W]):
    """Hands out batches, a pair of each worker in turn, so that every video advances."""

    def __init__(self):
        self._changed = threading.Condition()
        # Worker -> numbers of its pairs; the worker whose turn it is comes first.
        self._waiting: collections.OrderedDict[W, collections.deque[int]]
        self._waiting = collections.OrderedDict()
        self._idle = True

    def set_idle(self, idle: bool):
        """Sets whether the device stands idle, so that a batch that is not full is worth it."""
        with self._changed:
            self._idle = idle
            self._changed.notify()

    def add(self, worker: W, first: int, count: int):
        """Puts pairs `first` to `first + count - 1` of a worker behind its others."""
        with self._changed:
            numbers = self._waiting.setdefault(worker, collections.deque())
            numbers.extend(range(first, first + count))
            self._changed.notify()

    def drop(self, worker: W):
        """Forgets the pairs of a worker that is gone."""
        with self._changed:
            self._waiting.pop(worker, None)

    def take(self, count: int, patience: float) -> list[tuple[W, int]]:
        """Waits for a full batch, or, while the device stands idle, for a pair and then not long.

        Args:
            count: pairs of a full batch.
            patience: seconds for which a batch that is not full waits for more pairs.

        Returns:
            1 to `count` tuples (worker, number of its pair); of one worker in their order.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._count() >= (1 if self._idle else count))
                self._changed.wait_for(
                    lambda: not (self._idle and 0 < self._count() < count), patience
                )
                if self._count() >= (1 if self._idle else count):
                    break
            batch: list[tuple[W, int]] = []
            while self._waiting and len(batch) < count:
                worker, numbers = self._waiting.popitem(last=False)
                batch.append((worker, numbers.popleft()))
                if numbers:
                    self._waiting[worker] = numbers
            return batch

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))
