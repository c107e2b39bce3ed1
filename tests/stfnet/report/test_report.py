import base64
import html.parser
import json
import re

import cv2
import numpy as np
import pytest

from preprocessing import splits
from preprocessing.errors import UserError
from stfnet import run
from stfnet.evaluation import result_files
from stfnet.report import report, report_examples


class Page(html.parser.HTMLParser):
    """Text, pictures, films and the balance of tags of a page."""

    def __init__(self, path):
        super().__init__()
        self.images, self.films, self.addresses, self.text, self.open = [], [], [], "", []
        self.feed(path.read_text())
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[k] for k in ("src", "href", "poster") if k in attributes]
        if tag == "img":
            content = np.frombuffer(self._content(attributes["src"]), np.uint8)
            self.images.append(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1])
        if tag == "video":
            self.films.append(self._content(attributes["src"]))
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def _content(self, address):
        return base64.b64decode(address.partition(";base64,")[2])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data + " "


def test_the_page_holds_figures_settings_and_pictures_in_itself(evaluated, tiny_records):
    (evaluated / "ablation.json").write_text('{"ablation": {"both": 0.9, "rgb": 0.625}}')
    path = report.write_report(
        evaluated,
        evaluated / "report",
        tiny_records,
        ablation=evaluated / "ablation.json",
        published={"two-stream <fusion>": 92.5},
        paper={"model": {"lstm_units": 101}, "training": {"batch_size": 8, "seed": 0}},
    )
    page = Page(path)
    assert not page.open
    assert all(address.startswith("data:") for address in page.addresses)
    for text in ("33.3 % top-1", "25.0 %", "frames alone 62.5 %", "two-stream <fusion> 92.5 %"):
        assert text in page.text
    assert run.read_videos(evaluated).sha256 in page.text
    assert "15 training, 3 validation, 6 test" in page.text
    assert "1 videos of the records unknown to the run" in page.text
    # What differs from the paper's settings, and only those.
    assert "paper model.lstm_units 7 101 training.batch_size 1 8 Settings as in" in page.text
    # Curves, reliability and confusion matrix; four mistakes, and one class that has a success.
    assert len(page.images) == 3 and len(page.films) == 4 + 1
    films = re.search(r"5 films, (\d\.\d) MB of this page \(at most 16 MB\)", page.text)
    assert float(films[1]) < path.stat().st_size / 1e6


def test_figures_stand_with_what_results_json_says_of_them(evaluated):
    results = result_files.read_results(evaluated)
    page = Page(report.write_report(evaluated, evaluated / "r"))
    low, high = results["intervals"]["top1"]
    assert f"33.3 % top-1 {100 * low:.1f} to {100 * high:.1f} %" in page.text
    drawn = results["bootstrap"]
    assert f"bootstrap over {drawn['count']} {drawn['drawn']}" in page.text
    assert f"rough, since there are few {drawn['drawn']}" in page.text
    error = results["calibration"]["expected_calibration_error"]
    assert f"Expected calibration error {error:.3f}" in page.text
    filled = [row for row in results["calibration"]["bins"] if row["count"]]
    for row in filled:
        figures = f"{row['count']} {100 * row['confidence']:.1f} % {100 * row['accuracy']:.1f} %"
        assert f"{row['low']:.2f} to {row['high']:.2f} {figures}" in page.text
    for name, one in results["classes"].items():
        assert f"{name} {one['videos']} {100 * one['recall']:.1f} %" in page.text
    for pair in results["most_confused"]:
        assert " ".join(map(str, (*pair["classes"], *pair["directions"]))) in page.text
    for one in results["most_wrong"]:
        given = f"{100 * one['probability_of_class']:.1f} % {one['predicted']}"
        assert f"{one['video']} {one['class']} {given}" in page.text


