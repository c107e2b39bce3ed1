"""What stands before the application: which addresses there are, and how many uploads at once."""

import asyncio
import contextlib
import time
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stfnet.serving.jobs import RETRY_SECONDS, Jobs
from stfnet.serving.limits import RefusedError
from stfnet.serving.metrics import Metrics

PREDICT = "/api/predict"
PAGE_API = "/gradio_api/"
PAGE_UPLOAD = f"{PAGE_API}upload"
# What the page needs of Gradio's addresses. Others would fetch from other hosts, or store files.
PAGE_NEEDS = tuple(
    PAGE_API + name for name in ("upload", "queue/", "file=/", "heartbeat/", "startup-events")
)

# Nothing that the page holds, or a later version of Gradio brings, may ask another host.
HEADERS = {
    "content-security-policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


# A client that sends on after such an answer is hung up on.
CUT_OFF = (408, 413, 503)


class Guard:
    """ASGI middleware around all others: adds `HEADERS` to every answer, hangs up on uploads that
    were refused, and counts the answers of the REST endpoint.

    Args:
        app: what it stands before.
        metrics: of the server.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if message["status"] in CUT_OFF:
                    headers["connection"] = "close"
                if _is_post(scope, PREDICT):
                    self._metrics.count("api", message["status"])
            await send(message)

        await self._app(scope, receive, send_guarded)


class Admission:
    """ASGI middleware: refuses uploads when too many requests are in hand (503), uploads that take
    too long (408), and those of Gradio's addresses that the page does not need (404).

    Args:
        app: what it stands before.
        jobs: counts the requests.
        kept: folder in which the page keeps files for a while; when it holds more than twice what
            the requests at once may bring, uploads to the page are refused (503).
    """

    def __init__(self, app: ASGIApp, jobs: Jobs, kept: Path):
        self._app, self._jobs, self._kept = app, jobs, kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        path = scope.get("path", "")
        if path.startswith(PAGE_API) and not path.startswith(PAGE_NEEDS):
            await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, send)
        elif _is_post(scope, PREDICT):
            await self._admit(scope, receive, send)
        elif _is_post(scope, PAGE_UPLOAD):
            if self._full():
                error = RefusedError(503, "no room for more files: try again in some minutes")
                await _refuse(error, scope, receive, send)
            else:
                await self._admit(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Only what `admitted` itself raises is answered here; the application answers its own.
        admitted = self._jobs.admitted()
        try:
            admitted.__enter__()
        except RefusedError as error:
            await _refuse(error, scope, receive, send)
            return
        try:
            await self._app(scope, self._in_time(receive), send)
        finally:
            admitted.__exit__(None, None, None)

    def _full(self) -> bool:
        limits, size = self._jobs.limits, 0
        for path in self._kept.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # removed in between
                size += path.stat().st_size
        return size > 2 * limits.queue * limits.max_bytes

    def _in_time(self, receive: Receive) -> Receive:
        """Receives the body of a request before its time is over."""
        limit = self._jobs.limits.time_limit
        end, whole = time.monotonic() + limit, False

        async def receive_in_time() -> Message:
            nonlocal whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, f"the upload took longer than {limit:g} s") from error
            whole = not message.get("more_body", False)
            return message

        return receive_in_time


def _is_post(scope: Scope, path: str) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == path


async def _refuse(error: RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    response = JSONResponse({"detail": str(error)}, error.status, headers)
    await response(scope, receive, send)
