"""How long work takes: repetitions, rounds in which works take turns, processes of their own.

A shared machine changes its speed within a run, so what is compared takes turns.
"""

import contextlib
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from preprocessing.errors import UserError

Work = Callable[[], object]


def seconds(work: Work, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one call of `work`: wall time, or with `time.process_time` all its threads'."""
    begun = clock()
    work()
    return clock() - begun


def repeated(
    work: Work, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Wall time of each of `repeats` calls, after one that compiles and is not timed."""
    work()
    return [seconds(work, clock) for _ in range(repeats)]


def in_turns(
    works: Mapping[Any, Work], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[Any, list[float]]:
    """Seconds by name, one a round, in rounds in which each work is called once."""
    times: dict[Any, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work, clock))
    return times


def median_ratio(times: Mapping[str, list[float]], name: str, base: str) -> float:
    """Median over the rounds of `in_turns` of a work's seconds to those of another."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


@contextlib.contextmanager
def new_process(
    make: Callable[..., Mapping[str, Work]],
    *arguments: Any,
    backend: str = "tensorflow",
    limit: float | None = None,
) -> Iterator[Callable[[str], Any]]:
    """A new interpreter, which has works and waits for calls of them.

    Args:
        make, arguments: picklable; `make(*arguments)` are the works by name.
        backend: of Keras in that process.
        limit: seconds after which a call, or their making, is given up.

    Returns:
        A function of a work's name: what the work returned.

    Raises:
        UserError: one raised an exception, took too long or was killed.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, backend, make, arguments))
    process.start()
    there.close()

    def answer():
        try:
            if not here.poll(limit):
                raise UserError(f"took longer than {limit} s")
            result, failure = here.recv()
        except (EOFError, ConnectionError) as error:
            process.join()
            code = process.exitcode or 0
            cause = f"signal {-code} (9: out of memory)" if code < 0 else f"exit status {code}"
            raise UserError(f"ended by {cause}") from error
        if failure:
            raise UserError(failure)
        return result

    def call(name):
        with contextlib.suppress(ConnectionError):  # `answer` says how it ended
            here.send(name)
        return answer()

    try:
        answer()
        yield call
    finally:
        process.kill()
        process.join()


def in_new_process(
    function: Callable[..., Any],
    *arguments: Any,
    backend: str = "tensorflow",
    limit: float | None = None,
) -> Any:
    """What `function(*arguments)` returns in a new interpreter; see `new_process`."""
    with new_process(_one_work, function, arguments, backend=backend, limit=limit) as call:
        return call("")


def _one_work(function, arguments):
    return {"": lambda: function(*arguments)}


def _serve(pipe, backend, make, arguments):
    os.environ["KERAS_BACKEND"] = backend
    try:
        works = make(*arguments)
        pipe.send((None, None))
        while True:
            pipe.send((works[pipe.recv()](), None))
    except EOFError:
        pass  # nobody calls any more
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        pipe.send((None, f"{type(error).__name__}: {lines[-1]}"))


def _used() -> tuple[float, float]:
    """`time.time()`, and the seconds of processor time of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.time(), used.ru_utime + used.ru_stime


class Parts:
    """Seconds of the parts of a work that follow each other: wall time and processor time."""

    def __init__(self, begun: float, clock: Callable[[], tuple[float, float]] = _used):
        """`begun` is the wall time of `clock` at which the first part and the process began."""
        self.figures: dict[str, dict[str, float]] = {}  # part -> `seconds` and `processor`
        self._wall, self._processor, self._clock = begun, 0.0, clock

    def end(self, name: str) -> None:
        """The part so far has this name, and the next begins."""
        wall, processor = self._clock()
        self.figures[name] = {
            "seconds": round(wall - self._wall, 2),
            "processor": round(processor - self._processor, 2),
        }
        self._wall, self._processor = wall, processor
