import collections
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import wait_until

from preprocessing import worker_pool
from preprocessing.errors import UserError


def _work(task, report):
    kind, value = task
    if kind == "die":
        os.kill(os.getpid(), value)
    if kind == "exit":
        os._exit(value)
    if kind == "hang":
        time.sleep(value)
    if kind == "slow":  # lives longer than the limit, but shows that it does
        for _ in range(value):
            time.sleep(0.4)
            report(1)
    if kind == "refuse":
        raise UserError(value)
    if kind == "break":
        raise ZeroDivisionError(value)
    if kind == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
    if kind == "threads":
        import cv2

        value = cv2.getNumThreads()
    if kind == "full":
        raise OSError(28, "No space left on device")
    report(2)
    return value


def test_results_and_progress_of_all_tasks_come_back():
    amounts = []
    tasks = [("plain", number) for number in range(20)]
    results = dict(worker_pool.run(_work, tasks, 2, 30, amounts.append))
    assert results == {("plain", number): number for number in range(20)}
    assert sum(amounts) == 40


def test_a_lost_worker_loses_its_task_alone():
    tasks = [
        ("die", signal.SIGSEGV),
        ("plain", 1),
        ("exit", 3),
        ("refuse", "no such thing"),
        ("break", "by zero"),
        ("plain", 2),
        ("hang", 3600),
        ("slow", 12),
        ("plain", 3),
    ]
    results = dict(worker_pool.run(_work, tasks, 2, 4))
    outcomes = {
        task[0]: result.outcome
        for task, result in results.items()
        if isinstance(result, worker_pool.Failure)
    }
    assert outcomes == {
        "die": "worker_died",
        "exit": "worker_died",
        "refuse": "refused",
        "break": "error",
        "hang": "hung",
    }
    assert "SIGSEGV" in results["die", signal.SIGSEGV].reason
    assert "exit status 3" in results["exit", 3].reason
    assert results["break", "by zero"].reason == "ZeroDivisionError: by zero"
    assert [results["plain", number] for number in (1, 2, 3)] == [1, 2, 3]
    assert results["slow", 12] == 12


def test_a_worker_leaves_ctrl_c_to_the_parent_and_the_cores_to_the_others():
    results = dict(worker_pool.run(_work, [("interrupt", 1), ("threads", 0)], 1, 30))
    assert results == {("interrupt", 1): 1, ("threads", 0): 1}


def _process(task, report):
    time.sleep(0.05)
    return os.getpid()


def _double(task, report, factor=2):
    return factor * task


def test_a_pool_keeps_its_processes_from_run_to_run_and_no_longer():
    before = {child.pid for child in multiprocessing.active_children()}
    with worker_pool.Pool(2, 30) as pool:
        assert {child.pid for child in multiprocessing.active_children()} == before
        assert list(pool.run(_process, [])) == []
        assert {child.pid for child in multiprocessing.active_children()} == before
        assert len(dict(pool.run(_process, [0]))) == 1
        (first,) = {child.pid for child in multiprocessing.active_children()} - before
        processes = set(dict(pool.run(_process, range(8))).values())
        assert len(processes) == 2 and first in processes
        assert dict(pool.run(functools.partial(_double, factor=3), range(5))) == {
            number: 3 * number for number in range(5)
        }
        assert set(dict(pool.run(_process, range(8))).values()) == processes
    assert {child.pid for child in multiprocessing.active_children()} == before


def test_a_task_may_be_added_as_long_as_results_come():
    tasks = collections.deque([1, 2, 3])
    results = []
    with worker_pool.Pool(2, 30) as pool:
        for task, result in pool.run(_double, tasks):
            results.append(result)
            if task in (3, 30):  # 30 comes when all others have ended
                tasks.append(task * 10)
    assert sorted(results) == [2, 4, 6, 60, 600] and not tasks


def test_a_run_that_is_left_ends_its_workers_and_leaves_the_pool_usable(tmp_path):
    mark = tmp_path / "mark"
    with worker_pool.Pool(2, 60) as pool:
        results = pool.run(_write_later, [None, mark])
        assert next(results) == (None, None)
        results.close()
        assert dict(pool.run(_double, range(4))) == {0: 0, 1: 2, 2: 4, 3: 6}
        time.sleep(2)
        assert not mark.exists()


