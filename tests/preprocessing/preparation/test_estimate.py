import dataclasses

import pytest

from preprocessing.datasets import class_folders
from preprocessing.preparation import conversion, estimate

SETTINGS = conversion.Settings(image_size=16)


def _size(prepared):
    return sum(path.stat().st_size for path in prepared.record_set.shard_paths)


def test_frames_are_counted_by_class_and_bytes_are_those_of_the_records(videos, prepare):
    (videos / "Left" / "broken.mp4").write_bytes(b"no video")
    catalogue = class_folders.load(videos)
    forecast = estimate.forecast(catalogue.videos, SETTINGS, workers=2, time_limit=60)
    counts = {name: sorted(frames) for name, frames in forecast.frames.items()}
    assert counts == {"Left": [2, 3, 4], "Right": [5, 6]}
    assert forecast.unreadable == 1
    assert forecast.pairs == (1 + 2 + 3) + (4 + 5)
    assert forecast.seconds > 0 and forecast.of_all == 1
    assert forecast.size == pytest.approx(_size(prepare(videos, workers=2)), rel=0.3)


def test_of_a_grid_the_stored_fields_are_counted(tmp_path, write_video, prepare):
    for name in ("Left", "Right"):
        write_video(tmp_path / "own" / name / f"{name}.mp4", 100)
    catalogue = class_folders.load(tmp_path / "own")
    grid = dataclasses.replace(SETTINGS, frame_grid=3)
    some, everything = (estimate.forecast(catalogue.videos, s, 1, 60) for s in (grid, SETTINGS))
    assert everything.pairs == 2 * 99 and some.pairs == 2 * 8
    assert some.frames == everything.frames == {"Left": [100], "Right": [100]}
    assert some.size < everything.size / 8
    assert some.size == pytest.approx(_size(prepare(tmp_path / "own", settings=grid)), rel=0.3)


def test_the_pass_that_looks_for_motion_costs_time(tmp_path, write_video):
    write_video(tmp_path / "own" / "Left" / "a.mp4", 60, size=(1280, 960))
    videos = class_folders.load(tmp_path / "own").videos
    grid = dataclasses.replace(SETTINGS, frame_grid=2, flow_length=1)
    motion = dataclasses.replace(grid, resize="motion")
    once, twice = (estimate.forecast(videos, s, 1, 60).seconds for s in (grid, motion))
    assert twice > 1.5 * once


def test_of_many_videos_some_headers_are_read(tmp_path, write_video, monkeypatch):
    for number in range(12):
        write_video(tmp_path / "own" / "AB"[number % 2] / f"{number}.mp4", 4 + number % 2)
    (tmp_path / "own" / "A" / "broken.mp4").write_bytes(b"no video")
    videos = class_folders.load(tmp_path / "own").videos
    whole = estimate.forecast(videos, SETTINGS, 1, 60)
    monkeypatch.setattr(estimate, "_HEADERS", 5)
    some = estimate.forecast(videos, SETTINGS, 1, 60)
    assert sum(map(len, some.frames.values())) + some.unreadable == 5
    assert (some.videos, some.of_all) == (13, 13 / 5)
    assert some.pairs == pytest.approx(whole.pairs, rel=0.3)
    assert some.size == pytest.approx(whole.size, rel=0.4)
    lines = estimate.table(some)
    assert lines[0].startswith("about ") and lines[0].endswith(" in 13 videos, by 5 headers")
    assert lines[-1].startswith("about ") and not any("class" in line for line in lines)


def test_the_rate_of_a_shared_device_is_not_measured_and_its_bytes_are(videos):
    catalogue = class_folders.load(videos)
    keras = conversion.Settings(image_size=16, flow_method="keras")
    shared, own = (
        estimate.forecast(catalogue.videos, settings, 1, 60) for settings in (keras, SETTINGS)
    )
    assert shared.seconds == 0 and shared.size == own.size > 0


def test_where_nothing_opens_nothing_is_promised(tmp_path):
    path = tmp_path / "actions" / "Left" / "a.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no video")
    videos = class_folders.load(tmp_path / "actions").videos
    forecast = estimate.forecast(videos, SETTINGS, 1, 60)
    assert forecast == estimate.Forecast(1, {}, 1, 0, 0.0, 0.0)
    assert estimate.table(forecast)[1:] == ["1 videos do not open and will be listed as failed"]


def test_the_table_has_the_hours_and_the_disk():
    # 7,202 frames of two videos are 7,200 pairs: an hour at 2 pairs/s.
    forecast = estimate.Forecast(2, {"Walk": [3601, 3601], "Bow\n": []}, 0, 7200, 3600, 3.6e9)
    *rows, last = estimate.table(forecast)
    assert [row.split() for row in rows] == [
        ["class", "videos", "frames", "shortest", "longest"],
        ["Walk", "2", "7202", "3601", "3601"],
        ["total", "2", "7202", "3601", "3601"],
    ]
    assert last.startswith("about 1.00 hours at 2.0 pairs/s, 3.60 GB of disk (frames as the")


def test_the_table_of_many_videos_is_a_line_of_totals():
    frames = {"Walk": [100, 300], "Run": [200]}
    forecast = estimate.Forecast(300_000, frames, 1, 59_700_000, 36e5, 2e12)
    assert estimate.table(forecast) == [
        "about 45,000,000 frames in 300,000 videos, by 4 headers",
        "about 75,000 videos do not open and will be listed as failed",
        "about 1000.00 hours at 16.6 pairs/s, 2000.00 GB of disk (frames as the headers claim,"
        " rate of a few videos)",
    ]


def test_the_table_of_a_shared_device_has_the_disk_alone():
    (*_, last) = estimate.table(estimate.Forecast(1, {"Walk": [2000]}, 0, 1999, 0.0, 2e9))
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
    assert forecast.unreadable == 0 and forecast.seconds > 0
