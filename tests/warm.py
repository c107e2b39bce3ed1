"""Programs started by a fork of a process that has TensorFlow: its import takes seconds of each.

The process is this file, `python warm.py SOCKET`; `Warm` starts it and asks it for programs.
"""

import contextlib
import gc
import json
import multiprocessing.process
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import types
from pathlib import Path


class Program:
    """A program that runs, with what this project's tests use of `subprocess.Popen`.

    Attributes:
        pid: number of its process.
        returncode: as of `Popen`; None as long as nobody has seen its end.
    """

    def __init__(self, address, arguments, folder, environment):
        self.returncode = None
        # Of its output and its errors; closed when nobody has this object any more.
        self._files = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(address)
        request = json.dumps([list(map(str, arguments)), str(folder), dict(environment)])
        files = [file.fileno() for file in self._files]
        socket.send_fds(self._connection, [b"\n"], files)
        self._connection.sendall(request.encode() + b"\n")
        self._answers = self._connection.makefile()
        self.pid = int(self._answers.readline())

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            self.returncode = int(self._answers.readline())
        return self.returncode

    def communicate(self, timeout=None):
        """Output and errors, after the end."""
        self.wait(timeout)
        for file in self._files:
            file.seek(0)
        return [file.read() for file in self._files]

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Warm:
    """A process that has TensorFlow, and starts programs in processes of their own.

    Args:
        root: folder of the project, in which programs run that are given no other.
        folder: where it listens.
    """

    def __init__(self, root, folder):
        self.root, self._address = root, str(folder / "warm")
        paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        reading, writing = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, __file__, self._address],
            stdin=subprocess.PIPE,
            stdout=writing,
            cwd=root,
            env=self.environment,
        )
        os.close(writing)
        with open(reading) as lines:
            assert lines.readline() == "listening\n"

    def start(self, *arguments, folder=None, **environment):
        """Starts `python ARGUMENTS`, which begin with -m NAME or -c CODE."""
        environment = self.environment | environment
        return Program(self._address, arguments, folder or self.root, environment)

    def run(self, *arguments, folder=None, timeout=900):
        """As `start`, to its end; returns what `subprocess.run` returns."""
        program = self.start(*arguments, folder=folder)
        try:
            printed, errors = program.communicate(timeout)
        finally:
            program.kill()
        return subprocess.CompletedProcess(arguments, program.returncode, printed, errors)

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def _become(kind, name, arguments, folder, environment, files):
    """Carries out a program in this process, as `python` begins it."""
    for number, file in enumerate([os.open(os.devnull, os.O_RDONLY), *files]):
        os.dup2(file, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.orig_argv = [sys.executable, kind, name, *arguments]
    sys.argv = [name if kind == "-m" else kind, *arguments]
    sys.path[0] = multiprocessing.process.ORIGINAL_DIR = folder
    if kind == "-m":
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(name, "<string>", "exec"), vars(sys.modules["__main__"]))


def _serve(connection):
    """Forks once more: says the number of the process, and with which status it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, files, *_ = socket.recv_fds(connection, 1, 2)
    with connection.makefile() as lines:
        (kind, name, *arguments), folder, environment = json.loads(lines.readline())
    if (number := os.fork()) == 0:
        connection.close()
        return _become(kind, name, arguments, folder, environment, files)
    connection.sendall(f"{number}\n".encode())
    _, status = os.waitpid(number, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _listen(address):
    """Until nobody holds the other end of its input any more."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(100)
        print("listening", flush=True)
        os.dup2(2, 1)
        _import()
        gc.freeze()  # a fork that ends would else go through all that was imported
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # or those that have ended stay
        while listener in select.select([listener, 0], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                return _serve(connection)
            connection.close()


def _import():
    """What programs import that takes time, as they begin."""
    from experiments import program

    program.start_tensorflow()
    import av
    import cv2
    import h5py
    import matplotlib.backends.backend_agg
    import ml_collections.config_flags
    import sklearn.linear_model

    assert av and cv2 and h5py and matplotlib and ml_collections and sklearn


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])
    _listen(sys.argv[1])
