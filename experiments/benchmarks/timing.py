"""How long work takes: repetitions, and rounds in which several kinds of work take turns.

A shared machine changes its speed within a run, so what is compared takes turns.
"""

import statistics
import time
from collections.abc import Callable, Mapping


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one call of `work`: wall time, or with `time.process_time` all its threads'."""
    begun = clock()
    work()
    return clock() - begun


def repeated(work: Callable[[], object], repeats: int) -> list[float]:
    """Wall time of each of `repeats` calls, after one that compiles and is not timed."""
    work()
    return [seconds(work) for _ in range(repeats)]


def median(work: Callable[[], object], repeats: int) -> float:
    """Median of `repeated`."""
    return statistics.median(repeated(work, repeats))


def best(work: Callable[[], object], repeats: int) -> float:
    """Wall time of the fastest of `repeats` calls; the first one is timed too."""
    return min(seconds(work) for _ in range(repeats))


def in_turns(
    works: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds by name, one a round, in rounds in which each work is called once.

    Args:
        works: what is timed.
        rounds: of turns.
        clock: of `seconds`.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work, clock))
    return times


def median_ratio(times: Mapping[str, list[float]], name: str, base: str) -> float:
    """Median over the rounds of `in_turns` of a work's seconds to those of another."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))
