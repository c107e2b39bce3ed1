"""SIGTERM, with which schedulers announce that they will end a process: the run is saved first."""

import signal
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

PREEMPTED = 143  # exit status after SIGTERM: 128 + 15; the run is saved and can be resumed


class Preempted(Exception):
    """SIGTERM came; the run was saved, and the same command resumes it."""


class Sigterm:
    """Catches SIGTERM inside a `with` block, and restores the previous handler at its end.

    Attributes:
        received: whether the signal came.
    """

    def __init__(self):
        self.received = False
        self._previous = None

    def __enter__(self):
        self._previous = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGTERM, self._previous)

    def stops(self, results: Mapping[str, Any], strategy: tf.distribute.Strategy) -> bool:
        """Whether the run must stop, by the results of a step in which all workers said so.

        Every worker then stops at the same step, whichever of them received the signal.
        """
        alone = strategy.num_replicas_in_sync == 1
        return bool(results["stopping"]) or (alone and self.received)

    def _receive(self, *_):
        self.received = True
