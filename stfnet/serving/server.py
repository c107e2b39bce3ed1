"""The life of a server: its temporary folder, its socket, its end."""

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from preprocessing import files
from preprocessing.errors import UserError
from stfnet.serving.admission import Admission
from stfnet.serving.app import make_app
from stfnet.serving.jobs import Jobs, Limits

# Of every answer: nothing that the page or the documentation holds may ask another host.
HEADERS = [
    (
        "content-security-policy",
        "default-src 'self' 'unsafe-inline' data: blob:; frame-ancestors 'self'; "
        "form-action 'self'; base-uri 'none'; object-src 'none'",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
]
FOLDER = "stfnet-serve"
LAST_SECONDS = 3  # for the answers to requests that were given up


def serve(
    folder: str,
    host: str,
    port: int,
    limits: Limits,
    quality: str | None = None,
    grace: int = 10,
) -> None:
    """Serves the network of a run or an export until SIGTERM or Ctrl-C, and prints where it
    listens.

    Port 0 is any that is free; `quality` is that of the flow, None for that of the records; `grace`
    the seconds that unfinished requests have left after SIGTERM.

    Raises:
        UserError: the address cannot be listened at, or the folder holds no network that works.
        SystemExit: (0) on SIGTERM.
    """
    # Also while the network is loaded. Uvicorn has its own handler and then sends the signal again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with (
        temporary_folder(),
        listening(host, port) as listener,
        Jobs(folder, limits, quality) as jobs,
    ):
        # A client that takes nothing of its answer for so long is hung up on.
        patience = round(1000 * limits.time_limit)
        with contextlib.suppress(AttributeError):  # of Linux alone
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
        network = jobs.network
        config = uvicorn.Config(
            Admission(make_app(jobs), jobs),
            log_level="warning",
            access_log=False,
            server_header=False,
            headers=HEADERS,
            timeout_graceful_shutdown=grace + LAST_SECONDS,
        )
        address = f"[{host}]" if ":" in host else host
        explained = "" if network.explains else ", without explanation: probabilities alone"
        print(
            f"http://{address}:{listener.getsockname()[1]} recognises the {len(network.classes)} "
            f"classes of {network.dataset}{explained}",
            flush=True,
        )
        _Server(config, jobs, grace).run([listener])


class _Server(uvicorn.Server):
    """Tells the unfinished requests when it is about to end."""

    def __init__(self, config: uvicorn.Config, jobs: Jobs, grace: int):
        super().__init__(config)
        self._jobs, self._grace = jobs, grace

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        ending = asyncio.create_task(self._jobs.end(self._grace))
        await super().shutdown(sockets)
        ending.cancel()


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for every temporary file of this process, removed with all in it at the end.

    What servers that were killed left is removed first.
    """
    before = tempfile.gettempdir()
    name = Path(before) / FOLDER
    files.remove_partial(name.parent, name.name)
    place = files.partial_path(name)
    place.mkdir(mode=0o700)
    tempfile.tempdir = str(place)
    try:
        yield place
    finally:
        tempfile.tempdir = before
        shutil.rmtree(place, ignore_errors=True)


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; a UserError where the address is taken or not of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--host={host} --port={port}: {reason}: give another --port, or an address of this "
            "machine as --host"
        ) from error
