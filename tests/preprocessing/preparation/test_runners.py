import importlib.util

import pytest

from preprocessing.datasets import class_folders
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, runners
from preprocessing.preparation.preparation import Preparation


def _ignore(_):
    pass


def test_the_local_runner_converts_a_video_here(videos, tmp_path):
    settings = conversion.Settings(image_size=16)
    preparation = Preparation(class_folders.load(videos), tmp_path / "records", settings)
    preparation.folder.mkdir()
    preparation.begin()
    run = runners.runner("local", 1, 60, _ignore, _ignore)
    (shard,) = preparation.shards({})
    shard.videos = shard.videos[3:4]
    ((video, kept),) = run(preparation, [shard])
    assert video == shard.videos[0] and shard.kept == {video.id: kept}


@pytest.mark.skipif(importlib.util.find_spec("apache_beam"), reason="Apache Beam is installed")
def test_beam_that_is_not_installed_is_asked_for():
    with pytest.raises(UserError, match=r"--runner=beam needs Apache Beam .*stfnet\[beam\]"):
        runners.runner("beam", 1, 60, _ignore, _ignore)
