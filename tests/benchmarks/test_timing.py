import itertools
import os
import signal
import time

import pytest

from benchmarks import timing
from preprocessing.errors import UserError


class _Clock:
    """Stands still but for the seconds that `pass_` lets go by."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


def test_a_first_call_that_compiles_is_not_timed():
    clock, waits = _Clock(), iter([20.0, 1.0, 2.0])
    assert timing.repeated(lambda: clock.pass_(next(waits)), 2, clock) == [1.0, 2.0]


def test_work_takes_turns():
    clock, waits = _Clock(), iter([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    works = dict.fromkeys("ab", lambda: clock.pass_(next(waits)))
    assert timing.in_turns(works, 3, clock) == {"a": [1.0, 4.0, 16.0], "b": [2.0, 8.0, 32.0]}


def test_the_ratio_of_two_works_is_taken_within_each_round():
    times = {"a": [2.0, 30.0, 8.0], "b": [1.0, 10.0, 2.0]}  # 2, 3 and 4
    assert timing.median_ratio(times, "a", "b") == 3


def test_a_new_process_answers_or_says_why_not():
    assert timing.in_new_process(os.getpid) != os.getpid()
    assert timing.in_new_process(os.getenv, "KERAS_BACKEND", backend="jax") == "jax"
    for limit, function, message in (
        (0.05, time.sleep, "took longer than 0.05 s"),
        (None, int, "ValueError: invalid literal for int"),
        (None, os._exit, "ended by exit status 7"),
    ):
        with pytest.raises(UserError, match=message):
            timing.in_new_process(function, "x" if function is int else 7, limit=limit)
    with pytest.raises(UserError, match=r"ended by signal 9 \(9: out of memory\)"):
        timing.in_new_process(signal.raise_signal, signal.SIGKILL)


def _works(start):
    count = itertools.count(start)
    return {"next": lambda: next(count), "die": lambda: os._exit(3)}


def test_works_of_a_new_process_keep_their_state_between_calls():
    with timing.new_process(_works, 5) as call:
        assert [call("next"), call("next")] == [5, 6]
        for _ in range(2):
            with pytest.raises(UserError, match="ended by exit status 3"):
                call("die")


def test_parts_follow_each_other():
    readings = iter([(15.0, 3.0), (15.25, 3.0)])  # wall time, processor time
    parts = timing.Parts(10.0, lambda: next(readings))
    parts.end("before")
    parts.end("asleep")
    assert parts.figures == {
        "before": {"seconds": 5.0, "processor": 3.0},
        "asleep": {"seconds": 0.25, "processor": 0.0},
    }
