import itertools
import os
import signal
import time

import pytest

from benchmarks import timing
from preprocessing.errors import UserError


def test_a_first_call_that_compiles_is_not_timed():
    waits = iter([0.2, 0.0, 0.0])
    seconds = timing.repeated(lambda: time.sleep(next(waits)), 2)
    assert len(seconds) == 2 and max(seconds) < 0.1


def test_work_takes_turns():
    calls = []
    works = {name: lambda name=name: calls.append(name) for name in "ab"}
    times = timing.in_turns(works, 3)
    assert calls == list("ababab")
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3}


def test_processor_time_does_not_count_waiting():
    waited = timing.in_turns({"sleep": lambda: time.sleep(0.2)}, 1, time.process_time)
    assert waited["sleep"][0] < 0.1


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
    parts = timing.Parts(time.time() - 5)
    parts.end("before")
    time.sleep(0.2)
    parts.end("asleep")
    assert parts.figures["before"]["seconds"] == pytest.approx(5, abs=0.5)
    assert 0.2 <= parts.figures["asleep"]["seconds"] < 1
    assert parts.figures["asleep"]["processor"] < 0.1