def _write_later(path, report):
    if path:
        time.sleep(2)
        path.write_text("the worker went on")


def test_a_pool_that_closes_ends_the_workers_of_a_run_that_is_not_closed():
    before = {child.pid for child in multiprocessing.active_children()}
    with worker_pool.Pool(2, 60) as pool:
        results = pool.run(_work, [("plain", 1), ("hang", 60)])
        assert next(results) == (("plain", 1), 1)
    assert {child.pid for child in multiprocessing.active_children()} == before
    results.close()


def test_a_process_that_dies_between_two_tasks_loses_none():
    with worker_pool.Pool(1, 30) as pool:
        ((_, process),) = pool.run(_process, [0])
        os.kill(process, signal.SIGKILL)
        while _lives(process):
            multiprocessing.active_children()  # which reaps it
            time.sleep(0.01)
        ((_, other),) = pool.run(_process, [0])
        assert other != process


class Adding:
    """A service that adds up what each worker tells, and answers when it is asked."""

    def __init__(self):
        self.connection, self._other_end = multiprocessing.Pipe(duplex=False)
        self.sums, self.dropped = {}, 0

    def take(self, worker, message):
        self.sums[worker] = self.sums.get(worker, 0) + message

    def drop(self, worker):
        self.dropped += 1
        self.sums.pop(worker, None)

    def answers(self, waiting, all_wait):
        return [(worker, self.sums[worker]) for worker in waiting]


def _ask(task, report):
    for number in range(task):
        report.tell(number)
    if task == 7:
        os._exit(1)
    return report.ask(1000)


def test_a_service_answers_each_worker_until_its_task_ends():
    service = Adding()
    with worker_pool.Pool(2, 30) as pool:
        results = dict(pool.run(_ask, [3, 4, 7, 3000], service=service))
    assert results.pop(7).outcome == "worker_died"
    assert results == {task: 1000 + sum(range(task)) for task in (3, 4, 3000)}
    assert service.dropped == 4 and not service.sums


def test_a_worker_that_gets_another_task_may_still_give_the_service_something():
    class Watching(Adding):
        alone = 0

        def answers(self, waiting, all_wait):
            if len(waiting) == 1 and all_wait and self.dropped < 20:
                self.alone += 1
            return super().answers(waiting, all_wait) if self.dropped == 20 else []

    service = Watching()
    with worker_pool.Pool(2, 30) as pool:
        results = dict(pool.run(_ask_or_not, ["ask", *range(20)], service=service))
    assert results["ask"] == 1 and service.alone == 0


def _ask_or_not(task, report):
    return report.ask(1) if task == "ask" else None


def test_the_wait_for_an_answer_is_no_hanging():
    class Late(Adding):
        begun = time.monotonic()

        def answers(self, waiting, all_wait):
            late = time.monotonic() - self.begun > 6
            return super().answers(waiting, all_wait) if late else []

    with worker_pool.Pool(1, 4) as pool:
        assert dict(pool.run(_ask, [1], service=Late())) == {1: 1000}


def test_a_full_disk_stops_the_run():
    with pytest.raises(UserError, match="No space left on device: free some space and run"):
        list(worker_pool.run(_work, [("full", 0), ("plain", 1)], 1, 30))


class OutOfPaperError(worker_pool.StopRunError):
    pass


def _print(task, report):
    raise OutOfPaperError("no paper")


def test_an_error_that_stops_the_run_keeps_its_type():
    with pytest.raises(OutOfPaperError, match="no paper"):
        list(worker_pool.run(_print, [1, 2], 1, 30))


def test_what_is_written_to_stderr_below_python_is_silenced_and_only_there(capfd):
    with worker_pool.silenced_stderr():
        os.write(2, b"a note of a library")
    os.write(2, b"an error")
    assert capfd.readouterr().err == "an error"


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_end_with_a_killed_parent(tmp_path):
    program = tmp_path / "parent.py"
    program.write_text(
        "import os, time\n"
        "from preprocessing import worker_pool\n"
        "def work(task, report):\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(60)\n"
        "if __name__ == '__main__':\n"
        "    list(worker_pool.run(work, [1], 1, 60))\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, env=environment)
    worker = int(parent.stdout.readline())
    assert _lives(worker)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not _lives(worker), 20)
