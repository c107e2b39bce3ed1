"""One accelerator for all workers of a pool: the pool's own process solves what they hand up.

A GPU's memory and the compiled solver exist once, however many workers decode and encode. The
pairs of all workers are packed into batches of one fixed shape, so that the device neither stands
idle nor solves half-empty batches when a video ends. A pair's field does not depend on its batch,
so the records do not depend on the packing.
"""

import collections
import dataclasses
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import numpy as np

from preprocessing import worker_pool
from preprocessing.errors import UserError
from preprocessing.flow import constants

_BATCHES_AHEAD = 2  # of its video, that a worker has with the device before it waits
_MESSAGES_PER_BATCH = 4  # in which a worker hands up its pairs
# Without a new pair, after which an idle device solves a batch that is not full.
_PATIENCE_SECONDS = 0.3
_START_SECONDS = 1800.0  # loading and compiling, of which a slow machine may need minutes
_BATCHES_PACKED = 2  # at most: one that is being solved, one that follows it without a pause
_END_SECONDS = 5.0  # for which a batch under way is waited for at the end
_REASON_LENGTH = 300  # characters of an error that are shown

_Pair = tuple[np.ndarray, np.ndarray]
# Takes uint8 (B, H, W), frames and those that follow; returns float32 (B, H, W, 2), pixels.
PairSolver = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What a device did.

    Attributes:
        device: `cpu`, `gpu` or `tpu`.
        batch: pairs of a full batch.
        start_seconds: loading and compiling, before the first batch.
        batches, pairs: solved.
        solving_seconds: from handing batches over to holding their fields.
        span_seconds: from the start of the first batch to the end of the last.
    """

    device: str
    batch: int
    start_seconds: float
    batches: int = 0
    pairs: int = 0
    solving_seconds: float = 0.0
    span_seconds: float = 0.0

    @property
    def busy(self) -> float:
        """Fraction of the time, first batch to last, in which the device was solving."""
        return self.solving_seconds / self.span_seconds if self.span_seconds else 0.0

    @property
    def fill(self) -> float:
        """Mean fraction of a batch that held pairs."""
        return self.pairs / (self.batches * self.batch) if self.batches else 0.0

    def __str__(self):
        rate = self.pairs / self.span_seconds if self.span_seconds else 0.0
        return (
            f"flow on {self.device}: {self.pairs} pairs in {self.batches} batches of {self.batch}"
            f" ({100 * self.fill:.0f} % full), {rate:.2f} pairs/s, busy"
            f" {100 * self.busy:.1f} % of the time after a start of {self.start_seconds:.0f} s"
        )


def solve(pairs: Iterable[_Pair], report: worker_pool.Reporter) -> Iterator[np.ndarray]:
    """As `preprocessing.flow.Solver.solve`, in a worker, by the `Device` of its pool.

    The worker runs ahead, so that up to two batches of its video are with the device while it
    encodes the fields that came back. It solves one video at a time: another one begun drops what
    is left of the last.

    Args:
        pairs: tuples (first, second) of uint8 (H, W), of the size that the device solves.

    Yields:
        float32 (H, W, 2), pixels.
    """
    batch = report.ask(None)
    fields: collections.deque[np.ndarray] = collections.deque()
    unsent: list[_Pair] = []
    under_way = 0
    for pair in pairs:
        unsent.append(pair)
        under_way += 1
        if not fields and under_way >= _BATCHES_AHEAD * batch:
            fields.extend(report.ask(unsent))
            unsent, under_way = [], under_way - len(fields)
        elif len(unsent) * _MESSAGES_PER_BATCH >= batch:
            report.tell(unsent)
            unsent = []
        if fields:
            yield fields.popleft()
    while fields or under_way:
        if not fields:
            fields.extend(report.ask(unsent))
            unsent, under_way = [], under_way - len(fields)
        yield fields.popleft()


def keras_solver(size: int, batch: int | None) -> tuple[PairSolver, int, str]:
    """Compiles the Keras solver.

    Args:
        size: side of the frames, in pixels.
        batch: pairs at once, or None for `constants.BATCHES` of the device.

    Returns:
        The solver of B pairs; B; the device's name.
    """
    # Not all of a GPU's memory at once: programs beside this one may want some.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    with worker_pool.silenced_stderr():
        from preprocessing.flow import tvl1_keras

        device = tvl1_keras.device()
    batch = batch or constants.BATCHES[device]
    nothing = np.zeros((batch, size, size), np.uint8)
    tvl1_keras.solve_pairs(nothing, nothing)
    return tvl1_keras.solve_pairs, batch, device


@dataclasses.dataclass(eq=False)
class _Film:
    """The video that a worker reads."""

    pairs: collections.deque[_Pair] = dataclasses.field(default_factory=collections.deque)
    # Solved, float32 (H, W, 2), and not yet handed to the worker.
    fields: list[np.ndarray] = dataclasses.field(default_factory=list)
    announced: bool = False  # whether the worker knows the size of a batch


class Device:
    """A `worker_pool.Service` that solves the pairs of all workers.

    The solver is loaded and compiled when a worker first asks. It runs in a thread, so that the
    pool goes on: the next batch is packed and fields go out while a batch is being solved.

    Args:
        size: side of the frames, in pixels.
        batch: pairs at once, or None for `constants.BATCHES` of the device.
        time_limit: seconds after which a batch that is not solved is given up.

    Attributes:
        statistics: what was done so far; None before the solver is compiled.
    """

    def __init__(
        self,
        size: int,
        batch: int | None = None,
        time_limit: float = 300.0,
        make_solver: Callable[[int, int | None], tuple[PairSolver, int, str]] = keras_solver,
    ):
        self._size, self._batch = size, batch
        self._time_limit, self._make_solver = time_limit, make_solver
        self.statistics: Statistics | None = None
        self._thread = _Thread()
        self.connection = self._thread.connection
        self._solver: PairSolver | None = None
        self._films: dict[Any, _Film] = {}  # by worker
        self._turns: collections.deque[_Film] = collections.deque()  # those with pairs
        # The films of the pairs of each batch that the thread has, pair by pair.
        self._packed: collections.deque[list[_Film]] = collections.deque()
        self._first_begun = self._changed = 0.0

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_):
        self._thread.end()

    def take(self, worker: Any, message: list[_Pair] | None):
        """Takes pairs of a worker; None begins a video."""
        self._changed = time.perf_counter()
        if message is None:
            self.drop(worker)
            self._films[worker] = _Film()
        elif message:
            film = self._films[worker]
            if not film.pairs:
                self._turns.append(film)
            film.pairs.extend(message)
        if not self._solver and not self._thread.jobs:
            self._thread.start(self._make_solver, self._size, self._batch)

    def drop(self, worker: Any):
        """Forgets a worker, and its pairs."""
        film = self._films.pop(worker, None)
        if film and film.pairs:
            self._turns.remove(film)

    def answers(self, waiting: Collection[Any], all_wait: bool) -> list[tuple[Any, Any]]:
        """See `worker_pool.Service`: where a video begins the size of a batch, then its fields.

        Raises:
            UserError: the solver fails or hangs.
        """
        solved, fields = self._collect()
        if not self.statistics:
            return []
        # First of all, so that the device does not wait for what follows.
        while len(self._packed) < _BATCHES_PACKED and self._pairs() >= self.statistics.batch:
            self._pack()
        rows = collections.defaultdict(list)
        for row, film in enumerate(solved):
            rows[film].append(row)
        for film, places in rows.items():
            film.fields.extend(fields[places])  # a copy: no film keeps the fields of the others
        answers: list[tuple[Any, Any]] = []
        for worker in waiting:
            film = self._films[worker]
            if not film.announced:
                answers.append((worker, self.statistics.batch))
                film.announced = True
            elif film.fields:
                answers.append((worker, film.fields))
                film.fields = []
        quiet = time.perf_counter() - self._changed > _PATIENCE_SECONDS
        if not self._packed and self._pairs() and (quiet or (all_wait and not answers)):
            self._pack()
        return answers

    def _pairs(self) -> int:
        return sum(len(film.pairs) for film in self._turns)

    def _collect(self) -> tuple[list[_Film], np.ndarray]:
        """What the thread has done: the films of a batch's pairs, and the fields."""
        nothing: tuple[list[_Film], np.ndarray] = [], np.zeros(0)
        done = self._thread.result()
        if done is None:
            limit = self._time_limit if self._solver else _START_SECONDS
            if self._thread.jobs and time.perf_counter() - self._thread.since > limit:
                raise _stopped(f"no answer within {limit:g} s")
            return nothing
        result, begun, self._changed = done
        seconds = self._changed - begun
        if isinstance(result, BaseException):
            raise _stopped(_reason(result)) from result
        if not self.statistics:
            self._solver, batch, name = result
            self.statistics = Statistics(name, batch, seconds)
            return nothing
        if not self.statistics.batches:
            self._first_begun = begun
        films = self._packed.popleft()
        self.statistics = dataclasses.replace(
            self.statistics,
            batches=self.statistics.batches + 1,
            pairs=self.statistics.pairs + len(films),
            solving_seconds=self.statistics.solving_seconds + seconds,
            span_seconds=self._changed - self._first_begun,
        )
        return films, result

    def _pack(self):
        """Hands the thread a batch, of which each film has its turn."""
        assert self.statistics and self._solver
        batch = self.statistics.batch
        # New ones each time: the backend may read them in place. The rest stays black, and black
        # pairs stand still at once.
        images = np.zeros((2, batch, self._size, self._size), np.uint8)
        films: list[_Film] = []
        while self._turns and len(films) < batch:
            film = self._turns.popleft()
            images[0, len(films)], images[1, len(films)] = film.pairs.popleft()
            films.append(film)
            if film.pairs:
                self._turns.append(film)
        self._packed.append(films)
        self._thread.start(self._solver, *images)


