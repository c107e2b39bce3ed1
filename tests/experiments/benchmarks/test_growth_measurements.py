import cv2
import pytest

from experiments.benchmarks import growth, growth_measurements
from preprocessing import records


def test_tiny_videos_take_turns_in_class_and_group_and_differ(tmp_path):
    catalogue = growth_measurements.tiny_catalogue(tmp_path / "videos", 14, 2)
    assert [video.label for video in catalogue.videos] == [0, 1] * 7
    groups = {video.group for video in catalogue.videos}
    assert groups == {f"class00{c}/g{g}" for c in range(2) for g in range(5)}
    contents = {video.path.read_bytes() for video in catalogue.videos}
    assert len(contents) == 14
    opened = cv2.VideoCapture(str(catalogue.videos[3].path))
    assert opened.get(cv2.CAP_PROP_FRAME_COUNT) == growth_measurements.FRAMES


@pytest.mark.slow
def test_each_step_of_a_preparation_is_timed(tmp_path):
    from experiments.benchmarks.start_measurements import in_new_process

    row = in_new_process(growth_measurements.preparation, tmp_path / "tiny", 12, 2)
    assert set(row) == {*growth.PREPARING, "preparation_memory"}
    assert row["prepare"] > 0 and row["preparation_memory"] > 50
    assert len(records.load_record_set(tmp_path / "tiny" / "records").videos) == 12
