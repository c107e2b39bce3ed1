"""Worker processes that may die or hang and then lose only the task in hand.

`concurrent.futures` declares its whole pool broken when one process dies, and a decoder written in
C can die of a bad file; so each worker here has its own pipe, and is replaced when it is lost.
"""

import collections
import contextlib
import errno
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from preprocessing.errors import UserError

# Seconds between two progress messages of a worker, and between two looks at the workers.
_REPORT_SECONDS = 0.2
_LOOK_SECONDS = 0.5


class StopRunError(UserError):
    """Raised by a task's function where no other task could succeed either: it ends the run."""


@dataclass(frozen=True)
class Failure:
    """Why a task gave no result.

    Attributes:
        outcome: the kind of fault in one word, such as `truncated` or `worker_died`.
        reason: one line for the person who reads the list.
    """

    outcome: str
    reason: str


def run(
    function: Callable[[Any, Callable[[int], None]], Any],
    tasks: Sequence[Any],
    workers: int,
    time_limit: float,
    progress: Callable[[int], None] = lambda amount: None,
) -> Iterator[tuple[Any, Any]]:
    """Calls `function(task, report)` for every task in worker processes.

    Args:
        function: importable by name. Calls `report(amount)` as work gets done, which shows that
            it lives; `report(0)` shows that alone. A `UserError` that it raises, like any other
            exception, fails its task; a full disk and a `StopRunError` stop the run.
        tasks: picklable values.
        workers: number of processes.
        time_limit: seconds after which a worker that reported nothing is given up.
        progress: called in this process with the amounts reported.

    Yields:
        (task, result or `Failure`), in the order in which they end.

    Raises:
        StopRunError: what the function raised, or the disk is full.
    """
    waiting = tasks if isinstance(tasks, collections.deque) else collections.deque(tasks)
    crew = [_Worker(function) for _ in range(min(workers, len(waiting)))]
    try:
        while waiting or any(worker.busy for worker in crew):
            for worker in crew:
                if waiting and not worker.busy:
                    worker.start(waiting.popleft())
            busy: dict[Any, _Worker] = {worker.connection: worker for worker in crew if worker.busy}
            for connection in multiprocessing.connection.wait(list(busy), _LOOK_SECONDS):
                worker = busy[connection]
                task = worker.task
                kind, value = worker.receive()
                if kind == "progress":
                    progress(value)
                elif kind == "stop":
                    raise value
                else:
                    yield task, value
            for worker in crew:
                if worker.busy and time.monotonic() - worker.heard > time_limit:
                    task = worker.task
                    worker.replace()
                    yield task, Failure("hung", f"no frame for {time_limit:g} s: given up")
    finally:
        for worker in crew:
            worker.kill()


class _Worker:
    """A process, the pipe to it and the task it has."""

    def __init__(self, function):
        self._function = function
        self._launch()

    def _launch(self):
        # Spawned, not forked: no worker inherits the parent's threads, locks or memory.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(self._function, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.busy, self.task, self.heard = False, None, time.monotonic()

    def start(self, task):
        if not self._process.is_alive():
            self.replace()
        self.busy, self.task, self.heard = True, task, time.monotonic()
        # A process that dies now is noticed by `receive`.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(task)

    def receive(self) -> tuple[str, Any]:
        """The next message; the death of the process is one, and replaces it."""
        try:
            kind, value = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            cause = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            self.replace()
            return "done", Failure("worker_died", f"the process that decoded it died: {cause}")
        self.heard = time.monotonic()
        if kind == "done":
            self.busy, self.task = False, None
        return kind, value

    def replace(self):
        self.kill()
        self._launch()

    def kill(self):
        self._process.kill()
        self._process.join()
        self.connection.close()


def _work(function, connection):
    """A worker's life: tasks in, results out, until the pipe closes or the parent dies."""
    import cv2

    cv2.setNumThreads(1)  # the machine is shared out by processes
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    threading.Thread(target=die_with_parent, daemon=True).start()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(_attempt(function, task, _Reporter(connection)))


def _attempt(function, task, reporter) -> tuple[str, Any]:
    try:
        result = function(task, reporter)
        reporter.flush()
        return "done", result
    except StopRunError as error:
        return "stop", error
    except UserError as error:
        return "done", Failure(getattr(error, "outcome", "refused"), str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            reason = f"{error}: free some space and run the same command again to continue"
            return "stop", StopRunError(reason)
        return "done", Failure("error", f"{type(error).__name__}: {error}")


class _Reporter:
    """Adds up amounts and sends them now and then."""

    def __init__(self, connection):
        self._connection, self._amount, self._sent = connection, 0, time.monotonic()

    def __call__(self, amount: int):
        self._amount += amount
        if time.monotonic() - self._sent > _REPORT_SECONDS:
            self.flush()

    def flush(self):
        self._connection.send(("progress", self._amount))
        self._amount, self._sent = 0, time.monotonic()


def die_with_parent():
    """Waits for the end of the process that started this one, and ends it."""
    parent = multiprocessing.parent_process()
    assert parent is not None  # it runs in children alone
    parent.join()
    os._exit(1)


@contextlib.contextmanager
def silenced_stderr():
    """Keeps what libraries in C write to this process's stderr off the terminal.

    For the notes that TensorFlow writes when it is loaded, which no setting of its own turns off.
    """
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
