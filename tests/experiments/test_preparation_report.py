import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments import preparation_report
from preprocessing.datasets import class_folders, load
from preprocessing.datasets.catalogue import Catalogue, Video
from preprocessing.errors import UserError
from preprocessing.preparation import conversion, prepare, stock


@pytest.fixture
def catalogue():
    """Two videos of two groups in a class, one of another class."""
    names = (("Bow", "a"), ("Bow", "b"), ("Wave", "c"))
    videos = tuple(
        Video(name, Path(f"{name}.mp4"), ("Bow", "Wave").index(kind), kind, f"{kind}/{name}", {})
        for kind, name in names
    )
    return Catalogue("mine", ("Bow", "Wave"), videos, ("left out: 1 .txt (notes.txt)",))


def test_twenty_differences_are_shown_and_all_are_written(catalogue, tmp_path, capsys):
    differences = tuple(f"missing: clip {number}" for number in range(25))
    output = tmp_path / "records"
    limited = load.limit_per_class(catalogue, 1)
    preparation_report.show_source(load.Source(catalogue, differences), limited, output)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["mine: 3 videos of 2 classes", "left out: 1 .txt (notes.txt)"]
    assert lines[2:22] == list(differences[:20])
    assert lines[22].startswith(f"{output / 'differences.txt'} lists every difference")
    assert (output / "differences.txt").read_text().splitlines() == list(differences)
    assert lines[23] == "taken of it: 2 videos of 2 classes"
    # The protocols divide the videos that are taken, a single one of each class.
    assert "class Bow has 1 group" in lines[26] and lines[27].split()[:3] == ["paper", "1", "1"]


def test_without_differences_nothing_is_written(catalogue, tmp_path, capsys):
    preparation_report.show_source(load.Source(catalogue), catalogue, tmp_path / "records")
    assert not (tmp_path / "records").exists()
    assert "differences" not in capsys.readouterr().out


def test_ready_made_flow_is_told_where_it_is_read_and_where_it_is_not(catalogue, capsys):
    def told(catalogue, **settings):
        preparation_report.show_flow(catalogue, conversion.Settings(**settings))
        return capsys.readouterr().out

    assert told(catalogue) == ""
    first, *others = catalogue.videos
    ready = dataclasses.replace(first, flow=(first.path, first.path))
    catalogue = dataclasses.replace(catalogue, videos=(ready, *others))
    assert told(catalogue) == (
        "1 of 3 videos has ready-made flow, which is not read: --flow=given takes it, and none is"
        " computed\n"
    )
    line = told(catalogue, flow_method="given", flow_bound=15.0)
    assert line.startswith(
        "flow given for 1 of 3 videos: 0..255 is read as -15..15 pixels (--flow_"
    )
    assert line.count("\n") == 1


def _prepared(failures=(), notes=(), converted=0, title="ucf11"):
    record_set = SimpleNamespace(
        folder=Path("records"),
        name="ucf11",
        title=title,
        counts={"videos": 3, "frames": 30},
        sha256="5e7",
        videos=(),
        classes=("Bow", "Jump", "Wave"),
        empty_classes=lambda: ["Jump"],
    )
    return prepare.Prepared(record_set, failures, converted, notes)


def test_what_was_prepared_is_a_line_and_notes_are_another(capsys):
    reason = "of class Bow is the same file as c of class Wave"
    notes = ({"outcome": "repeats"}, {"id": "a", "outcome": stock.COPY, "reason": reason})
    preparation_report.show_prepared(_prepared(notes=notes, converted=2), allowed=0)
    assert capsys.readouterr().out.splitlines() == [
        "records: 3 videos, 30 frames, 0 failed (2 converted now), SHA-256 5e7",
        "1 of 3 classes has no video in the records and will be no class of a network: Jump",
        f"1 copy in another class, group or part: a {reason}",
        "2 notes: such videos are in the records, repaired or doubtful,"
        " records/notes.jsonl says why",
    ]


def test_a_part_of_a_collection_is_named_before_and_after(catalogue, tmp_path, capsys):
    of_ucf11 = dataclasses.replace(catalogue, name="ucf11")
    preparation_report.show_source(load.Source(of_ucf11), of_ucf11, tmp_path)
    title = "ucf11 (2 of 11 classes, 3 of 1600 clips)"
    line = f"figures of it stand under {title}, not beside published ones of ucf11"
    assert line in capsys.readouterr().out.splitlines()
    preparation_report.show_prepared(_prepared(title=title), allowed=0)
    assert line in capsys.readouterr().out.splitlines()


def test_more_failures_than_allowed_are_an_error_that_says_how_many_to_allow():
    failures = ({"reason": "a.mp4 is empty"}, {"reason": "b.mp4 is cut"})
    with pytest.raises(UserError, match=r"2 of 5 videos .*1 allowed: .*a.mp4 is empty.*ures=2$"):
        preparation_report.show_prepared(_prepared(failures), allowed=1)
    preparation_report.show_prepared(_prepared(failures), allowed=2)


def test_progress_prints_the_estimate_first_and_the_device_last(tmp_path, capsys):
    (tmp_path / "Bow").mkdir()
    (tmp_path / "Bow" / "a.mp4").touch()
    videos = class_folders.load(tmp_path).videos
    settings = conversion.Settings(image_size=16)
    with preparation_report.Progress(settings, "beam", 1, 60) as progress:
        progress.announce(videos, "1 new, 2 as they were")
        progress.update(3)
        progress.measured("flow on gpu: 3 pairs")
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop(0) == "1 new, 2 as they were"
    assert lines[1] == "1 videos do not open and will be listed as failed"
    assert lines[2].startswith("the hours are this machine's") and lines[3:] == [
        "flow on gpu: 3 pairs"
    ]


def test_progress_that_breaks_off_prints_no_figures_of_the_device(capsys):
    settings = conversion.Settings(image_size=16)
    with (
        pytest.raises(KeyboardInterrupt),
        preparation_report.Progress(settings, "local", 1, 60) as progress,
    ):
        progress.measured("flow on gpu: 3 pairs")
        raise KeyboardInterrupt
    assert capsys.readouterr().out == ""
