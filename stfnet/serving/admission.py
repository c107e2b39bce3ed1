"""What stands before the application: headers of every answer, and how many uploads at once.

A client that sends its whole upload before it reads would lose the answer of a server that hangs
up. So what it still sends after a refusal is read and dropped, within bounds.
"""

import asyncio
import contextlib
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stfnet.serving.jobs import RETRY_SECONDS, Jobs
from stfnet.serving.limits import FORM_BYTES, RefusedError
from stfnet.serving.metrics import Metrics

PREDICT = "/api/predict"
# Nothing that the page or the documentation holds may ask another host.
HEADERS = {
    "content-security-policy": "default-src 'self' 'unsafe-inline' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'none'; object-src 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


# Answers after which the connection is closed, since the upload may go on.
CUT_OFF = (408, 413, 503)
# After 413 and 503, what is still sent is dropped for so long, with pauses of so long, and up to
# so many times the largest body.
LAST_SECONDS, LAST_PAUSE, LAST_BODIES = 30, 5, 4


class Guard:
    """ASGI middleware around all others: adds `HEADERS` to every answer, takes the rest of uploads
    that were refused before it hangs up, and counts the answers of the REST endpoint.

    Args:
        app: what it stands before.
        metrics: of the server.
        max_bytes: of the body of a request.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, max_bytes: int):
        self._app, self._metrics, self._max_bytes = app, metrics, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        refused, end = False, None

        async def send_guarded(message: Message) -> None:
            nonlocal refused, end
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if message["status"] in CUT_OFF:
                    headers["connection"] = "close"
                    refused = message["status"] != 408
                if _is_prediction(scope):
                    self._metrics.count(message["status"])
            elif refused and not message.get("more_body", False):
                end, message = {**message, "body": b""}, {**message, "more_body": True}
            await send(message)

        await self._app(scope, receive, send_guarded)
        if end:
            await self._drop(receive)
            await send(end)

    async def _drop(self, receive: Receive) -> None:
        """Receives the rest of a body, within bounds."""
        left = LAST_BODIES * self._max_bytes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                while left > 0:
                    async with asyncio.timeout(LAST_PAUSE):
                        message = await receive()
                    if not message.get("more_body", False):
                        return
                    left -= len(message["body"])


class Admission:
    """ASGI middleware: refuses uploads when too many requests are in hand (503), and uploads that
    are too large (413) or take too long (408).

    Args:
        app: what it stands before.
        jobs: counts the requests.
    """

    def __init__(self, app: ASGIApp, jobs: Jobs):
        self._app, self._jobs = app, jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if _is_prediction(scope):
            await self._admit(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Only what `admitted` itself raises is answered here; the application answers its own.
        admitted = self._jobs.admitted()
        try:
            self._check_size(int(Headers(scope=scope).get("content-length", 0)))
            admitted.__enter__()
        except RefusedError as error:
            await refusal(error)(scope, receive, send)
            return
        try:
            await self._app(scope, self._within_limits(receive), send)
        finally:
            admitted.__exit__(None, None, None)

    def _check_size(self, size: int) -> None:
        limits = self._jobs.limits
        if size > limits.max_bytes + FORM_BYTES:
            raise limits.too_large()

    def _within_limits(self, receive: Receive) -> Receive:
        """Receives the body of a request before its time is over, and no more than is allowed."""
        limit = self._jobs.limits.time_limit
        end, whole, size = time.monotonic() + limit, False, 0

        async def receive_within_limits() -> Message:
            nonlocal whole, size
            if whole:
                return await receive()
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, f"the upload took longer than {limit:g} s") from error
            whole = not message.get("more_body", False)
            size += len(message.get("body", b""))
            try:
                self._check_size(size)
            except RefusedError as error:
                raise HTTPException(error.status, str(error)) from error
            return message

        return receive_within_limits


def _is_prediction(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == PREDICT


def refusal(error: RefusedError) -> JSONResponse:
    """The answer to a request that is refused."""
    headers = {"Retry-After": str(RETRY_SECONDS)} if error.status == 503 else None
    return JSONResponse({"detail": str(error)}, error.status, headers)
