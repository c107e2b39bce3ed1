"""What every program shares: one line for each mistake of a user, and a readable --help."""

import contextlib
import dataclasses
import errno
import functools
import gc
import importlib.util
import io
import locale
import math
import os
import platform
import re
import sys
import tempfile
from pathlib import Path

from absl import app, flags, logging

# Before anything imports TensorFlow: its C++ start-up notes hide a program's own lines, and without
# oneDNN a step of training on kept maps takes about twice the time (docs/performance.md).
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if platform.machine().lower() in ("x86_64", "amd64"):
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from experiments import configs
from preprocessing import worker_pool
from preprocessing.errors import UserError
from stfnet.networks import NETWORKS

MODEL = (
    "Folder of a run (--workdir of experiments.train) or an export, a .keras file, or a network"
    " that ships: ucf101-13, or ucf101-13:FILE.h5 with VGG-16's weights from a file."
)
BACKENDS = ("tensorflow", "jax", "torch")  # of Keras, the supported one first
_INTERRUPTED = "stopped by Ctrl-C"
_HOME = re.compile("(?<![^=,:])~[^/,:]*")  # where a path begins, in a list or behind a prefix too
_USERS_OS_ERRORS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EPIPE,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
)


def run(main):
    """Parses the flags, calls `main(argv)` and exits the process with the status that it returns
    (None: 0).

    A `UserError`, a wrong flag, a full disk, a forbidden file, a file in the place of a folder, a
    reader of the output that is gone and Ctrl-C each end in one line on stderr and exit status 1,
    without a traceback. Any other exception is a fault of the program and keeps its traceback.

    In a locale that is not UTF-8 the program starts again in Python's UTF-8 mode: names of files
    and classes are UTF-8.
    """
    if not sys.flags.utf8_mode and locale.getencoding().lower() not in ("utf-8", "utf8"):
        os.environ["PYTHONUTF8"] = "1"  # for the processes that the program starts
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may be no text
    if {"--help", "-help", "-h", "--helpshort"} & set(sys.argv[1:]):
        with contextlib.suppress(BrokenPipeError):
            print(_help(main))
        _drop_unread(sys.stdout)
        sys.exit(0)
    app.run(lambda argv: _guarded(main, argv), flags_parser=_parse)


def entry(main):
    """The function of a console script; begins at once where the module is run by `python -m`."""
    if main.__module__ == "__main__":
        run(main)
    return functools.partial(run, main)


def refuse_without_effect(names, where):
    """Refuses flags that were given although they do nothing in this mode of the program, such as
    `with --verify`.
    """
    for name in names:
        if flags.FLAGS[name].present:
            raise UserError(f"--{name} has no effect {where}: leave it out")


def output_folder(name) -> Path:
    """The folder that a flag names, checked before the work: it can be made and written."""
    path = Path(flags.FLAGS[name].value)
    there = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
    if not there.is_dir():
        raise UserError(f"--{name}={path}: {there} is no folder: name another place")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = f"{there} cannot be written ({error.strerror})"
        raise UserError(f"--{name}={path}: {reason}: name another place") from error
    return path


