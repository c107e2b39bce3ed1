"""Programs started by a fork of a process that has TensorFlow: its import takes seconds of each.

The process is this file; `Warm` starts it and asks it for programs.
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

# Runs one program after the other, each with flags of its own: a start takes seconds.
IN_TURN = """
import contextlib, importlib, io, json, sys, traceback
from absl import flags
from experiments import program
shared, ends = set(flags.FLAGS), []
for name, *arguments in json.loads(sys.argv[1]):
    for flag in set(flags.FLAGS) - shared:
        delattr(flags.FLAGS, flag)
    flags.FLAGS.unparse_flags()
    sys.modules.pop("experiments." + name, None)
    printed, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        try:
            main = importlib.import_module("experiments." + name).cli
            sys.argv[1:] = arguments
            main()
        except SystemExit as end:
            ends.append((end.code or 0, printed.getvalue(), errors.getvalue()))
        except BaseException:
            ends.append((None, printed.getvalue(), errors.getvalue() + traceback.format_exc()))
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
print(json.dumps(ends))
"""


class Program:
    """A program that runs, with what this project's tests use of `subprocess.Popen`.

    Attributes:
        pid: number of its process.
        returncode: as of `Popen`; None as long as nobody has seen its end.
    """

    def __init__(self, warm, arguments, folder, environment):
        self.returncode = None
        # Of its output and its errors; closed when nobody has this object any more.
        self._files = [tempfile.TemporaryFile("w+") for _ in range(2)]  # noqa: SIM115
        self._connection, theirs = socket.socketpair()
        socket.send_fds(warm, [b"\n"], [file.fileno() for file in (theirs, *self._files)])
        theirs.close()
        request = json.dumps([list(map(str, arguments)), str(folder), environment])
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
    """

    def __init__(self, root):
        self.root = root
        paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
        self._connection, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd=root,
                env=self.environment,
            )

    def start(self, *arguments, folder=None, **environment):
        """Starts `python ARGUMENTS`, which begin with -m NAME or -c CODE."""
        environment = self.environment | environment
        return Program(self._connection, arguments, folder or self.root, environment)

    def run(self, *arguments, folder=None, timeout=900):
        """As `start`, to its end; returns what `subprocess.run` returns."""
        program = self.start(*arguments, folder=folder)
        try:
            printed, errors = program.communicate(timeout)
        finally:
            program.kill()
        return subprocess.CompletedProcess(arguments, program.returncode, printed, errors)

    def close(self):
        self._connection.close()
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


def _serve(connection, *files):
    """Forks once more: says the number of the process, and with which status it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection = socket.socket(fileno=connection)
    with connection.makefile() as lines:
        (kind, name, *arguments), folder, environment = json.loads(lines.readline())
    if (number := os.fork()) == 0:
        connection.close()
        return _become(kind, name, arguments, folder, environment, files)
    connection.sendall(f"{number}\n".encode())
    _, status = os.waitpid(number, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _listen(connection):
    """Until nobody holds the other end any more."""
    _import()
    gc.freeze()  # a fork that ends would else go through all that was imported
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # or those that have ended stay
    while files := socket.recv_fds(connection, 1, 3)[1]:
        if os.fork() == 0:
            connection.close()
            return _serve(*files)
        for file in files:
            os.close(file)


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
    _listen(socket.socket(fileno=int(sys.argv[1])))
