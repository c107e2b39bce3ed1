import dataclasses
import json

import pytest

from preprocessing.errors import UserError
from preprocessing.records import summary


def test_the_figures_of_a_set_made_to_measure(tiny_records, monkeypatch):
    # Eight groups in each of three classes; group g has 8 + g % 3 frames.
    figures = summary.summarise(tiny_records)
    assert [one.name for one in figures.classes] == ["Left", "Right", "Still"]
    for one in figures.classes:
        assert (one.videos, one.groups, one.shortest, one.longest) == (8, 8, 8, 10)
        assert one.median == 9  # 8 8 9 9 9 10 10 10
    left, right, still = (one.mean_motion for one in figures.classes)
    # A quarter of the picture moves by a pixel (2 of 64, stored in 32).
    assert 0.1 < left < 0.6 and 0.1 < right < 0.6 and still < 0.02
    assert figures.lengths == ((8, 8, 6), (9, 9, 9), (10, 10, 9))
    monkeypatch.setattr(summary, "_BARS", 2)
    assert summary.summarise(tiny_records).lengths == ((8, 9, 15), (10, 11, 9))
    assert figures.failures == () and figures.outcomes == {}
    by_name = {division.protocol: division for division in figures.divisions}
    # 0.3 of eight groups is 2.4, so two; every class holds out others.
    assert (by_name["group"].train, by_name["group"].test) == (18, 6)
    assert by_name["group"].leak == by_name["paper"].leak == 0  # each clip is its own group
    assert "no official split" in by_name["official"].impossible


def test_the_video_to_show_is_the_typical_one_of_the_class_that_moves_most(tiny_records):
    figures = summary.summarise(tiny_records)
    moving, still = figures.classes[0], figures.classes[2]
    moving = dataclasses.replace(moving, mean_motion=9.0)
    # A class without videos has none to show.
    empty = summary.ClassSummary("Empty", 0, mean_motion=99.0)
    figures = dataclasses.replace(figures, classes=(still, moving, empty))
    assert summary.choose_video(tiny_records, figures).id == moving.example


def test_a_video_is_found_by_its_id_and_others_are_suggested(tiny_records):
    figures = summary.summarise(tiny_records)
    wanted = tiny_records.videos[5]
    assert summary.choose_video(tiny_records, figures, wanted.id) is wanted
    with pytest.raises(UserError, match=r"no video 'right_g0': there are v_Right_g0.* and others"):
        summary.choose_video(tiny_records, figures, "right_g0")
    failed = dataclasses.replace(tiny_records, failed=("lost",))
    with pytest.raises(UserError, match=r"no video 'lost' \(it failed: failures.jsonl has the"):
        summary.choose_video(failed, figures, "lost")


def test_classes_without_videos_failures_and_doubtful_videos_are_told(tiny_records, tmp_path):
    rows = [
        {"id": str(k), "path": "p", "outcome": outcome, "reason": "why"}
        for k, outcome in enumerate(["corrupt", "truncated", "truncated"])
    ]
    (tmp_path / "failures.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "notes.jsonl").write_text(json.dumps(rows[0]) + "\n")
    partial = dataclasses.replace(
        tiny_records,
        folder=tmp_path,
        videos=tuple(video for video in tiny_records.videos if video.class_name != "Still"),
    )
    figures = summary.summarise(partial)
    assert figures.classes[2] == summary.ClassSummary("Still", 0)
    assert figures.outcomes == {"truncated": 2, "corrupt": 1}
    assert list(figures.failures) == rows and figures.notes == (rows[0],)


@pytest.mark.parametrize("name", ["Left", "Still"])
def test_the_example_of_a_class_is_one_of_ordinary_motion(tiny_records, name):
    (one,) = (kind for kind in summary.summarise(tiny_records).classes if kind.name == name)
    motion = {video.id: video.mean_motion for video in tiny_records.videos}
    siblings = [value for key, value in motion.items() if name in key]
    assert min(siblings) <= motion[one.example] <= max(siblings) and name in one.example
