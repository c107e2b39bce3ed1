"""Memory that a worker and the device process share: grey frames one way, flow fields the other.

A ring of pairs, numbered from 0 on as long as it lives. Pair i leads from frame i to frame i + 1,
so a worker that begins another video skips the pair between the two. Fields are large (400 KB
at 224 x 224): through a pipe they would be copied four times, here they are copied twice.
"""

import mmap
import os

import numpy as np


class Ring:
    """Frames and fields of the pairs under way.

    Attributes:
        slots: pairs that fit; pair i takes the place of pair i - slots.
        descriptor: of the memory, to be sent to the other process; -1 once `forget` was called.
    """

    def __init__(self, slots: int, size: int, descriptor: int | None = None):
        """Allocates the memory, or maps that of `descriptor`, which then belongs to this object.

        Args:
            slots: pairs that fit.
            size: side of the frames, in pixels.
            descriptor: of the memory that the other process allocated.
        """
        frames, fields = (slots + 1) * size * size, slots * size * size * 8
        start = -(-frames // mmap.PAGESIZE) * mmap.PAGESIZE
        if descriptor is None:
            # Without a name, so that nothing is left of it whoever dies, and not in /dev/shm,
            # which is small in containers.
            descriptor = os.memfd_create("stfnet-flow")
            os.ftruncate(descriptor, start + fields)
        self.slots, self.descriptor = slots, descriptor
        memory = mmap.mmap(descriptor, start + fields)
        self._frames = np.frombuffer(memory, np.uint8, frames).reshape(-1, size, size)
        self._fields = np.frombuffer(memory, np.float32, fields // 4, start)
        self._fields = self._fields.reshape(slots, size, size, 2)

    def frame(self, number: int) -> np.ndarray:
        """Frame `number`, uint8 (H, W), to read and write."""
        return self._frames[number % (self.slots + 1)]

    def field(self, number: int) -> np.ndarray:
        """Field of pair `number`, float32 (H, W, 2), to read and write."""
        return self._fields[number % self.slots]

    def forget(self):
        """Closes the descriptor; the memory goes with the last process that maps it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
