"""Requests to the one process that has the network: how many at once, and what became of each."""

import asyncio
import contextlib
import dataclasses
import multiprocessing
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures.process import BrokenProcessPool

import pebble
from starlette.exceptions import HTTPException

from preprocessing.errors import UserError
from stfnet.serving import worker
from stfnet.serving.worker import Network, Prediction

RETRY_SECONDS = 5  # after which a client may come again
GONE = 499  # what web servers log of a client that went; nobody gets it


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a server takes."""

    max_megabytes: int = 100  # size of a video file, in millions of bytes
    max_seconds: float = 60.0  # length of a video
    queue: int = 8  # unfinished requests at once: being uploaded, waiting or computed
    time_limit: float = 120.0  # seconds for an upload, and again for its computation

    @property
    def max_bytes(self) -> int:
        return self.max_megabytes * 1_000_000

    def check_size(self, size: int) -> None:
        """Raises an HTTPException (413) for a file of more than `max_bytes` bytes."""
        if size > self.max_bytes:
            raise HTTPException(413, f"the video is larger than {self.max_megabytes} MB")


class Jobs:
    """Lets requests in up to a number, and computes one after the other.

    A context manager: its process ends with the block. The folder is of a run or an export;
    `quality` is that of the flow, None for that of the records; `in_hand` counts the requests let
    in that have not ended.
    """

    def __init__(self, folder: str, limits: Limits, quality: str | None):
        self.limits, self.in_hand = limits, 0
        self._running: set[asyncio.Future] = set()
        self._ending = False
        self._arguments = folder, quality
        self._pool = self._new_pool()
        self._described = self._pool.schedule(worker.describe)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._pool.stop()
        self._pool.join()

    @property
    def network(self) -> Network:
        """What is served, as soon as it is loaded; a UserError where the folder holds no network
        that works.
        """
        return self._described.result()

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Counts the block as an unfinished request.

        An HTTPException (503) where there are as many as the limits allow, or the server ends.
        """
        if self._ending:
            raise _later("the server ends")
        if self.in_hand >= self.limits.queue:
            raise _later(f"{self.in_hand} requests are unfinished")
        self.in_hand += 1
        try:
            yield
        finally:
            self.in_hand -= 1

    async def recognise(
        self,
        path: str,
        picture: bool,
        film: bool,
        gone: Callable[[], Awaitable[object]],
    ) -> Prediction:
        """Recognises a video file, when the requests before it are done; arguments as of
        `worker.recognise`.

        `gone` ends when nobody wants the answer any more. What is computed by then is computed to
        its end, since to stop it is to load the network again.

        Raises:
            HTTPException: (422) the file is no video that can be recognised; (504) it took longer
                than the limit; (500) the process died of it; (503) the server ended before; (499)
                nobody wanted the answer before its turn came.
        """
        arguments = (path, self.limits.max_seconds, picture, film)
        with contextlib.suppress(BrokenProcessPool):  # it died before it took the request up
            return await self._answer(self._schedule(arguments), gone)
        try:
            return await self._answer(self._schedule(arguments), gone)
        except BrokenProcessPool as error:
            raise HTTPException(500, "the process that decodes videos died twice") from error

    async def _answer(
        self, scheduled: pebble.ProcessFuture, gone: Callable[[], Awaitable[object]]
    ) -> Prediction:
        future = asyncio.wrap_future(scheduled)
        self._running.add(future)
        future.add_done_callback(self._running.discard)
        left = asyncio.ensure_future(gone())
        try:
            await asyncio.wait((future, left), return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
        if not (future.done() or scheduled.running()):
            # Not cancelled: pebble would end the process when its turn comes. By then the file is
            # away, and the process goes on at once.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise HTTPException(GONE, "the client has gone")
        try:
            return await future
        except asyncio.CancelledError:
            if self._ending:
                raise _later("the server ends") from None
            raise
        except TimeoutError as error:
            limit = f"{self.limits.time_limit:g} s"
            reason = f"no answer within {limit}: send a shorter or smaller video"
            raise HTTPException(504, reason) from error
        except pebble.ProcessExpired as error:
            raise HTTPException(500, "the process that decoded the video died") from error
        except UserError as error:
            raise HTTPException(422, " ".join(str(error).split())) from error

    async def end(self, grace: float) -> None:
        """Lets nothing in any more, and after some seconds gives up what is still unfinished."""
        self._ending = True
        await asyncio.sleep(grace)
        self._pool.stop()  # or it would start another process in the place of the one it gives up
        for future in tuple(self._running):
            future.cancel()

    def _schedule(self, arguments) -> pebble.ProcessFuture:
        if not self._pool.active:  # the process died while it had nothing to do
            self._pool = self._new_pool()
        # Time counts from when the process takes it up, and the network is loaded by then.
        return self._pool.schedule(worker.recognise, arguments, timeout=self.limits.time_limit)

    def _new_pool(self) -> pebble.ProcessPool:
        # Spawned, not forked: it inherits no threads, locks or sockets of the server.
        return pebble.ProcessPool(
            max_workers=1,
            initializer=worker.open_network,
            initargs=self._arguments,
            context=multiprocessing.get_context("spawn"),
        )


def _later(reason: str) -> HTTPException:
    return HTTPException(503, f"{reason}: try again later", {"Retry-After": str(RETRY_SECONDS)})