def test_the_commands_name_the_files_of_this_run(make_evaluated, tiny_records, tmp_path):
    folder = make_evaluated(tmp_path / "a run; rm -r")
    page = Page(report.write_report(folder, tmp_path / "r", tiny_records))
    assert f"--config='{folder}/config.json'" in page.text
    assert f"--verify={tiny_records.folder}" in page.text
    assert tiny_records.versions["opencv"] in page.text
    assert "--verify=RECORDS" in Page(report.write_report(folder, tmp_path / "r")).text


def test_baselines_stand_beside_the_run_where_they_were_computed(evaluated):
    assert "simpler methods" not in Page(report.write_report(evaluated, evaluated / "r")).text
    path = evaluated / "results.json"
    results = json.loads(path.read_text()) | {
        "nearest_neighbour": 0.125,
        "linear_model": {
            "rgb": {"top1": 0.5, "C": 1e-4},
            "flow": {"top1": 0.625, "C": 0.1},
            "both": {"top1": 0.75, "C": 10.0},
        },
    }
    path.write_text(json.dumps(results))
    page = Page(report.write_report(evaluated, evaluated / "r"))
    for text in (
        "median frame) 12.5 %",
        "of frames, C = 0.0001 50.0 %",
        "of optical flow, C = 0.1 62.5 %",
        "of both, C = 10 75.0 % this run 33.3 %",
    ):
        assert text in page.text


def test_a_picture_that_was_not_drawn_is_left_out(evaluated):
    for name in ("curves.png", "confusion.png", "reliability.png"):
        (evaluated / name).unlink()
    page = Page(report.write_report(evaluated, evaluated / "report"))
    assert not page.images and not page.open and "Expected calibration error" in page.text


def test_a_run_that_was_not_evaluated_is_refused(evaluated):
    (evaluated / "results.json").unlink()
    with pytest.raises(UserError, match=r"results\.json is missing: run experiments\.evaluate"):
        report.write_report(evaluated, evaluated / "report")


def test_results_of_an_earlier_version_are_refused(evaluated):
    path = evaluated / "results.json"
    results = json.loads(path.read_text())
    del results["intervals"], results["calibration"]
    path.write_text(json.dumps(results))
    with pytest.raises(UserError, match=r"lacks intervals, calibration, .*: evaluate"):
        report.write_report(evaluated, evaluated / "report")
    assert not (evaluated / "report").exists()


@pytest.mark.parametrize("content", ["[]", "{}", '{"ablation": {"rgb": "high"}}', "\x00"])
def test_an_ablation_that_is_none_is_refused(evaluated, content):
    path = evaluated / "ablation.json"
    path.write_text(content)
    with pytest.raises(UserError, match="no JSON file with an `ablation`"):
        report.write_report(evaluated, evaluated / "report", ablation=path)


def test_without_predictions_the_page_has_no_examples(evaluated, tiny_records):
    (evaluated / "predictions.csv").unlink()
    page = Page(report.write_report(evaluated, evaluated / "report", tiny_records))
    assert not page.films and "Test clips" not in page.text


def test_films_stop_at_the_bound_and_the_page_says_why(evaluated, tiny_records, monkeypatch):
    path = report.write_report(evaluated, evaluated / "report", tiny_records)
    addresses = [one for one in Page(path).addresses if not one.startswith("data:image/png")]
    two = sum(map(len, addresses[:4]))  # films, each with its poster
    monkeypatch.setattr(report_examples, "MOST_FILM_BYTES", two)
    page = Page(report.write_report(evaluated, evaluated / "report", tiny_records))
    assert len(page.films) == 2
    assert page.text.count("(no film: the page would be too large)") == 3


def test_every_protocol_is_explained():
    assert set(report.PROTOCOLS) == set(splits.PROTOCOLS)


def test_without_the_papers_settings_nothing_is_said_of_them(evaluated):
    page = Page(report.write_report(evaluated, evaluated / "report"))
    assert "in place of the paper's" not in page.text and not page.open
