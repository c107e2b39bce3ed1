"""What every program shares: one line for every mistake a person can make, and a --help to read."""

import errno
import os
import sys

from absl import app, flags, logging

# TensorFlow's C++ start-up notes drown a program's own lines; set before anything imports it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from preprocessing.errors import UserError

_USERS_OS_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def run(main):
    """Parses the flags, calls `main(argv)` and exits the process.

    A `UserError`, a wrong flag, a full disk, a forbidden file and Ctrl-C each end in one line on
    stderr and exit status 1, without a traceback. Any other exception is a fault of the program
    and keeps its traceback.

    Args:
        main: function of the arguments that are not flags (`argv[0]` is the program); what it
            returns is the exit status (None: 0).
    """
    if {"--help", "-help", "-h", "--helpshort"} & set(sys.argv[1:]):
        print(_help(main))
        sys.exit(0)
    app.run(lambda argv: _guarded(main, argv), flags_parser=_parse)


def start_tensorflow():
    """Imports TensorFlow without the start-up notes that no setting of its own turns off."""
    kept = os.dup(2)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    try:
        import tensorflow as tf

        tf.config.list_physical_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(silent)


def _guarded(main, argv):
    logging.set_verbosity(logging.WARNING)  # TensorFlow's notes on saving are of use to nobody
    try:
        if len(argv) > 1:
            raise UserError(f"{argv[1]!r} is not a flag: write --name=value (--help lists them)")
        return main(argv)
    except UserError as error:
        return _stop(str(error))
    except KeyboardInterrupt:
        return _stop("stopped by Ctrl-C")
    except OSError as error:
        if error.errno in _USERS_OS_ERRORS:
            return _stop(str(error))
        raise


def _parse(argv):
    try:
        return flags.FLAGS(argv)
    except (AttributeError, KeyError) as error:  # what ml_collections raises for a wrong name
        sys.exit(_stop(f"the configuration has no setting {error}: see configs/defaults.py"))
    except OSError as error:  # of a configuration file, told by ml_collections in many lines
        sys.exit(_stop(f"the configuration does not load: {str(error).strip().splitlines()[-1]}"))
    except (flags.Error, TypeError, ValueError) as error:
        message = " ".join(str(error).split())
        if message.endswith("must have a value other than None."):
            name = message.removeprefix("flag --").split("=")[0]
            message = f"--{name} is missing"
        sys.exit(_stop(f"{message} (--help lists the flags)"))


def _stop(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 1


def _help(main) -> str:
    """The program's docstring and its own flags, however it was started."""
    module = sys.modules[main.__module__]
    own_flags = flags.FLAGS.module_help(module).partition(":\n")[2]
    return f"{(module.__doc__ or '').strip()}\n\nFlags:\n{own_flags}"
