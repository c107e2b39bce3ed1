import os
import time

import numpy as np
import pytest

from experiments.benchmarks import start_measurements


def _where(begun, *arguments):
    return begun, os.getpid(), arguments


def test_a_new_process_is_told_when_it_was_asked_for():
    before = time.time()
    begun, process, arguments = start_measurements.in_new_process(_where, 1, "a")
    assert before <= begun <= time.time()
    assert process != os.getpid() and arguments == (1, "a")


def test_parts_follow_each_other():
    parts = start_measurements.Parts(time.time() - 5)
    parts.end("before")
    time.sleep(0.2)
    parts.end("asleep")
    assert parts.figures["before"]["seconds"] == pytest.approx(5, abs=0.5)
    assert 0.2 <= parts.figures["asleep"]["seconds"] < 1
    assert parts.figures["asleep"]["processor"] < 0.1


def test_the_scanned_lstm_is_the_one_of_the_network():
    from stfnet.layers.layer_norm_lstm import LayerNormLSTM

    x = np.random.default_rng(0).normal(size=(2, 5, 7)).astype(np.float32)
    for sequences in (True, False):
        ours = LayerNormLSTM(4, return_sequences=sequences)
        scanned = start_measurements.scanned_lstm()(4, return_sequences=sequences)
        expected = np.asarray(ours(x))
        scanned.build(x.shape)
        scanned.set_weights(ours.get_weights())
        np.testing.assert_allclose(np.asarray(scanned(x)), expected, atol=1e-6)
