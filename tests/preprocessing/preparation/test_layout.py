"""Which videos share a shard, and how little of that one more video changes."""

import hashlib
import random
from pathlib import Path

import pytest

from preprocessing.datasets.catalogue import Video
from preprocessing.preparation import layout


def _videos(ids):
    return [Video(name, Path(f"{name}.mp4"), 0, "A", f"A/{name}", {}) for name in ids]


def _shards(ids):
    return [[video.id for video in some] for some in layout.shards(_videos(ids))]


def test_a_small_set_is_one_shard_in_the_order_of_the_digests():
    ids = [f"v_{k}" for k in range(128)]
    (shard,) = _shards(ids)
    assert shard == sorted(ids, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    assert _shards([]) == []


@pytest.mark.parametrize("count", [129, 1000, 5000])
def test_shards_are_divided_by_the_first_bits_of_the_digests(count):
    ids = [f"v_{k}" for k in range(count)]
    shuffled = random.Random(0).sample(ids, count)
    shards = _shards(shuffled)
    assert shards == _shards(ids) and sorted(name for some in shards for name in some) == sorted(
        ids
    )
    assert max(map(len, shards)) <= 128 and len(shards) < count / 40
    # Independent of the code: the shard of a video is all that share the fewest first bits such
    # that there are at most 128 of them.
    bits = {name: f"{int(hashlib.sha256(name.encode()).hexdigest(), 16):0256b}" for name in ids}
    for shard in shards[:: max(1, len(shards) // 5)]:
        for length in range(256):
            same = [name for name in ids if bits[name].startswith(bits[shard[0]][:length])]
            if len(same) <= 128:
                break
        assert sorted(same) == sorted(shard)


def test_one_more_video_changes_one_shard():
    ids = [f"v_{k}" for k in range(3000)]
    before = {tuple(shard) for shard in _shards(ids)}
    changed = [len({tuple(s) for s in _shards([*ids, f"new_{k}"])} - before) for k in range(30)]
    assert set(changed) <= {1, 2}  # two, where the shard was full


def test_ids_of_one_digest_stay_together(monkeypatch):
    monkeypatch.setattr(layout, "key", lambda name: "0123456789abcdef")
    (shard,) = _shards([f"v_{k:03d}" for k in range(200)])
    assert shard == sorted(shard) and len(shard) == 200
