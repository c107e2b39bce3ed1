import os
import signal
import subprocess
import sys
import time

import pytest

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
        ("hang", 60),
        ("slow", 12),
        ("plain", 3),
    ]
    begun = time.monotonic()
    results = dict(worker_pool.run(_work, tasks, 2, 4))
    assert time.monotonic() - begun < 40
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
    lived_before = _lives(worker)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while _lives(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    outlived = _lives(worker)
    if outlived:
        os.kill(worker, signal.SIGKILL)
    assert lived_before and not outlived
