"""Which videos share a shard: a function of their ids alone, which one more video hardly changes.

Videos lie in the order of a digest of their ids, which mixes the classes. A run of them that is
longer than a shard may be is divided where the next bit of the digests changes from 0 to 1. So a
video that comes or goes changes the shard that it is in, and at most divides or unites this one.
"""

import bisect
import hashlib
from collections.abc import Iterable, Iterator

from preprocessing.datasets.catalogue import Video

VIDEOS_PER_SHARD = 128
_BITS = 64


def key(video_id: str) -> str:
    """16 hexadecimal digits by which the videos are ordered, and files of one video are named."""
    return hashlib.sha256(video_id.encode()).hexdigest()[: _BITS // 4]


def shards(videos: Iterable[Video]) -> Iterator[list[Video]]:
    """The videos of each shard, in their order."""
    ordered = sorted(videos, key=lambda video: (key(video.id), video.id))
    keys = [int(key(video.id), 16) for video in ordered]
    for begin, end in _divided(keys, 0, len(keys), _BITS):
        yield ordered[begin:end]


def _divided(keys: list[int], begin: int, end: int, bits: int) -> Iterator[tuple[int, int]]:
    """Slices of at most VIDEOS_PER_SHARD of rising keys that differ in their last bits alone."""
    if end - begin <= VIDEOS_PER_SHARD or not bits:
        if begin < end:
            yield begin, end
        return
    one = 1 << (bits - 1)
    middle = bisect.bisect_left(keys, keys[begin] >> bits << bits | one, begin, end)
    yield from _divided(keys, begin, middle, bits - 1)
    yield from _divided(keys, middle, end, bits - 1)
