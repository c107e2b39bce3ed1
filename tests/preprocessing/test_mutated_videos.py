import collections
import json

import numpy as np
import pytest

from preprocessing.preparation.local import local_runner
from preprocessing.records import verification

FORMATS = {".mp4": "mp4v", ".avi": "XVID", ".mkv": "mp4v", ".mpg": "mpg1", ".mov": "MJPG"}
# What can be wrong with a file that was a good video once.
OUTCOMES = {
    "zero_bytes",
    "not_video",
    "no_video",
    "corrupt",
    "truncated",
    "no_frames",
    "too_short",
    "unknown_codec",
}


def _flipped(content, generator):
    """One to 256 bits turned over, anywhere or in the header alone."""
    damaged = np.frombuffer(content, np.uint8).copy()
    reach = generator.choice([len(damaged), 512])
    for place in generator.integers(0, reach, 2 ** generator.integers(0, 9)):
        damaged[place] ^= 1 << generator.integers(8)
    return damaged.tobytes()


def _cut(content, generator):
    return content[: generator.integers(0, len(content))]


@pytest.mark.slow
def test_200_mutated_videos_have_200_named_outcomes(tmp_path, write_video, prepare):
    generator = np.random.default_rng(0)
    videos = tmp_path / "mutated"
    for suffix, fourcc in FORMATS.items():
        whole = write_video(tmp_path / f"whole{suffix}", 8, fourcc=fourcc).read_bytes()
        for number in range(20):
            for kind, mutate in (("flipped", _flipped), ("cut", _cut)):
                path = videos / kind / f"{suffix[1:]}-{kind}-{number:02d}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(mutate(whole, generator))
    listed = {path.stem for path in videos.glob("*/*")}
    assert len(listed) == 200
    prepared = prepare(videos, run=local_runner(2, time_limit=20))
    lines = (tmp_path / "records" / "failures.jsonl").read_text().splitlines()
    outcomes = {row["id"]: row["outcome"] for row in map(json.loads, lines)}
    recorded = {video.id for video in prepared.record_set.videos}
    assert len(outcomes) == len(lines) and not recorded & set(outcomes)
    assert recorded | set(outcomes) == listed
    counts = collections.Counter(outcomes.values())
    assert set(counts) <= OUTCOMES, counts
    assert counts["truncated"] >= 10 and counts["corrupt"] >= 5 and len(recorded) >= 10, counts
    assert verification.verify(prepared.record_set, 2) == []
