"""A server in a process of its own, as a user starts it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from helpers import wait_until

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

    def __init__(self, temporary, *arguments, folder=None, **flags):
        """`folder` is the one in which it runs, by default this process's."""
        self.temporary, self.log = temporary, temporary.with_suffix(".log")
        temporary.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "experiments.serve", "--port=0", *arguments]
        command += [f"--{name}={value}" for name, value in flags.items()]
        places = {"TMPDIR": str(temporary), "PYTHONPATH": str(Path(__file__).parents[1])}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder, env=os.environ | places
            )
        self.url = wait_until(self._address, PATIENCE)

    def _address(self):
        assert self.process.poll() is None, self.log.read_text()
        found = re.search("http://[^ ]+:[0-9]+", self.log.read_text())
        return found and found[0]

    def terminate(self):
        """Sends SIGTERM and waits for the end, for no longer than it should take; its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def left(self):
        """Names of its temporary files."""
        return [path.name for path in self.temporary.rglob("*") if path.is_file()]

    def open_files(self):
        """Of its temporary files those that it holds open, also those without a name."""
        found = []
        for number in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(number))
        return [path for path in found if path.startswith(f"{self.temporary}/")]

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
        wait_until(lambda: self.get("/health").json()["in_hand"] == number)

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
        assert self.left() == self.open_files() == []
        return answer.json()


@contextlib.contextmanager
def started(temporary, **flags):
    """A server until the end of the block."""
    server = Server(temporary, **flags)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
