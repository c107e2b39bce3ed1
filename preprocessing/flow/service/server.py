"""One process that owns the device and computes optical flow for all workers of a preparation.

A GPU's memory and the compiled solver exist once, however many workers decode and encode. The
process packs the pairs that wait, of whichever videos, into batches of one fixed shape, so that
the device neither stands idle nor solves half-empty batches when a video ends. Frames and fields
travel through memory shared with each worker (`shared_ring`), their numbers through a socket. A
pair's field does not depend on its batch, so the records do not depend on the packing.

The workers' side is `preprocessing.flow.service.client`.
"""

import collections
import contextlib
import dataclasses
import multiprocessing
import multiprocessing.connection
import os
import queue
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import reduction

import numpy as np

from preprocessing import worker_pool
from preprocessing.errors import UserError
from preprocessing.flow import constants
from preprocessing.flow.service import client, pair_queue, shared_ring

_START_SECONDS = 1800.0  # loading and compiling, of which a slow machine may need minutes
# Fraction of the last batch's time for which a batch that is not full waits for more pairs, and the
# bounds of this time.
_PATIENCE, _PATIENCE_SECONDS = 0.1, (0.02, 1.0)
_END_SECONDS = 30.0  # after which a process that broke off has ended
_REASON_LENGTH = 300  # characters of an error that are shown

# Takes uint8 (B, H, W), frames and those that follow; returns float32 (B, H, W, 2), pixels.
PairSolver = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What the device process did.

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
    def pairs_per_second(self) -> float:
        return self.pairs / self.span_seconds if self.span_seconds else 0.0

    @property
    def fill(self) -> float:
        """Mean fraction of a batch that held pairs."""
        return self.pairs / (self.batches * self.batch) if self.batches else 0.0

    def __str__(self):
        return (
            f"flow on {self.device}: {self.pairs} pairs in {self.batches} batches of {self.batch}"
            f" ({100 * self.fill:.0f} % full), {self.pairs_per_second:.2f} pairs/s, busy"
            f" {100 * self.busy:.1f} % of the time after a start of {self.start_seconds:.0f} s"
        )


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


@contextlib.contextmanager
def serving(
    size: int,
    batch: int | None = None,
    time_limit: float = 300.0,
    measured: Callable[[Statistics], None] = lambda statistics: None,
    make_solver: Callable[[int, int | None], tuple[PairSolver, int, str]] = keras_solver,
) -> Iterator[str]:
    """Runs the device process as long as the context lasts.

    Args:
        size: side of the frames, in pixels.
        batch: pairs at once, or None for `constants.BATCHES` of the device.
        time_limit: seconds after which a batch that is not solved is given up.
        measured: called at the end with what was done.
        make_solver: importable by name; see `keras_solver`.

    Yields:
        The address for `preprocessing.flow.Solver` in processes that this one starts.

    Raises:
        UserError: the process does not start, fails, is killed or hangs.
    """
    device = _Device(size, batch, time_limit, make_solver)
    try:
        yield device.start()
    except client.DeviceLostError as error:
        raise UserError(device.why_lost()) from error
    finally:
        device.kill()
    if device.statistics is not None:
        measured(device.statistics)


class _Device:
    """The parent's side of the device process.

    Attributes:
        statistics: what the process had done at its last report, None before the first; final
            after `kill`.
    """

    def __init__(self, size, batch, time_limit, make_solver):
        # Spawned, not forked: it shares no thread, lock or GPU context with its parent.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = theirs, size, batch, make_solver
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._time_limit = time_limit
        self._cause: str | None = None
        self._address: str | None = None
        self.statistics: Statistics | None = None
        self._started = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def start(self) -> str:
        """Waits until the solver is compiled; returns the address."""
        self._started.wait()
        if self._address is None:
            raise UserError(self.why_lost())
        return self._address

    def why_lost(self) -> str:
        """One line on why the process ended."""
        self._watcher.join(_END_SECONDS)
        way_out = "Run the same command again to continue"
        return f"optical flow with Keras stopped: {self._cause}. {way_out}"

    def kill(self):
        """Ends the process, and reads its last reports."""
        self._process.kill()
        self._watcher.join()
        self._connection.close()

    def _watch(self):
        """Reads the process's reports until it ends, and kills it when it hangs."""
        deadline: float | None = time.monotonic() + _START_SECONDS
        with contextlib.suppress(EOFError, OSError):
            while True:
                remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
                if not self._connection.poll(remaining):
                    self._cause = f"no answer within {self._time_limit:g} s"
                    self._process.kill()
                    deadline = None
                    continue
                kind, value = self._connection.recv()
                if kind == "failed":
                    self._cause = value
                elif kind == "begun":
                    deadline = time.monotonic() + self._time_limit
                else:
                    deadline, self.statistics = None, value
                if kind == "ready":
                    self._address, self.statistics = value
                    self._started.set()
        self._process.join()
        self._cause = self._cause or _cause_of_death(self._process.exitcode)
        self._started.set()


