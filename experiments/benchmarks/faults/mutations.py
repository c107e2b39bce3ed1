"""Damage to the content of a file."""

import numpy as np

# Containers keep their tables at one of the ends.
ENDS = 512  # bytes


def mutate(content: bytes, generator: np.random.Generator) -> bytes:
    """Damages the content of a file: other bytes of at least length 0, and never the same.

    One of: 1 to 256 flipped bits; zeros over, random bytes put into, or bytes taken out of a
    stretch of 1 to 4096 bytes; the end cut off. The place is within the first or the last 512 bytes
    two times of three, and anywhere otherwise.

    Args:
        content: at least one byte.
        generator: of what is drawn.
    """
    while True:
        damaged = _mutate(content, generator)
        if damaged != content:
            return damaged


def _mutate(content, generator):
    reach = min(ENDS, len(content))
    begin, end = ((0, reach), (len(content) - reach, len(content)), (0, len(content)))[
        generator.integers(3)
    ]
    kind = generator.choice(["flip", "zero", "insert", "delete", "truncate"])
    if kind == "flip":
        damaged = np.frombuffer(content, np.uint8).copy()
        for place in generator.integers(begin, end, 2 ** generator.integers(0, 9)):
            damaged[place] ^= 1 << generator.integers(8)
        return damaged.tobytes()
    place, length = int(generator.integers(begin, end)), int(2 ** generator.integers(0, 13))
    before, after = content[:place], content[place + length :]
    if kind == "zero":
        return before + bytes(len(content) - len(before) - len(after)) + after
    if kind == "insert":
        return before + generator.bytes(length) + content[place:]
    return before + after if kind == "delete" else before
