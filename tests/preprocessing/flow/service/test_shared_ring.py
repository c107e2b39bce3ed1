import os

import numpy as np
import pytest

from preprocessing.flow.service import shared_ring


@pytest.fixture
def rings():
    """The ring of a worker, and the same memory mapped again as by the device process."""
    ours = shared_ring.Ring(slots=3, size=5)
    return ours, shared_ring.Ring(3, 5, os.dup(ours.descriptor))


def test_what_one_side_writes_the_other_reads(rings):
    ours, theirs = rings
    frames = np.random.default_rng(0).integers(0, 256, (4, 5, 5), np.uint8)
    fields = np.random.default_rng(1).normal(0, 9, (3, 5, 5, 2)).astype(np.float32)
    for number, frame in enumerate(frames):
        ours.frame(number)[:] = frame
    for number, field in enumerate(fields):
        theirs.field(number)[:] = field
    # All pairs of a full ring at once: three fields, and the four frames between which they lie.
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(theirs.frame(number), frame)
    for number, field in enumerate(fields):
        np.testing.assert_array_equal(ours.field(number), field)
    assert ours.frame(0).dtype == np.uint8 and ours.field(0).dtype == np.float32


def test_a_pair_takes_the_place_of_the_one_a_ring_before(rings):
    ours, theirs = rings
    ours.frame(0)[:], ours.field(0)[:] = 7, 7
    ours.frame(1)[:], ours.field(1)[:] = 8, 8
    theirs.frame(4)[:], theirs.field(3)[:] = 9, 9
    assert (ours.frame(0) == 9).all() and (ours.field(0) == 9).all()
    assert (ours.frame(1) == 8).all() and (ours.field(1) == 8).all()


def test_the_memory_outlives_its_descriptor_and_has_no_name(rings):
    ours, theirs = rings
    descriptor = ours.descriptor
    assert "stfnet-flow (deleted)" in os.readlink(f"/proc/self/fd/{descriptor}")
    ours.forget()
    ours.forget()
    with pytest.raises(OSError):
        os.fstat(descriptor)
    theirs.frame(2)[:] = 3
    assert (ours.frame(2) == 3).all()
    theirs.forget()
