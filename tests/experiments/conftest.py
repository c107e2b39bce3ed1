"""Programs as a person runs them: `python -m experiments.NAME ...`."""

import pytest


@pytest.fixture(scope="session")
def run_program(warm):
    """Function of a program's name and flags that returns the ended process."""
    return lambda name, *flags: warm.run("-m", f"experiments.{name}", *flags)


@pytest.fixture(scope="session")
def small():
    """Flags of a network so small that a training takes seconds."""
    return (
        "--config=experiments/configs/synthetic.py",
        "--config.model.clip.num_frames=2",
        "--config.model.clip.image_size=32",
        "--config.model.width_divisor=32",
        "--config.model.fc6_units=8",
        "--config.model.lstm_units=8",
        "--config.model.normalize=none",
        "--config.training.max_epochs=(1,1)",
        "--config.training.batch_size=4",
    )


@pytest.fixture(scope="session")
def run_often(run_in_turn):
    """Function of a program's name and lists of flags: `run_in_turn` of that program alone."""
    return lambda name, lists, *places, **more: run_in_turn(
        [(name, *one) for one in lists], *places, **more
    )


@pytest.fixture(scope="session")
def check_mistakes(run_often):
    """Function that checks mistakes, a program's flags and what its error says, of one process.

    Each ends with status 1 and one line on stderr, and prints nothing else.
    """

    def check(name, mistakes, folder=None):
        ends = run_often(name, [case for case, _ in mistakes], folder)
        for end, (case, message) in zip(ends, mistakes, strict=True):
            status, printed, errors = end
            assert (status, printed) == (1, ""), (case, end)
            assert errors.startswith("error: ") and errors.count("\n") == 1, (case, errors)
            assert message in errors, (case, errors)

    return check
