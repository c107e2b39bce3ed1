"""Worker processes that may die or hang and then lose only the task that they had.

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
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from preprocessing.errors import UserError

# Seconds between two progress messages of a worker, and between two looks at the workers.
_REPORT_SECONDS = 0.2
_LOOK_SECONDS = 0.1


class StopRunError(UserError):
    """Raised by a task's function where no other task could succeed either: it ends the run."""


@dataclass(frozen=True)
class Failure:
    """Why a task gave no result, in one line for the person who reads the list."""

    outcome: str  # the kind of fault in one word, such as `truncated` or `worker_died`
    reason: str


class Service(Protocol):
    """What the parent does for tasks under way, such as solving on a device that it owns."""

    connection: multiprocessing.connection.Connection  # readable when there may be new answers

    def take(self, worker: Any, message: Any):
        """Takes a message of a worker, from `Reporter.tell` or `Reporter.ask`."""

    def drop(self, worker: Any):
        """Forgets a worker, whose task has ended."""

    def answers(self, waiting: Collection[Any], all_wait: bool) -> Iterable[tuple[Any, Any]]:
        """Tuples (worker, answer), asked for at each look at the workers.

        Args:
            waiting: workers that are in `Reporter.ask`, of which each gets one answer at most.
            all_wait: whether no other worker is at work.
        """


class Pool:
    """Worker processes, spawned when first needed, that live until the context ends.

    Args:
        time_limit: seconds after which a worker that reported nothing is given up.
    """

    def __init__(self, workers: int, time_limit: float):
        self._workers, self._time_limit = workers, time_limit
        self._crew: set[_Worker] = set()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_):
        while self._crew:
            self._crew.pop().kill()

    def run(
        self,
        function: Callable[[Any, "Reporter"], Any],
        tasks: Iterable[Any],
        progress: Callable[[int], None] = lambda amount: None,
        service: Service | None = None,
    ) -> Iterator[tuple[Any, Any]]:
        """Calls `function(task, report)` for every task in the worker processes.

        Args:
            function: importable by name, or a `functools.partial` of one that is. Calls
                `report(amount)` as work gets done, which shows that it lives; `report(0)` shows
                that alone. A `UserError` that it raises, like any other exception, fails its task;
                a full disk and a `StopRunError` stop the run.
            tasks: picklable values. A `collections.deque` is emptied, and may be added to as long
                as results come.
            progress: called in this process with the amounts reported.
            service: answers `report.ask`.

        Yields:
            (task, result or `Failure`), in the order in which they end.

        Raises:
            StopRunError: what the function raised, or the disk is full.
        """
        queue = tasks if isinstance(tasks, collections.deque) else collections.deque(tasks)
        busy: dict[Any, _Worker] = {}  # by connection

        def end(worker, lost=True):
            del busy[worker.connection]
            if service:
                service.drop(worker)
            if lost:
                self._remove(worker)
            worker.idle = True

        try:
            while True:
                while queue and len(busy) < self._workers:
                    worker = self._free_worker()
                    busy[worker.connection] = worker
                    worker.start(function, queue.popleft())
                if not busy:
                    return
                if service:
                    waiting = [worker for worker in busy.values() if worker.waits]
                    for worker, answer in service.answers(waiting, len(waiting) == len(busy)):
                        worker.answer(answer)
                wakers = [*busy, service.connection] if service else list(busy)
                for connection in multiprocessing.connection.wait(wakers, _LOOK_SECONDS):
                    if connection not in busy:
                        continue
                    worker = busy[connection]
                    kind, value = worker.receive()
                    if kind == "progress":
                        progress(value)
                    elif kind == "stop":
                        raise value
                    elif kind in ("tell", "ask"):
                        assert service, "this run has no service to ask"
                        service.take(worker, value)
                    else:
                        end(worker, lost=kind == "lost")
                        yield worker.task, value
                for worker in list(busy.values()):
                    if not worker.waits and time.monotonic() - worker.heard > self._time_limit:
                        end(worker)
                        reason = f"no frame for {self._time_limit:g} s: given up"
                        yield worker.task, Failure("hung", reason)
        finally:
            for worker in list(busy.values()):
                end(worker)

    def _free_worker(self) -> "_Worker":
        for worker in [worker for worker in self._crew if worker.idle]:
            if worker.lives():
                return worker
            self._remove(worker)
        worker = _Worker()
        self._crew.add(worker)
        return worker

    def _remove(self, worker: "_Worker"):
        self._crew.discard(worker)
        worker.kill()


def run(
    function: Callable[[Any, "Reporter"], Any],
    tasks: Iterable[Any],
    workers: int,
    time_limit: float,
    progress: Callable[[int], None] = lambda amount: None,
) -> Iterator[tuple[Any, Any]]:
    """`Pool.run` with processes of its own."""
    with Pool(workers, time_limit) as pool:
        yield from pool.run(function, tasks, progress)


class _Worker:
    """A process, the pipe to it and its task.

    The parent writes to a worker only while that reads, a task or an answer, and always comes back
    to read itself: so neither pipe stays full.
    """

    def __init__(self):
        # Spawned, not forked: no worker inherits the parent's threads, locks or memory.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.task, self.idle = None, True
        self.heard = time.monotonic()  # when it last showed that it lives
        self.waits = False  # whether it is in `Reporter.ask`

    def lives(self) -> bool:
        return self._process.is_alive()

    def start(self, function, task):
        self.idle, self.task = False, task
        self._send((function, task))

    def answer(self, value):
        self._send(value)

    def _send(self, value):
        self.waits, self.heard = False, time.monotonic()
        # A process that dies now is noticed by `receive`.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(value)

    def receive(self) -> tuple[str, Any]:
        """The next message; the death of the process is one of kind `lost`."""
        try:
            kind, value = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode or 0
            cause = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            return "lost", Failure("worker_died", f"the process that decoded it died: {cause}")
        self.heard, self.waits = time.monotonic(), kind == "ask"
        return kind, value

    def kill(self):
        self._process.kill()
        self._process.join()
        self.connection.close()


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # of Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _work(connection):
    """A worker's life: tasks in, results out, until the pipe closes or the parent dies."""
    import cv2

    cv2.setNumThreads(1)  # the machine is shared out by processes
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    threading.Thread(target=die_with_parent, daemon=True).start()
    while True:
        try:
            function, task = connection.recv()
        except EOFError:
            return
        connection.send(_attempt(function, task, Reporter(connection)))


def _attempt(function, task, report) -> tuple[str, Any]:
    try:
        result = function(task, report)
        report.flush()
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


class Reporter:
    """A task's way to the parent: called with amounts of work, which it adds up and sends."""

    def __init__(self, connection):
        self._connection, self._amount, self._sent = connection, 0, time.monotonic()

    def __call__(self, amount: int):
        self._amount += amount
        if time.monotonic() - self._sent > _REPORT_SECONDS:
            self.flush()

    def flush(self):
        self._connection.send(("progress", self._amount))
        self._amount, self._sent = 0, time.monotonic()

    def tell(self, message: Any):
        """Hands the run's service a message, and goes on."""
        self._connection.send(("tell", message))

    def ask(self, message: Any) -> Any:
        """Hands the run's service a message, and waits for an answer."""
        self._connection.send(("ask", message))
        return self._connection.recv()


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
