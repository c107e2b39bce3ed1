"""SIGTERM and Ctrl-C are noted in the block, and have their previous handlers again after it."""

import signal
import types

import pytest

from stfnet.training.preemption import Preempted, StopSignals

ONE, TWO = (types.SimpleNamespace(num_replicas_in_sync=n) for n in (1, 2))


@pytest.fixture(autouse=True)
def handlers():
    """Those of a program at a terminal; in the background a shell ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_noted_and_the_previous_handler_restored(number, status):
    before = signal.getsignal(number)
    with pytest.raises(Preempted) as stop, StopSignals() as signals:
        assert not signals.received
        signal.raise_signal(number)
        assert signals.received
        raise Preempted("saved")
    assert stop.value.status == signals.status == status
    assert signal.getsignal(number) == before


def test_a_second_ctrl_c_stops_at_once():
    with pytest.raises(KeyboardInterrupt), StopSignals() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.received
        signal.raise_signal(signal.SIGINT)


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGINT)
            assert not signals.received
    finally:
        signal.signal(signal.SIGINT, before)


def test_one_device_stops_at_once_and_several_in_the_step_in_which_all_know():
    signals = StopSignals()
    assert not signals.stops(0.0, ONE)
    assert signals.stops(1.0, TWO)  # another worker received it
    signals.received = True  # after this step began
    assert signals.stops(0.0, ONE)
    assert not signals.stops(0.0, TWO)
