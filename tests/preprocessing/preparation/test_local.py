from preprocessing.datasets import class_folders
from preprocessing.preparation import conversion, stock
from preprocessing.preparation.local import local_runner
from preprocessing.preparation.preparation import Preparation
from preprocessing.preparation.tasks import Kept
from preprocessing.worker_pool import Failure

# Frames of the clips of the fixture, as they were written.
FRAMES = {
    "v_Left_g00_c01": 2,
    "v_Left_g01_c01": 3,
    "v_Left_g02_c01": 4,
    "v_Right_g00_c01": 5,
    "v_Right_g01_c01": 6,
}


def test_each_video_ends_as_a_record_or_a_failure_and_each_shard_as_a_file(
    videos, tmp_path, small_shards
):
    (videos / "Left" / "empty.mp4").write_bytes(b"")
    settings = conversion.Settings(image_size=16)
    preparation = Preparation(class_folders.load(videos), tmp_path, settings)
    preparation.begin()
    shards = list(preparation.shards({}))
    assert len(shards) > 2
    pairs = []
    results = {v.id: r for v, r in local_runner(2, 60, pairs.append)(preparation, shards)}
    failure = results.pop("empty")
    assert isinstance(failure, Failure) and failure.outcome == "zero_bytes"
    assert {name: kept.facts.num_frames for name, kept in results.items()} == FRAMES
    assert all(isinstance(kept, Kept) for kept in results.values())
    assert sum(pairs) >= 1 + 2 + 3 + 4 + 5
    made, failed = stock.of_parts(preparation.parts)
    assert made.keys() == FRAMES.keys() and failed.keys() == {"empty"}
    for shard in preparation.shards(made):
        assert shard.is_done() or "empty" in {video.id for video in shard.lacking()}
        assert not shard.kept or shard.file().suffix == ".tfrecord"
