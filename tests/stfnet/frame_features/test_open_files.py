"""Maps of many videos are computed and read with few files open at once."""

import contextlib
import dataclasses
import resource
import shutil

import numpy as np
import pytest
from helpers import run_config

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig
from stfnet.frame_features import stream_maps
from stfnet.training import stages

MODEL = ModelConfig(
    3,
    ClipConfig(num_frames=3, flow_length=4, image_size=32),
    streams="rgb",
    width_divisor=32,
    fc6_units=8,
    lstm_units=8,
)


def _maps(folder, record_set, **changes):
    stage = {"learning_rates": (1e-2,), "max_epochs": (1,), "frozen_blocks": (5,)}
    config = run_config(MODEL, record_set, batch_size=4, **stage, **changes)
    return stream_maps.Features(folder, stages.make_model(config), record_set, config, 5)


@contextlib.contextmanager
def _open_files(limit):
    """Lets this process have so many files open in the block."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_maps_of_ten_thousand_videos_are_read_with_few_open_files(tiny_records, tmp_path):
    count = 10_000
    videos = tuple(tiny_records.videos[k % 24] for k in range(count))
    many = dataclasses.replace(tiny_records, videos=videos)
    maps = _maps(tmp_path, many)
    for k, video in enumerate(videos):
        of_video = np.full((video.num_frames, 2, 2, 16), k, np.float16)
        np.save(maps.folders["rgb"] / f"{k:06d}.npy", of_video)
    frames = np.tile([0, 4, 2], (count, 1))
    with _open_files(256):
        (read,) = maps.clips(np.arange(count), frames, np.zeros(count, bool))
    expected = np.arange(count, dtype=np.float16)[:, None, None, None, None]
    np.testing.assert_array_equal(read, np.broadcast_to(expected, read.shape))


def test_a_map_is_not_called_damaged_where_the_process_has_too_many_open_files(
    tiny_records, tmp_path
):
    maps = _maps(tmp_path, tiny_records)
    maps.compute([0])
    path = maps.folders["rgb"] / "000000.npy"
    with _open_files(64), contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            while True:
                stack.enter_context(path.open())
        with pytest.raises(UserError) as stop:
            maps.clips(np.array([0]), np.array([[0, 1, 2]]), np.array([False]))
    assert f"{path} cannot be opened (Too many open files)" in str(stop.value)
    assert "ulimit -n" in str(stop.value)
    assert "delete" not in str(stop.value)
    assert maps.damage is stop.value


def test_maps_are_computed_from_many_shards_with_few_open_files(tiny_records, tmp_path):
    count = 300
    (shard,) = tiny_records.shard_paths
    names = tuple(f"shard-{k}" for k in range(count))
    for name in names:
        shutil.copy(shard, tmp_path / name)
    videos = [dataclasses.replace(tiny_records.videos[k % 24], shard=k) for k in range(count)]
    many = dataclasses.replace(tiny_records, folder=tmp_path, videos=tuple(videos), shards=names)
    maps = _maps(tmp_path / "maps", many, frame_grid=1)
    with _open_files(256):
        assert maps.compute(range(count))
    assert len(list(maps.folders["rgb"].glob("*.npy"))) == count
