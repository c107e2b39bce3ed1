import pytest

from preprocessing.datasets import class_folders
from preprocessing.preparation import conversion, estimate, prepare
from preprocessing.preparation.local import local_runner

SETTINGS = conversion.Settings(image_size=16)


def test_frames_are_counted_by_class_and_bytes_are_those_of_the_records(videos, tmp_path):
    (videos / "Left" / "broken.mp4").write_bytes(b"no video")
    catalogue = class_folders.load(videos)
    forecast = estimate.forecast(catalogue.videos, SETTINGS, workers=2, time_limit=60)
    counts = {name: sorted(frames) for name, frames in forecast.frames.items()}
    assert counts == {"Left": [2, 3, 4], "Right": [5, 6]}
    assert forecast.unreadable == 1
    assert forecast.pairs == (1 + 2 + 3) + (4 + 5)
    assert forecast.pairs_per_second > 0
    folder = tmp_path / "records"
    prepare.prepare(catalogue, folder, SETTINGS, local_runner(2, 60))
    size = sum(path.stat().st_size for path in folder.glob("*.tfrecord-*"))
    assert forecast.bytes_per_frame == pytest.approx(size / 20, rel=0.3)


def test_the_rate_of_a_shared_device_is_not_measured_and_its_bytes_are(videos):
    catalogue = class_folders.load(videos)
    keras = conversion.Settings(image_size=16, flow_method="keras")
    shared, own = (
        estimate.forecast(catalogue.videos, settings, 1, 60) for settings in (keras, SETTINGS)
    )
    assert shared.pairs_per_second == 0 and shared.bytes_per_frame == own.bytes_per_frame > 0


def test_where_nothing_opens_nothing_is_promised(tmp_path):
    path = tmp_path / "actions" / "Left" / "a.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no video")
    videos = class_folders.load(tmp_path / "actions").videos
    forecast = estimate.forecast(videos, SETTINGS, 1, 60)
    assert forecast == estimate.Forecast({}, 1, 0.0, 0.0)
    assert estimate.table(forecast)[1:] == ["1 videos do not open and will be listed as failed"]


def test_the_table_has_the_hours_and_the_disk():
    # 7,202 frames of two videos are 7,200 pairs: an hour at 2 pairs/s; 0.5 MB each are 3.6 GB.
    forecast = estimate.Forecast({"Walk": [3601, 3601], "Bow\n": []}, 0, 2.0, 5e5)
    *rows, last = estimate.table(forecast)
    assert [row.split() for row in rows] == [
        ["class", "videos", "frames", "shortest", "longest"],
        ["Walk", "2", "7202", "3601", "3601"],
        ["total", "2", "7202", "3601", "3601"],
    ]
    assert last.startswith("about 1.00 hours at 2.0 pairs/s, 3.60 GB of disk (frames as the")


def test_the_table_of_a_shared_device_has_the_disk_alone():
    (*_, last) = estimate.table(estimate.Forecast({"Walk": [2000]}, 0, 0.0, 1e6))
    assert last.startswith("2.00 GB of disk") and "once the device is at work" in last


def test_the_frames_of_segments_are_counted_and_not_those_of_their_recording(tmp_path, write_video):
    write_video(tmp_path / "own" / "day.mp4", 100)  # 4 s
    (tmp_path / "own" / "splits.csv").write_text(
        "video,class,start,end\nday.mp4,Left,0,1\nday.mp4,Left,1.5,2\nday.mp4,Right,2,3\n"
    )
    videos = class_folders.load(tmp_path / "own").videos
    forecast = estimate.forecast(videos, SETTINGS, workers=1, time_limit=60)
    # Of 1.5 to 2 s: frames 38 (1.52 s) to 49.
    assert forecast.frames == {"Left": [25, 12], "Right": [25]}
    assert forecast.unreadable == 0 and forecast.pairs_per_second > 0
