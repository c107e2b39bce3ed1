"""What stands before the application: which uploads are let in.

A client that sends its whole upload before it reads would lose the answer of a server that hangs
up. So what it still sends after a refusal is read and dropped, within bounds.
"""

import asyncio
import contextlib
import time

from prometheus_client import Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stfnet.serving.jobs import Jobs

PREDICT = "/api/predict"
REQUESTS = Counter("stfnet_requests", "Videos sent, by the status of the answer.", ["status"])
FORM_BYTES = 10_000  # what a form adds to the file in it: boundaries, headers, name
# Answers after which the connection is closed, since the upload may go on.
CUT_OFF = (408, 413, 503)
# After 413 and 503, what is still sent is dropped for so long, with pauses of so long, and up to
# so many times the largest body.
LAST_SECONDS, LAST_PAUSE, LAST_BODIES = 30, 5, 4


class Admission:
    """ASGI middleware around all others: counts the answers of the REST endpoint; refuses uploads
    when too many requests are unfinished (503), and uploads that are too large (413) or take too
    long (408).
    """

    def __init__(self, app: ASGIApp, jobs: Jobs):
        self._app, self._jobs, self._limits = app, jobs, jobs.limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", PREDICT):
            await self._app(scope, receive, send)
            return
        status, end = 0, None

        async def send_guarded(message: Message) -> None:
            nonlocal status, end
            if message["type"] == "http.response.start":
                status = message["status"]
                REQUESTS.labels(str(status)).inc()
                if status in CUT_OFF:
                    MutableHeaders(scope=message)["connection"] = "close"
            elif status in (413, 503) and not message.get("more_body", False):
                end, message = {**message, "body": b""}, {**message, "more_body": True}
            await send(message)

        await self._admit(scope, receive, send_guarded)
        if end:
            await self._drop(receive)
            await send(end)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.ExitStack() as admitted:
            try:
                size = int(Headers(scope=scope).get("content-length", 0))
                self._limits.check_size(size - FORM_BYTES)
                admitted.enter_context(self._jobs.admitted())
            except HTTPException as error:
                refusal = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
                await refusal(scope, receive, send)
            else:
                await self._app(scope, self._within_limits(receive), send)

    def _within_limits(self, receive: Receive) -> Receive:
        """Receives the body of a request before its time is over, and no more than is allowed."""
        limit = self._limits.time_limit
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
            self._limits.check_size(size - FORM_BYTES)
            return message

        return receive_within_limits

    async def _drop(self, receive: Receive) -> None:
        """Receives the rest of a body, within bounds."""
        left = LAST_BODIES * self._limits.max_bytes
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                while left > 0:
                    async with asyncio.timeout(LAST_PAUSE):
                        message = await receive()
                    if not message.get("more_body", False):
                        return
                    left -= len(message["body"])
