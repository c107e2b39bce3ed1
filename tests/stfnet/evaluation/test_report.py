import base64
import html.parser
import json

import cv2
import numpy as np
import pytest

from preprocessing import splits
from preprocessing.errors import UserError
from stfnet import run
from stfnet.config import ClipConfig, ModelConfig, RunConfig, TrainingConfig
from stfnet.evaluation import report, result_files
from stfnet.evaluation.details import details
from stfnet.inference import annotation


class Page(html.parser.HTMLParser):
    """Text, images and the balance of tags of a page."""

    def __init__(self, path):
        super().__init__()
        self.images, self.addresses, self.text, self.open = [], [], "", []
        self.feed(path.read_text())
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.addresses += [attributes[k] for k in ("src", "href") if k in attributes]
        if tag == "img":
            encoded = attributes["src"].partition(";base64,")[2]
            content = np.frombuffer(base64.b64decode(encoded), np.uint8)
            self.images.append(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1])
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


@pytest.fixture
def evaluated(tiny_records, tmp_path):
    """A run's folder as an evaluation leaves it, every test video taken for a move to the right."""
    model = ModelConfig(3, ClipConfig(num_frames=3, flow_length=4, image_size=32), lstm_units=7)
    config = RunConfig("squares", tiny_records.classes, model, TrainingConfig())
    probabilities = np.zeros((24, 3), np.float32)
    right = tiny_records.classes.index("Right")
    probabilities[:, right] = np.linspace(0.5, 0.96, 24)
    probabilities[:, (right + 1) % 3] = 1 - probabilities[:, right]
    videos = run.draw_videos(tiny_records, config)
    with run.writing(tmp_path, config, videos):
        pass
    results = {
        "dataset": "squares",
        "protocol": "group",
        "fold": "1",
        "split": "test",
        "streams": "both",
        "top1": 1 / 3,
        "top5": 1.0,
        "mean_class_accuracy": 1 / 3,
        "chance": 1 / 3,
        "majority": 0.25,
        "leak": 0.0,
        "num_test": 24,
        "num_train": 48,
        "num_classes": 3,
        "validated_on": "groups held back from training",
        "certificate": videos.certificate(),
        "unseen": ["v_new"],
        "lost": [],
        "changed": [],
        "per_class": {"Left": 0.0, "Right": 1.0, "Still": 0.0},
        "confusion": [[0, 8, 0], [0, 8, 0], [0, 8, 0]],
    }
    tested = tiny_records.videos[:24]
    labels = np.array([video.label for video in tested])
    results |= details(probabilities, labels, tiny_records.classes, tested)
    result_files.write(tmp_path, results, probabilities, range(24), tiny_records)
    return tmp_path


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
    assert "15 training, 3 validation, 6 test" in " ".join(page.text.split())
    assert "1 videos of the records unknown to the run" in page.text
    # What differs from the paper's settings, and only those.
    assert "paper model.lstm_units 7 101 training.batch_size 1 8 Whole" in page.text
    # The confusion matrix, four mistakes, and one success of the only class that has any.
    assert len(page.images) == 1 + 4 + 1
    for clip in page.images[1:]:
        assert clip.shape == (2 * annotation.CELL, 3 * annotation.CELL, 3)
    # The surest mistake comes first: the last video in the records that does not move right.
    last = [video.id for video in tiny_records.videos if video.class_name != "Right"][-1]
    assert page.text.index(last) < page.text.index("Recognised")


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


def test_a_run_that_was_not_evaluated_is_refused(evaluated):
    (evaluated / "results.json").unlink()
    with pytest.raises(UserError, match=r"results\.json is missing: run experiments\.evaluate"):
        report.write_report(evaluated, evaluated / "report")


@pytest.mark.parametrize("content", ["[]", "{}", '{"ablation": {"rgb": "high"}}', "\x00"])
def test_an_ablation_that_is_none_is_refused(evaluated, content):
    path = evaluated / "ablation.json"
    path.write_text(content)
    with pytest.raises(UserError, match="no JSON file with an `ablation`"):
        report.write_report(evaluated, evaluated / "report", ablation=path)


def test_the_examples_are_the_surest_of_each_kind():
    rows = [
        {"class": truth, "predicted": predicted, "probability": probability}
        for truth, predicted, probability in (
            ("A", "B", "0.4"),
            ("A", "A", "0.7"),
            ("A", "A", "0.9"),
            ("B", "A", "0.8"),
            ("B", "B", "0.5"),
            ("C", "C", "0.6"),
        )
    ]
    wrong, right = report.choose_examples(rows, 2)
    assert wrong == [rows[3], rows[0]]
    assert right == [rows[2], rows[5]]  # one of each class, the surest first


def test_a_prediction_that_is_none_is_refused(evaluated):
    (evaluated / "predictions.csv").write_text("video,class,predicted\nv,A,B\n")
    with pytest.raises(UserError, match=r"predictions\.csv has a row that is no prediction"):
        report.write_report(evaluated, evaluated / "report")


def test_without_predictions_the_page_has_no_examples(evaluated, tiny_records):
    (evaluated / "predictions.csv").unlink()
    page = Page(report.write_report(evaluated, evaluated / "report", tiny_records))
    assert len(page.images) == 1 and "Test clips" not in page.text  # the confusion matrix


def test_every_protocol_is_explained():
    assert set(report.PROTOCOLS) == set(splits.PROTOCOLS)


def test_without_the_papers_settings_nothing_is_said_of_them(evaluated):
    page = Page(report.write_report(evaluated, evaluated / "report"))
    assert "in place of the paper's" not in page.text and not page.open
