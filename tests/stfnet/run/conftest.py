"""Small record sets and runs that need no video."""

import hashlib
import types

import pytest

from preprocessing import records
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import TrainingConfig
from stfnet.run.config import RunConfig

CLASSES = ("Bow", "Wave")


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def video(name, class_name, group, content=None, splits=None):
    return records.RecordedVideo(
        id=name,
        label=CLASSES.index(class_name),
        class_name=class_name,
        group=group,
        splits=splits or {},
        num_frames=10,
        mean_motion=1.0,
        shard=0,
        offset=0,
        length=1,
        source_sha256=digest(content or name),
    )


def record_set(videos, folder="records"):
    return records.RecordSet(
        folder=folder,
        name="tiny",
        clip={},
        encoding={},
        flow={},
        classes=CLASSES,
        counts={"videos": len(videos), "shards": 1},
        videos=tuple(videos),
        failed=(),
        versions={},
        sha256=digest("records"),
    )


def videos(groups, clips=2):
    return [
        video(f"{name}_g{group:02d}_c{clip}", name, f"g{group:02d}")
        for name in CLASSES
        for group in groups
        for clip in range(clips)
    ]


def config(**changes):
    training = {
        name: changes.pop(name) for name in ("validation_fraction", "weights") if name in changes
    }
    return RunConfig(
        changes.pop("name", "tiny"),
        CLASSES,
        ModelConfig(2, ClipConfig(3, 4, 32)),
        TrainingConfig(**{"validation_fraction": 0.2, **training}),
        **changes,
    )


def write(folder, config, videos):
    with run.writing(folder, config, videos):
        (folder / run.BEST_FILE).write_bytes(b"weights")
    return folder


def ids(record_set, positions):
    return {record_set.videos[k].id for k in positions}


@pytest.fixture(scope="session")
def tiny():
    """The functions of this file."""
    functions = (digest, video, record_set, videos, config, write, ids)
    return types.SimpleNamespace(**{function.__name__: function for function in functions})