def _cause_of_death(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its process ended with exit status {code}"
    name = signal.Signals(-code).name
    hint = " (out of memory, if it was not killed by hand)" if name == "SIGKILL" else ""
    return f"its process died of {name}{hint}"


def _serve(control, size, batch, make_solver):
    """The device process's life, until it is killed or its parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    threading.Thread(target=worker_pool.die_with_parent, daemon=True).start()
    sending = threading.Lock()

    def send(kind, value):
        with sending:
            control.send((kind, value))

    def guard(work):
        try:
            work()
        except BaseException as error:
            send("failed", _reason(error))
        os._exit(1)

    guard(lambda: _Server(send, guard, size, batch, make_solver).solve())


def _reason(error: BaseException) -> str:
    """The first line of an error, and what helps if memory was short."""
    lines = str(error).strip().splitlines() or [""]
    reason = f"{type(error).__name__}: {lines[0][:_REASON_LENGTH]}"
    short = any(sign in str(error).lower() for sign in ("out of memory", "oom", "exhausted"))
    if short or isinstance(error, MemoryError):
        reason += " (a smaller --flow_batch takes less memory)"
    return reason


class _Server:
    """Solves what workers send; each has a thread that listens to it, and one answers all."""

    def __init__(self, send, guard, size, batch, make_solver):
        begun = time.perf_counter()
        self._solver, batch, device = make_solver(size, batch)
        self._send, self._size = send, size
        self._pairs: pair_queue.PairQueue[_Worker] = pair_queue.PairQueue()
        # The next batch is packed, and the last one answered, while the device solves one.
        self._packed: queue.Queue[tuple[list[tuple[_Worker, int]], np.ndarray]]
        self._solved: queue.Queue[tuple[list[tuple[_Worker, int]], np.ndarray]]
        self._packed, self._solved = queue.Queue(maxsize=1), queue.Queue(maxsize=1)
        self._last_seconds = 0.0
        self._statistics = Statistics(device, batch, time.perf_counter() - begun)
        # An abstract address (Linux): no file that outlives the process.
        address = f"\0stfnet-flow-{os.getpid()}-{secrets.token_hex(8)}"
        key = multiprocessing.current_process().authkey
        listener = multiprocessing.connection.Listener(address, "AF_UNIX", 64, authkey=key)
        for work in (self._pack, self._answer, lambda: self._accept(listener)):
            threading.Thread(target=guard, args=(work,), daemon=True).start()
        send("ready", (address, self._statistics))

    def solve(self):
        """Solves batch after batch."""
        done, first = self._statistics, None
        while True:
            pairs, images = self._next()
            self._send("begun", None)
            begun = time.perf_counter()
            fields = self._solver(*images)
            ended = time.perf_counter()
            first, self._last_seconds = first or begun, ended - begun
            done = dataclasses.replace(
                done,
                batches=done.batches + 1,
                pairs=done.pairs + len(pairs),
                solving_seconds=done.solving_seconds + self._last_seconds,
                span_seconds=ended - first,
            )
            self._send("solved", done)
            self._solved.put((pairs, fields))

    def _next(self):
        with contextlib.suppress(queue.Empty):
            return self._packed.get_nowait()
        self._pairs.set_idle(True)
        packed = self._packed.get()
        self._pairs.set_idle(False)
        return packed

    def _pack(self):
        """Packs the pairs that wait into batches."""
        batch, (least, most) = self._statistics.batch, _PATIENCE_SECONDS
        while True:
            patience = min(max(_PATIENCE * self._last_seconds, least), most)
            pairs = self._pairs.take(batch, patience)
            # New ones each time: the backend may read them in place. The rest stays black, and
            # black pairs stand still at once.
            images = np.zeros((2, batch, self._size, self._size), np.uint8)
            for k, (worker, number) in enumerate(pairs):
                images[0, k] = worker.ring.frame(number)
                images[1, k] = worker.ring.frame(number + 1)
            self._packed.put((pairs, images))

    def _answer(self):
        """Hands solved fields to their workers, while the next batch is being solved."""
        while True:
            pairs, fields = self._solved.get()
            counts: collections.Counter[_Worker] = collections.Counter()
            for (worker, number), field in zip(pairs, fields, strict=False):
                worker.ring.field(number)[:] = field
                counts[worker] += 1
            for worker, count in counts.items():
                with contextlib.suppress(OSError):  # it may be gone
                    worker.connection.send(count)

    def _accept(self, listener):
        while True:
            # A worker may be killed while it connects.
            with contextlib.suppress(EOFError, OSError, multiprocessing.AuthenticationError):
                connection = listener.accept()
                threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _listen(self, connection):
        with contextlib.suppress(EOFError, OSError), connection:
            connection.send((self._statistics.batch, self._size))
            slots = connection.recv()
            descriptor = reduction.recv_handle(connection)
            worker = _Worker(connection, shared_ring.Ring(slots, self._size, descriptor))
            worker.ring.forget()
            try:
                while True:
                    self._pairs.add(worker, *connection.recv())
            finally:
                self._pairs.drop(worker)


@dataclasses.dataclass(frozen=True, eq=False)
class _Worker:
    connection: multiprocessing.connection.Connection
    ring: shared_ring.Ring
