import pytest

from preprocessing.datasets import class_folders
from preprocessing.preparation import conversion
from preprocessing.preparation.local import local_runner
from preprocessing.preparation.parts import Preparation
from preprocessing.preparation.tasks import Part
from preprocessing.worker_pool import Failure


@pytest.fixture
def preparation(videos, tmp_path):
    (videos / "Left" / "empty.mp4").write_bytes(b"")
    settings = conversion.Settings(image_size=16)
    preparation = Preparation(class_folders.load(videos), tmp_path / "records", settings)
    preparation.folder.mkdir()
    preparation.begin()
    return preparation


def test_each_video_asked_for_ends_as_a_part_or_a_failure(preparation):
    # Frames of the clips of the fixture, as they were written.
    frames = {
        **{"v_Left_g00_c01": 2, "v_Left_g01_c01": 3, "v_Left_g02_c01": 4},
        **{"v_Right_g00_c01": 5, "v_Right_g01_c01": 6},
    }
    ids = [video.id for video in preparation.videos]
    left_out = ids.index("v_Right_g01_c01")
    asked = [number for number in range(6) if number != left_out]
    pairs = []
    results = dict(local_runner(2, 60, pairs.append)(preparation, asked))
    assert sorted(results) == asked
    for number, result in results.items():
        if ids[number] == "empty":
            assert isinstance(result, Failure) and result.outcome == "zero_bytes"
        else:
            assert isinstance(result, Part) and result.facts.num_frames == frames[ids[number]]
    assert sum(pairs) >= 1 + 2 + 3 + 4
    assert {number for number in range(6) if preparation.task(number).load()} == {
        number for number in asked if ids[number] != "empty"
    }


def test_nothing_to_do_starts_nothing(preparation):
    assert list(local_runner(2, 60)(preparation, [])) == []