def output_file(name) -> Path:
    """As `output_folder`, for a flag that names a file in an existing folder."""
    path = Path(flags.FLAGS[name].value)
    if path.is_dir() or not path.parent.is_dir():
        wrong = f"{path} is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise UserError(f"--{name}={path}: {wrong}: name a file in an existing folder")
    return path


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 video`, `2 videos`. `many` follows other numbers; by default `one`
    with an s.
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def keep_video(path: Path, video: str):
    """Checks that a file to be written is not the one that `--video` names."""
    if path.exists() and Path(video).exists() and path.samefile(video):
        raise UserError(
            f"--output={path.parent} would replace --video={video}, which is read: name another"
            " folder"
        )


def use_a_backend():
    """Has Keras compute with TensorFlow, here and in processes that are started from here.

    Call it before Keras is imported; `keras.json` and KERAS_BACKEND may say otherwise. Where
    TensorFlow is not installed, JAX or PyTorch takes its place; a UserError where none of them is.
    """
    installed = [package for package in BACKENDS if importlib.util.find_spec(package)]
    if not installed:
        raise UserError(
            "none of TensorFlow, JAX and PyTorch is installed: pip install 'stfnet[cpu]' (or gpu, "
            "jax, torch)"
        )
    if "tensorflow" in installed or os.environ.get("KERAS_BACKEND") not in installed:
        os.environ["KERAS_BACKEND"] = installed[0]


def start_keras():
    """As `start_tensorflow`; where TensorFlow is not installed, Keras on JAX or PyTorch."""
    use_a_backend()
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        start_tensorflow()


def start_tensorflow():
    """`import_tensorflow`, and finds its devices, without the notes that it makes of them.

    Raises:
        UserError: TensorFlow is not installed.
    """
    tf = import_tensorflow()
    with worker_pool.silenced_stderr():
        tf.config.list_physical_devices()


def import_tensorflow():
    """Imports TensorFlow, and with it Keras on TensorFlow.

    Without the start-up notes that none of TensorFlow's settings turns off. What is imported is
    never looked through for garbage: that takes a fifth of the import's processor time, and a
    second at the end of the program. No device is touched, so that the process can be forked.

    Raises:
        UserError: TensorFlow is not installed.
    """
    if not importlib.util.find_spec("tensorflow"):
        raise UserError(
            "this program needs TensorFlow, which is not installed: pip install 'stfnet[cpu]' (or "
            "gpu)"
        )
    use_a_backend()
    gc.disable()
    try:
        with worker_pool.silenced_stderr():
            import tensorflow as tf
    finally:
        gc.freeze()
        gc.enable()
    return tf


def _guarded(main, argv):
    logging.set_verbosity(logging.WARNING)  # TensorFlow's notes on saving help no user
    try:
        if len(argv) > 1:
            raise UserError(f"{argv[1]!r} is not a flag: write --name=value (--help lists them)")
        status = main(argv)
        with contextlib.suppress(BrokenPipeError):  # all is done: nobody misses the last lines
            print(end="", flush=True)
        _drop_unread(sys.stdout)
        return status
    except UserError as error:
        return _stop(str(error))
    except KeyboardInterrupt:
        return _stop(_INTERRUPTED)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _drop_unread(sys.stdout, "\n"):
            return _stop("stopped, since the pipe that takes the output was closed")
        if error.errno not in _USERS_OS_ERRORS:
            raise
        _drop_unread(sys.stdout)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "; make room, and start the same command again" if full else ""
        return _stop(f"{error}{advice}")


def _parse(argv):
    argv = _with_packaged_configuration(_with_home(argv))
    try:
        rest = flags.FLAGS(argv)
    except UserError as error:
        sys.exit(_stop(str(error)))
    except (AttributeError, KeyError) as error:  # what ml_collections raises for a wrong name
        if getattr(error, "name", "") == "get_config":
            sys.exit(_stop("the configuration file has no function get_config()"))
        wrapped = error.args[0]
        original = wrapped if isinstance(wrapped, KeyError) else error
        name, *hint = str(original.args[0]).splitlines()
        if not name.startswith("'"):  # of the file's own lines, or a name below a value
            sys.exit(_stop(f"the configuration does not load: {type(error).__name__}: {name}"))
        place = _where(name.strip("'"))
        sys.exit(_stop(f"the configuration has no setting {name}: {'; '.join((place, *hint))}"))
    except OSError as error:  # of a configuration file, in which ml_collections writes many lines
        sys.exit(_stop(f"the configuration does not load: {str(error).strip().splitlines()[-1]}"))
    except (flags.Error, TypeError, ValueError) as error:
        _, traceback, lines = str(error).partition("Traceback (most recent call last):\n")
        if traceback:  # of a configuration file, with indented lines of code
            reason = re.split("^ .*$", lines, flags=re.MULTILINE)[-1]
            sys.exit(_stop(f"the configuration does not load: {reason}"))
        message = str(error)
        if message.endswith("must have a value other than None."):
            name = message.removeprefix("flag --").split("=")[0]
            message = f"--{name} is missing"
        sys.exit(_stop(f"{message} (--help lists the flags)"))
    except Exception as error:  # a configuration file is Python and may raise anything
        sys.exit(_stop(f"the configuration does not load: {type(error).__name__}: {error}"))
    for name in flags.FLAGS:
        flag = flags.FLAGS[name]
        if not flag.present or "." in name:  # settings of a configuration are checked in there
            continue
        if flag.value == "" and flag.default != "":
            sys.exit(_stop(f"--{name} is empty: give it a value or leave it out"))
        if isinstance(flag.value, float) and not math.isfinite(flag.value):
            sys.exit(_stop(f"--{name}={flag.value} is not a finite number"))
    return rest


def _where(setting):
    """Where a setting is that a configuration lacks: each network has its own."""
    if setting == "architecture":
        return "give --config=experiments/configs/baselines.py:NAME for another network"
    owners = [
        name
        for name, cls in NETWORKS.items()
        if setting in {field.name for field in dataclasses.fields(cls)}
    ]
    if not owners:
        return "see experiments/configs/defaults.py"
    return f"the file of --config chooses the network, and those with it are {', '.join(owners)}"


def _with_home(argv):
    """The arguments with a home in place of its ~, which a shell leaves alone in --name=~/run."""
    return [argv[0], *(_HOME.sub(lambda home: os.path.expanduser(home[0]), a) for a in argv[1:])]


def _with_packaged_configuration(argv):
    """The arguments, where --config names a file of this project by its full path.

    What the name stands for is printed. A name that an earlier version had ends the program.
    `config.json` of a run is read by the configuration `saved.py`.
    """
    argv = list(argv)
    for number in range(1, len(argv)):
        flag, equals, path = argv[number].partition("=")
        if argv[number - 1] in ("--config", "-config"):
            flag, equals, path = "", "", argv[number]
        elif not equals or flag not in ("--config", "-config"):
            continue
        if path.endswith(".json") and ".py:" not in path:
            argv[number] = f"{flag}{equals}{configs.FOLDER / 'saved.py'}:{path}"
        elif ours := configs.packaged(path):
            argv[number] = f"{flag}{equals}{ours}"
            print(f"--config={path} is not in this folder: {ours} is read", file=sys.stderr)
        elif place := configs.new_place(path):
            sys.exit(_stop(f"--config={path} has moved: give --config={place}"))
    return argv


def _stop(message: str) -> int:
    with contextlib.suppress(OSError):  # who would read it is gone
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
    _drop_unread(sys.stderr)
    return 1


def _drop_unread(stream, text="") -> bool:
    """Whether a text cannot be printed; the rest is dropped then, or Python itself ends badly."""
    try:
        print(text, end="", file=stream, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return True
    return False


def _excepthook(kind, error, trace):
    """Ctrl-C before `run`, while a program imports its modules, ends as it does in `run`."""
    if issubclass(kind, KeyboardInterrupt):
        sys.exit(_stop(_INTERRUPTED))
    sys.__excepthook__(kind, error, trace)


sys.excepthook = _excepthook


def _help(main) -> str:
    """The program's docstring and its own flags, however it was started."""
    module = sys.modules[main.__module__]
    own_flags = flags.FLAGS.module_help(module).partition(":\n")[2]
    return f"{(module.__doc__ or '').strip()}\n\nFlags:\n{own_flags}"
