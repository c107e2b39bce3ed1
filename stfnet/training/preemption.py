"""SIGTERM, with which schedulers announce that they will end a process, and Ctrl-C: saved first."""

import os
import signal

import tensorflow as tf


class Preempted(Exception):
    """A signal came; the run was saved, and the same command resumes it. `status` is that of the
    program.
    """

    status = 128 + signal.SIGTERM


class StopSignals:
    """Catches SIGTERM and Ctrl-C inside a `with` block, and restores the handlers at its end.

    A second Ctrl-C raises KeyboardInterrupt at once. A `Preempted` of the block gets `status`, the
    exit status that tells which came.
    """

    def __init__(self):
        self.received, self.status = False, Preempted.status
        self._previous = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) != signal.SIG_IGN:  # as of a job in a shell's background
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind, error, trace):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if isinstance(error, Preempted):
            error.status = self.status

    def stops(self, told: tf.Tensor | float, strategy: tf.distribute.Strategy) -> bool:
        """Whether the run must stop: in a step all workers were `told`, or one device knows it.

        Every worker then stops at the same step, whichever of them received the signal.
        """
        return bool(told) or (self.received and strategy.num_replicas_in_sync == 1)

    def _receive(self, number, _):
        if number == signal.SIGINT and self.received:
            raise KeyboardInterrupt
        self.received, self.status = True, 128 + number
        if number == signal.SIGINT:  # not by print, which a handler may interrupt
            os.write(2, b"\nstopping at the next step; Ctrl-C again stops without saving\n")
