"""What stands before the application: headers of every answer, and how many uploads at once."""

import asyncio
import time

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stfnet.serving.jobs import RETRY_SECONDS, Jobs
from stfnet.serving.limits import RefusedError
from stfnet.serving.metrics import Metrics

PREDICT = "/api/predict"
# Nothing that the page or the documentation holds may ask another host.
HEADERS = {
    "content-security-policy": "default-src 'self' 'unsafe-inline' data: blob:; "
    "frame-ancestors 'self'; form-action 'self'; base-uri 'none'; object-src 'none'",
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
                if _is_prediction(scope):
                    self._metrics.count(message["status"])
            await send(message)

        await self._app(scope, receive, send_guarded)


class Admission:
    """ASGI middleware: refuses uploads when too many requests are in hand (503), and uploads that
    take too long (408).

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
            admitted.__enter__()
        except RefusedError as error:
            await _refuse(error, scope, receive, send)
            return
        try:
            await self._app(scope, self._in_time(receive), send)
        finally:
            admitted.__exit__(None, None, None)

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


def _is_prediction(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == PREDICT


async def _refuse(error: RefusedError, scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    response = JSONResponse({"detail": str(error)}, error.status, headers)
    await response(scope, receive, send)
