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


async def _ask(app, path, method="POST", pieces=(b"abc",), headers=()):
    sent, pieces = [], list(pieces)

    async def receive():
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": b""}
    await app({**scope, "headers": list(headers)}, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:])


def test_an_upload_is_let_in_and_counted():
    jobs = _Jobs()
    status, headers, text = asyncio.run(_ask(_app(jobs), PREDICT, pieces=[b"ab", b"c"]))
    assert (status, text) == (200, b"3 bytes")
    assert "connection" not in headers
    assert _counted() == {"200": 1} and jobs.in_hand == 0


@pytest.mark.parametrize(("path", "method"), [("/", "GET"), (PREDICT, "GET"), ("/other", "POST")])
def test_other_requests_take_no_place(path, method):
    status, _, _ = asyncio.run(_ask(_app(_Jobs(queue=0)), path, method))
    assert status == 200 and _counted() == {}


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
    declared = [(b"content-length", b"100010001")]
    status, headers, text = asyncio.run(_ask(_app(_Jobs()), PREDICT, pieces=(), headers=declared))
    assert (status, headers["connection"]) == (413, "close")
    assert text == b'{"detail":"the video is larger than 100 MB"}'
