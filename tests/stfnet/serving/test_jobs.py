import asyncio
import multiprocessing
import os
import signal
import time

import pytest

pytest.importorskip("pebble", reason="needs pip install -e '.[serve]'")

from preprocessing.errors import UserError
from stfnet.serving.jobs import Jobs
from stfnet.serving.limits import Limits, RefusedError

pytestmark = pytest.mark.slow


def _kill_the_process():
    (process,) = (p for p in multiprocessing.active_children() if "pebble" in p.name)
    os.kill(process.pid, signal.SIGKILL)


def test_requests_are_admitted_up_to_the_limit(jobs):
    with jobs.admitted(), jobs.admitted():
        assert jobs.in_hand == 2
        with pytest.raises(RefusedError) as caught, jobs.admitted():
            pass
        assert caught.value.status == 503
    assert jobs.in_hand == 0


async def _kill_while_it_reads(pipe, task):
    """Kills the process that has opened a named pipe, in which it finds nothing to read."""
    while not task.done():
        try:
            end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads it yet
            await asyncio.sleep(0.01)
            continue
        _kill_the_process()
        os.close(end)
        return


def test_a_process_that_dies_is_replaced(jobs, moving_square, films_of_all_kinds, tmp_path):
    async def recognise(path, kill=None):
        task = asyncio.create_task(jobs.recognise(str(path)))
        if kill:
            await kill(path, task)
        return await task

    assert asyncio.run(recognise(moving_square)).num_frames == 11
    _kill_the_process()  # while it has nothing to do
    time.sleep(1)
    assert asyncio.run(recognise(moving_square)).num_frames == 11
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(RefusedError, match="died") as caught:
        asyncio.run(recognise(tmp_path / "pipe.mp4", kill=_kill_while_it_reads))
    assert caught.value.status == 500
    assert asyncio.run(recognise(moving_square)).num_frames == 11
    with pytest.raises(RefusedError, match="the video is longer") as caught:
        asyncio.run(recognise(films_of_all_kinds / "long.mp4"))
    assert caught.value.status == 422


def test_who_goes_before_the_turn_is_dropped_and_after_it_computed(jobs, moving_square, tmp_path):
    async def at_once():
        return None

    async def two():
        gone = asyncio.Event()
        first = asyncio.create_task(jobs.recognise(str(pipe), gone=gone.wait))
        while True:  # until the process has it open
            try:
                end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:
                await asyncio.sleep(0.01)
        gone.set()
        with pytest.raises(RefusedError, match="gone") as caught:
            await jobs.recognise(str(moving_square), gone=at_once)
        assert caught.value.status == 499
        assert not first.done()
        os.close(end)
        with pytest.raises(RefusedError, match="the video") as caught:
            await first
        assert caught.value.status == 422

    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    asyncio.run(two())
    assert asyncio.run(jobs.recognise(str(moving_square))).num_frames == 11


def test_a_request_that_takes_too_long_is_given_up(jobs, films_of_all_kinds, monkeypatch):
    monkeypatch.setattr(jobs, "limits", Limits(time_limit=0.1))
    with pytest.raises(RefusedError, match=r"within 0\.1 s") as caught:
        asyncio.run(jobs.recognise(str(films_of_all_kinds / "plays.webm"), draw=True))
    assert caught.value.status == 504


def test_the_end_refuses_what_is_in_hand(tiny_run, tmp_path):
    async def end(jobs):
        task = asyncio.create_task(jobs.recognise(str(tmp_path / "missing.mp4")))
        await asyncio.sleep(0)
        await jobs.end(0)
        with pytest.raises(RefusedError) as caught, jobs.admitted():
            pass
        assert caught.value.status == 503
        await task

    with Jobs(str(tiny_run), Limits(), "fast") as jobs:  # still loads the network
        begin = time.monotonic()
        with pytest.raises(RefusedError, match="the server ends") as caught:
            asyncio.run(end(jobs))
    assert caught.value.status == 503
    assert time.monotonic() - begin < 30


def test_a_folder_that_is_no_run_is_a_line(tmp_path):
    with Jobs(str(tmp_path), Limits(), "fast") as jobs, pytest.raises(UserError, match="config"):
        jobs.network  # noqa: B018 - asked for
