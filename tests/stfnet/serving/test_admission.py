import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("starlette", reason="needs pip install -e '.[serve]'")
pytest.importorskip("pebble", reason="needs pip install -e '.[serve]'")

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from stfnet.serving.admission import HEADERS, PAGE_UPLOAD, PREDICT, Admission, Guard
from stfnet.serving.limits import Limits, RefusedError

pytestmark = pytest.mark.slow  # only because make test does not install what it needs


class _Jobs:
    """Counts as `Jobs` does, without a network."""

    def __init__(self, queue=1, time_limit=5.0):
        self.limits, self.in_hand = Limits(queue=queue, time_limit=time_limit), 0

    @contextlib.contextmanager
    def admitted(self):
        if self.in_hand >= self.limits.queue:
            raise RefusedError(503, "busy")
        self.in_hand += 1
        try:
            yield
        finally:
            self.in_hand -= 1


def _app(jobs, counted, kept=Path("/nowhere")):
    async def body(request):
        return PlainTextResponse(f"{len(await request.body())} bytes")

    async def get(request):
        return PlainTextResponse("page")

    paths = [Route(path, body, methods=["POST"]) for path in (PREDICT, PAGE_UPLOAD)]
    app = Starlette(routes=[*paths, Route("/{path:path}", get)])
    metrics = SimpleNamespace(count=lambda source, status: counted.append((source, status)))
    return Guard(Admission(app, jobs, kept), metrics)


async def _ask(app, path, method="POST", pieces=(b"abc",), pause=0.0):
    sent, pieces = [], list(pieces)

    async def receive():
        await asyncio.sleep(pause)
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])


def test_an_upload_is_let_in_and_counted():
    counted, jobs = [], _Jobs()
    for path in (PREDICT, PAGE_UPLOAD):
        status, headers, text = asyncio.run(_ask(_app(jobs, counted), path, pieces=[b"ab", b"c"]))
        assert (status, text) == (200, b"3 bytes")
        assert HEADERS.items() <= headers.items()
    assert counted == [("api", 200)] and jobs.in_hand == 0


@pytest.mark.parametrize("path", [PREDICT, PAGE_UPLOAD])
def test_one_more_than_the_limit_is_told_to_come_again(path):
    async def three():
        return await asyncio.gather(*(_ask(app, path, pause=0.1) for _ in range(3)))

    jobs = _Jobs(queue=2)
    app = _app(jobs, [])
    answers = asyncio.run(three())
    assert [status for status, _, _ in answers] == [200, 200, 503]
    assert answers[2][1]["retry-after"] == "5" and answers[2][1]["connection"] == "close"
    assert answers[2][2] == b'{"detail":"busy"}'
    assert jobs.in_hand == 0


def test_an_upload_that_never_ends_loses_its_place():
    counted, jobs = [], _Jobs(time_limit=0.3)
    pieces = [b"x"] * 1000
    status, _, _ = asyncio.run(_ask(_app(jobs, counted), PREDICT, pieces=pieces, pause=0.05))
    assert status == 408 and counted == [("api", 408)] and jobs.in_hand == 0


def test_the_page_takes_no_more_files_than_there_is_room_for(tmp_path):
    jobs = _Jobs()
    with (tmp_path / "film").open("wb") as file:
        file.truncate(2 * jobs.limits.max_bytes + 1)
    app = _app(jobs, [], tmp_path)
    status, headers, text = asyncio.run(_ask(app, PAGE_UPLOAD))
    assert status == 503 and headers["retry-after"] == "5" and b"no room" in text
    assert asyncio.run(_ask(app, PREDICT))[0] == 200
    (tmp_path / "film").unlink()
    assert asyncio.run(_ask(app, PAGE_UPLOAD))[0] == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/gradio_api/file=/x", 200),
        ("/gradio_api/queue/data", 200),
        ("/gradio_api/file=http://elsewhere/x", 404),
        ("/gradio_api/proxy=http://elsewhere/x", 404),
        ("/gradio_api/process_recording", 404),
        ("/gradio_api/info", 404),
    ],
)
def test_only_what_the_page_needs_is_there(path, status):
    assert asyncio.run(_ask(_app(_Jobs(), []), path, "GET"))[0] == status
