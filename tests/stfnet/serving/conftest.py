"""A server as a user starts it, in a process of its own, and its jobs alone."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE = 300  # seconds in which a server starts, also on a busy machine


class Server:
    """A running `experiments.serve`.

    Attributes:
        FORM: the beginning of a form, up to the file in it; END: what follows the file.
        url: where it listens.
        temporary: folder in which it makes its temporary files.
        process: the process.
    """

    FORM = (
        b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n'
        b"Content-Type: video/mp4\r\n\r\n"
    )
    END = b"\r\n--x--\r\n"

    def __init__(self, temporary, **flags):
        self.temporary, self.log = temporary, temporary.with_suffix(".log")
        temporary.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "experiments.serve", "--port=0"]
        command += [f"--{name}={value}" for name, value in flags.items()]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "TMPDIR": str(temporary)}
            )
        end = time.monotonic() + PATIENCE
        while not (match := re.search("http://[^ ]+", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"the server does not start within {PATIENCE} s"
            time.sleep(0.2)
        self.url = match[0]

    def terminate(self):
        """Sends SIGTERM and waits for the end, for no longer than it should take."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def left(self):
        """Names of its temporary files."""
        return [path.name for path in self.temporary.rglob("*") if path.is_file()]

    def send(self, video, name="a.mp4", **query):
        """The answer to a video, given as bytes or as a path."""
        import httpx

        content = video.read_bytes() if isinstance(video, Path) else video
        address, files = f"{self.url}/api/predict", {"video": (name, content)}
        return httpx.post(address, files=files, params=query, timeout=PATIENCE)

    def get(self, address):
        """The answer of another address."""
        import httpx

        return httpx.get(f"{self.url}{address}", timeout=60)

    def connect(self):
        """A connection to its port."""
        host, port = self.url.removeprefix("http://").split(":")
        return socket.create_connection((host, int(port)), timeout=60)

    def head(self, *lines, path="/api/predict"):
        """The head of a request that sends a form, with further lines."""
        kind = "Content-Type: multipart/form-data; boundary=x"
        return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", *lines, kind, "\r\n"]).encode()

    def wait_for_in_hand(self, number):
        """Returns when so many requests are unfinished."""
        end = time.monotonic() + 60
        while (found := self.get("/health").json()["in_hand"]) != number:
            assert time.monotonic() < end, f"{found} unfinished requests"
            time.sleep(0.05)

    def worker(self):
        """Number of the process that computes."""
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parent = (path / "stat").read_text().rpartition(")")[2].split()[1]
                command = (path / "cmdline").read_bytes()
                if int(parent) == self.process.pid and b"spawn_main" in command:
                    return int(path.name)
        raise AssertionError("no process computes")

    def lives(self, film):
        """Asserts that it recognises a video and that nothing is left; what it answers."""
        self.wait_for_in_hand(0)
        answer = self.send(film)
        assert answer.status_code == 200, answer.text
        self.wait_for_in_hand(0)
        assert self.left() == []
        return answer.json()


@contextlib.contextmanager
def _started(temporary, **flags):
    server = Server(temporary, **flags)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()


@pytest.fixture(scope="session")
def start_server():
    """Context manager of a folder and flags in which a server runs."""
    return _started


@pytest.fixture(scope="session")
def server(tiny_run, tmp_path_factory):
    """A server of `tiny_run` that takes 1 MB, 5 seconds and 4 requests at once."""
    limits = {"max_megabytes": 1, "max_seconds": 5, "queue": 4}
    with _started(tmp_path_factory.mktemp("server") / "tmp", model=tiny_run, **limits) as server:
        yield server


@pytest.fixture(scope="session")
def jobs(tiny_run):
    """The jobs of a server of `tiny_run`, two at once."""
    from stfnet.serving.jobs import Jobs, Limits

    limits = Limits(max_megabytes=1, max_seconds=5, queue=2, time_limit=PATIENCE)
    with Jobs(str(tiny_run), limits, "fast") as jobs:
        yield jobs


@pytest.fixture(scope="session")
def films_of_all_kinds(tmp_path_factory, moving_square):
    """Files by name: one that a browser plays, a long one, one cut off, a playlist, text, none."""
    from benchmarks import films

    folder = tmp_path_factory.mktemp("films")
    films.write_video(folder / "plays.webm", films.moving_textures(60, 160, 120), "VP80", 30)
    films.write_video(folder / "long.mp4", films.moving_textures(100, 64, 48), films.MPEG_4, 10)
    films.write_video(folder / "one.mp4", films.moving_textures(1, 64, 48), films.MPEG_4, 10)
    content = moving_square.read_bytes()
    (folder / "cut.mp4").write_bytes(content[: 2 * len(content) // 3])
    (folder / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")
    (folder / "text.mp4").write_text("no video")
    (folder / "empty.mp4").touch()
    return folder
