import dataclasses

import pytest

from preprocessing.errors import UserError
from stfnet import run
from stfnet.report import report_examples


def _rows(*answers):
    return [
        {"class": truth, "predicted": predicted, "probability": p, "probability_of_class": given}
        for truth, predicted, p, given in answers
    ]


def test_the_most_wrong_come_first_and_one_success_of_each_class():
    rows = _rows(
        ("A", "B", "0.9", "0.1"),
        ("A", "A", "0.7", "0.7"),
        ("A", "A", "0.9", "0.9"),
        ("B", "A", "0.5", "0.01"),  # less sure, but further from the truth
        ("B", "B", "0.5", "0.5"),
        ("C", "C", "0.6", "0.6"),
    )
    wrong, right = report_examples.choose_examples(rows, 8)
    assert wrong == [rows[3], rows[0]]
    assert right == [rows[2], rows[5], rows[4]]
    assert report_examples.choose_examples(rows, 3) == ([rows[3], rows[0]], [rows[2]])
    assert report_examples.choose_examples(rows, 1) == ([rows[3]], [])
    assert report_examples.choose_examples(rows, 0) == ([], [])


def test_a_prediction_that_is_none_is_refused(evaluated):
    (evaluated / "predictions.csv").write_text("video,class,predicted\nv,A,B\n")
    with pytest.raises(UserError, match=r"predictions\.csv has a row that is no prediction"):
        report_examples.read_examples(evaluated, 8)


def test_a_video_whose_file_has_changed_gets_no_film(evaluated, tiny_records):
    """The answer was to another file."""
    wrong, right = report_examples.read_examples(evaluated, 8)
    changed, gone, *rest = (one.name for one in (*wrong, *right))
    videos = [
        dataclasses.replace(video, source_sha256="0" * 64) if video.id == changed else video
        for video in tiny_records.videos
        if video.id != gone
    ]
    other = dataclasses.replace(tiny_records, videos=tuple(videos))
    config = run.read_config(evaluated)
    examples = report_examples.with_films([*wrong, *right], evaluated, other, config, None)
    filmed = {one.name: bool(one.film) for one in examples}
    assert filmed == {changed: False, gone: False} | dict.fromkeys(rest, True)
    for one in examples[:2]:
        assert one.missing == "the records do not have the video that was tested"
