"""A worker's side, with a process whose stand-in for a solver needs no TensorFlow."""

import time

import numpy as np
import pytest

from preprocessing import flow
from preprocessing.errors import UserError
from preprocessing.flow.service import client, server

SIZE, BATCH = 16, 4


def _film(num_frames, seed):
    """uint8 (N, 16, 16) of noise."""
    return np.random.default_rng(seed).integers(0, 256, (num_frames, SIZE, SIZE), np.uint8)


def _difference(previous, following):
    """Stands in for a solver: a field that depends on the two frames and their order."""
    previous, following = previous.astype("float32"), following.astype("float32")
    return np.stack([(previous - following) / 40, following / 60], axis=-1)


def stand_in(size, batch):
    return _difference, batch, "cpu"


def test_a_video_that_breaks_off_leaves_nothing_to_the_next():
    def broken(film):
        yield from film[:-1]
        raise UserError("cut off")

    with server.serving(SIZE, BATCH, 60, make_solver=stand_in) as address:
        with pytest.raises(UserError, match="cut off"):
            list(client.fields(broken(_film(12, 0)), address))
        left = client.fields(_film(12, 1), address)
        next(left)
        left.close()
        fields = list(client.fields(_film(12, 2), address))
        film = _film(12, 2)
        np.testing.assert_array_equal(fields, _difference(film[:-1], film[1:]))


def test_a_worker_has_two_batches_with_the_device_before_it_waits():
    asked = []

    def frames():
        for frame in _film(40, 0):
            asked.append(frame)
            yield frame

    with server.serving(SIZE, BATCH, 60, make_solver=stand_in) as address:
        fields = client.fields(frames(), address)
        next(fields)
        # The ring's pairs, and the frame that found it full.
        assert len(asked) == client.BATCHES_AHEAD * BATCH + 2
        assert len(list(fields)) == 38


def slow(size, batch):
    def solve(previous, following):
        time.sleep(2.5)
        return _difference(previous, following)

    return solve, batch, "cpu"


def test_a_worker_that_waits_shows_that_it_lives():
    signs = []
    with server.serving(SIZE, BATCH, 60, make_solver=slow) as address:
        solver = flow.Solver("keras", address=address)
        list(solver.fields(_film(2, 0), waiting=lambda: signs.append(1)))
    assert len(signs) >= 1


def test_a_device_that_has_ended_is_an_error_of_its_own_type():
    with server.serving(SIZE, BATCH, 60, make_solver=stand_in) as address:
        assert len(list(client.fields(_film(2, 0), address))) == 1
    with pytest.raises(client.DeviceLostError):
        list(client.fields(_film(2, 0), address))