class _Thread:
    """Calls functions one after another. A daemon: a backend that hangs lets the program end."""

    def __init__(self):
        # Readable when `result` has one.
        self.connection, self._done = multiprocessing.Pipe(duplex=False)
        self.jobs = 0  # calls that were started and whose result was not taken
        self.since = 0.0  # when the first of them was next in turn, by `time.perf_counter`
        self._waiting: queue.SimpleQueue = queue.SimpleQueue()
        self._results: queue.SimpleQueue = queue.SimpleQueue()
        self._ends = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self, function: Callable, *arguments: Any):
        if not self._thread.is_alive():
            self._thread.start()
        if not self.jobs:
            self.since = time.perf_counter()
        self.jobs += 1
        self._waiting.put((function, arguments))

    def result(self) -> tuple[Any, float, float] | None:
        """What the next call gave or raised, and its begin and end; None while it lasts."""
        if not self.connection.poll():
            return None
        self.connection.recv_bytes()
        self.jobs, self.since = self.jobs - 1, time.perf_counter()
        return self._results.get()

    def end(self):
        self._ends = True
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(_END_SECONDS)  # a backend at work while the program ends may crash it

    def _work(self):
        for function, arguments in iter(self._waiting.get, None):
            if self._ends:
                return
            begun = time.perf_counter()
            try:
                result = function(*arguments)
            except BaseException as error:
                result = error
            self._results.put((result, begun, time.perf_counter()))
            self._done.send_bytes(b"done")


def _stopped(cause: str) -> UserError:
    way_out = "Run the same command again to continue"
    return UserError(f"optical flow with Keras stopped: {cause}. {way_out}")


def _reason(error: BaseException) -> str:
    """The first line of an error, and what helps if memory was short."""
    lines = str(error).strip().splitlines() or [""]
    reason = f"{type(error).__name__}: {lines[0][:_REASON_LENGTH]}"
    short = any(sign in str(error).lower() for sign in ("out of memory", "oom", "exhausted"))
    if short or isinstance(error, MemoryError):
        reason += " (a smaller --flow_batch takes less memory)"
    return reason
