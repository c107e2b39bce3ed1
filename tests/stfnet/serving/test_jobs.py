import asyncio
import multiprocessing
import os
import signal

import pytest

pytest.importorskip("pebble", reason="needs pip install -e '.[serve]'")

pytest.importorskip("fastapi", reason="needs pip install -e '.[serve]'")

from starlette.exceptions import HTTPException

from preprocessing.errors import UserError
from stfnet.serving.jobs import Jobs, Limits

pytestmark = pytest.mark.slow


def _signal_the_process(number):
    (process,) = (p for p in multiprocessing.active_children() if "pebble" in p.name)
    os.kill(process.pid, number)


def test_requests_are_admitted_up_to_the_limit(jobs):
    with jobs.admitted(), jobs.admitted():
        assert jobs.in_hand == 2
        with pytest.raises(HTTPException) as caught, jobs.admitted():
            pass
        assert caught.value.status_code == 503
    assert jobs.in_hand == 0


def _recognise(jobs, path, picture=False, gone=None):
    """A request whose client waits for the answer, unless `gone` ends."""
    return jobs.recognise(str(path), picture, False, gone or asyncio.Event().wait)


async def _halt_while_it_works(jobs, monkeypatch, path, gone=None):
    """A request, and the process halted in the middle of it."""
    scheduled, schedule = [], jobs._schedule
    monkeypatch.setattr(
        jobs, "_schedule", lambda *a: scheduled.append(schedule(*a)) or scheduled[-1]
    )
    task = asyncio.create_task(_recognise(jobs, path, picture=True, gone=gone))
    while not (scheduled and scheduled[0].running()):
        await asyncio.sleep(0.001)
    _signal_the_process(signal.SIGSTOP)
    monkeypatch.undo()
    return task


def test_a_process_that_dies_is_replaced(jobs, moving_square, films_of_all_kinds, monkeypatch):
    async def killed():
        task = await _halt_while_it_works(jobs, monkeypatch, moving_square)
        _signal_the_process(signal.SIGKILL)
        return await task

    def recognised(path):
        return asyncio.run(_recognise(jobs, path))

    assert recognised(moving_square).num_frames == 11
    _signal_the_process(signal.SIGKILL)  # while it has nothing to do, seen or not yet
    assert recognised(moving_square).num_frames == 11
    with pytest.raises(HTTPException, match="died") as caught:
        asyncio.run(killed())
    assert caught.value.status_code == 500
    assert recognised(moving_square).num_frames == 11
    with pytest.raises(HTTPException, match="the video is longer") as caught:
        recognised(films_of_all_kinds / "long.mp4")
    assert caught.value.status_code == 422


def test_who_goes_before_the_turn_is_dropped_and_after_it_computed(
    jobs, moving_square, monkeypatch
):
    async def at_once():
        return None

    async def two():
        gone = asyncio.Event()
        first = await _halt_while_it_works(jobs, monkeypatch, moving_square, gone.wait)
        gone.set()
        with pytest.raises(HTTPException, match="gone") as caught:
            await _recognise(jobs, moving_square, gone=at_once)
        assert caught.value.status_code == 499
        assert not first.done()
        _signal_the_process(signal.SIGCONT)
        assert (await first).num_frames == 11

    asyncio.run(two())
    assert asyncio.run(_recognise(jobs, moving_square)).num_frames == 11


def test_a_pipe_in_the_place_of_a_video_holds_nobody_up(jobs, tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(HTTPException, match="the video is no regular file") as caught:
        asyncio.run(_recognise(jobs, tmp_path / "pipe.mp4"))
    assert caught.value.status_code == 422


def test_a_request_that_takes_too_long_is_given_up(jobs, films_of_all_kinds, monkeypatch):
    monkeypatch.setattr(jobs, "limits", Limits(time_limit=0.1))
    with pytest.raises(HTTPException, match=r"within 0\.1 s") as caught:
        asyncio.run(_recognise(jobs, films_of_all_kinds / "plays.webm", picture=True))
    assert caught.value.status_code == 504


def test_the_end_refuses_what_is_in_hand(tiny_run, tmp_path):
    async def end(jobs):
        task = asyncio.create_task(_recognise(jobs, tmp_path / "missing.mp4"))
        await asyncio.sleep(0)
        await jobs.end(0)
        with pytest.raises(HTTPException) as caught, jobs.admitted():
            pass
        assert caught.value.status_code == 503
        await task

    with (
        Jobs(str(tiny_run), Limits(), "fast") as jobs,  # still loads the network
        pytest.raises(HTTPException, match="the server ends") as caught,
    ):
        asyncio.run(end(jobs))
    assert caught.value.status_code == 503


def test_a_folder_that_is_no_run_is_a_line(tmp_path):
    with Jobs(str(tmp_path), Limits(), "fast") as jobs, pytest.raises(UserError, match="config"):
        jobs.network  # noqa: B018 - asked for
