"""SIGTERM is noted inside the block, and has its previous handler again after it."""

import signal
import types

from stfnet.training.preemption import Sigterm

ONE, TWO = (types.SimpleNamespace(num_replicas_in_sync=n) for n in (1, 2))


def test_the_signal_is_noted_and_the_previous_handler_restored():
    before = signal.getsignal(signal.SIGTERM)
    with Sigterm() as sigterm:
        assert not sigterm.received
        signal.raise_signal(signal.SIGTERM)
        assert sigterm.received
    assert signal.getsignal(signal.SIGTERM) == before


def test_one_device_stops_at_once_and_several_in_the_step_in_which_all_know():
    sigterm = Sigterm()
    assert not sigterm.stops({"stopping": 0.0}, ONE)
    assert sigterm.stops({"stopping": 1.0}, TWO)  # another worker received it
    sigterm.received = True  # after this step began
    assert sigterm.stops({"stopping": 0.0}, ONE)
    assert not sigterm.stops({"stopping": 0.0}, TWO)
