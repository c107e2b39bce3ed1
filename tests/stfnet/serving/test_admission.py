import asyncio
import contextlib

import pytest

pytest.importorskip("fastapi", reason="needs pip install -e '.[serve]'")
pytest.importorskip("pebble", reason="needs pip install -e '.[serve]'")

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from stfnet.serving.admission import PREDICT, REQUESTS, Admission
from stfnet.serving.jobs import Limits

pytestmark = pytest.mark.slow  # only because make test does not install what it needs


class _Jobs:
    """Counts as `Jobs` does, without a network."""

    def __init__(self, queue=1, time_limit=5.0):
        self.limits, self.in_hand = Limits(queue=queue, time_limit=time_limit), 0

    @contextlib.contextmanager
    def admitted(self):
        if self.in_hand >= self.limits.queue:
            raise HTTPException(503, "busy", {"Retry-After": "5"})
        self.in_hand += 1
        try:
            yield
        finally:
            self.in_hand -= 1


@pytest.fixture(autouse=True)
def nothing_counted():
    REQUESTS.clear()


def _counted():
    """Answers of the endpoint since the test began, by their status."""
    samples = next(iter(REQUESTS.collect())).samples
    return {s.labels["status"]: s.value for s in samples if s.name.endswith("_total")}


def _app(jobs):
    async def body(request):
        return PlainTextResponse(f"{len(await request.body())} bytes")

    app = Starlette(routes=[Route("/{path:path}", body, methods=["GET", "POST"])])
    return Admission(app, jobs)


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
    jobs = _Jobs()
    status, headers, text = asyncio.run(_ask(_app(jobs), PREDICT, pieces=[b"ab", b"c"]))
    assert (status, text) == (200, b"3 bytes")
    assert "connection" not in headers
    assert _counted() == {"200": 1} and jobs.in_hand == 0


def test_one_more_than_the_limit_is_told_to_come_again():
    async def three():
        return await asyncio.gather(*(_ask(app, PREDICT, pause=0.1) for _ in range(3)))

    jobs = _Jobs(queue=2)
    app = _app(jobs)
    answers = asyncio.run(three())
    assert [status for status, _, _ in answers] == [200, 200, 503]
    assert answers[2][1]["retry-after"] == "5" and answers[2][1]["connection"] == "close"
    assert answers[2][2] == b'{"detail":"busy"}'
    assert jobs.in_hand == 0


@pytest.mark.parametrize(("path", "method"), [("/", "GET"), (PREDICT, "GET"), ("/other", "POST")])
def test_other_requests_take_no_place(path, method):
    status, _, _ = asyncio.run(_ask(_app(_Jobs(queue=0)), path, method))
    assert status == 200 and _counted() == {}


def test_an_upload_that_never_ends_loses_its_place():
    jobs = _Jobs(time_limit=0.3)
    pieces = [b"x"] * 1000
    status, headers, text = asyncio.run(_ask(_app(jobs), PREDICT, pieces=pieces, pause=0.05))
    assert b"the upload took longer than 0.3 s" in text and headers["connection"] == "close"
    assert status == 408 and _counted() == {"408": 1} and jobs.in_hand == 0


@pytest.mark.parametrize("status", [413, 503])
def test_what_a_refused_client_still_sends_is_dropped_up_to_a_bound(status):
    jobs = _Jobs(queue=0) if status == 503 else _Jobs()
    pieces = [bytes(40_000_000)] * 20
    received, sent = [], []

    async def receive():
        received.append(pieces.pop())
        return {"type": "http.request", "body": received[-1], "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": PREDICT, "headers": [], "query_string": b""}
    asyncio.run(_app(jobs)(scope, receive, send))
    assert sent[0]["status"] == status and sent[1]["body"] and not sent[2]["body"]
    assert [message.get("more_body", False) for message in sent[1:]] == [True, False]
    assert len(received) == {413: 3 + 10, 503: 10}[status]
    assert jobs.in_hand == 0


def test_a_declared_size_is_refused_before_the_upload():
    scope = {"type": "http", "method": "POST", "path": PREDICT, "query_string": b""}
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    async def ask(size):
        sent.clear()
        headers = [(b"content-length", str(size).encode())]
        await _app(_Jobs())({**scope, "headers": headers}, receive, send)
        return sent[0]["status"], dict(sent[0]["headers"])[b"connection"], sent[1]["body"]

    refusal = (413, b"close", b'{"detail":"the video is larger than 100 MB"}')
    assert asyncio.run(ask(100_010_001)) == refusal
