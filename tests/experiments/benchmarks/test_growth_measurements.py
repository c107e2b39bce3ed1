import cv2
import pytest

from experiments.benchmarks import growth_measurements
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


def test_metadata_are_written_and_read_for_as_many_videos_as_asked(tiny_records, tmp_path):
    from experiments.benchmarks.start_measurements import in_new_process

    folder = tmp_path / "records"
    folder.symlink_to(tiny_records.folder)
    row = in_new_process(growth_measurements.metadata, folder, 2000)
    written = records.read_record_set(tmp_path / "large")
    assert len({video.id for video in written.videos}) == 2000
    size = (tmp_path / "large" / records.METADATA_FILE).stat().st_size
    assert row["megabytes"] == pytest.approx(size / 1e6, abs=0.06)
