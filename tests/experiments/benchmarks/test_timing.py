import time

from experiments.benchmarks import timing


def test_a_first_call_that_compiles_is_not_timed():
    waits = iter([0.2, 0.0, 0.0])
    seconds = timing.repeated(lambda: time.sleep(next(waits)), 2)
    assert len(seconds) == 2 and max(seconds) < 0.1


def test_the_best_of_several_calls_counts():
    waits = iter([0.1, 0.0, 0.1])
    assert timing.best(lambda: time.sleep(next(waits)), 3) < 0.05


def test_the_median_is_not_moved_by_one_slow_call():
    waits = iter([0.0, 0.02, 0.4, 0.02])
    assert 0.02 <= timing.median(lambda: time.sleep(next(waits)), 3) < 0.2


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
