"""The figures of an evaluation, counted by hand for a network that says what it is told."""

import itertools
import json

import numpy as np
import pytest

from stfnet import ClipConfig, ModelConfig, evaluation
from stfnet.config import RunConfig, TrainingConfig

CLIP = ClipConfig(num_frames=3, flow_length=4, image_size=32)


class _Told:
    """Stands in for a network: gives the rows of a table, a batch after the other."""

    input = ("rgb", "flow")

    def __init__(self, rows):
        self.rows = itertools.cycle(rows)

    def predict_on_batch(self, inputs):
        return np.array([next(self.rows) for _ in inputs["rgb"]])


def test_top_k_counts_the_k_most_probable_classes():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2], [0.2, 0.5, 0.3]])
    labels = [0, 1, 1, 0]
    # The third row is a tie, of which the first class counts as the more probable.
    assert [evaluation.top_k(probabilities, labels, k) for k in (1, 2, 3)] == [0.25, 0.75, 1.0]


def test_figures_are_those_counted_by_hand(tiny_records):
    config = RunConfig(
        "tiny", tiny_records.classes, ModelConfig(3, CLIP), TrainingConfig(batch_size=4)
    )
    # Six test videos, two groups of the three classes, in batches of four: two clips only fill.
    told = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]] * 2
    told[5] = [0.1, 0.1, 0.8]
    found, probabilities, positions = evaluation.evaluate(_Told(told), tiny_records, config)
    labels = [tiny_records.videos[k].label for k in positions]
    assert sorted(labels) == [0, 0, 1, 1, 2, 2] and found["num_test"] == 6
    np.testing.assert_allclose(probabilities, told, rtol=1e-6)

    confusion = np.zeros((3, 3), int)
    for label, row in zip(labels, told, strict=True):
        confusion[label, row.index(0.8)] += 1
    assert found["confusion"] == confusion.tolist()
    right = np.diag(confusion)
    assert found["top1"] == right.sum() / 6
    assert found["top5"] == 1.0
    assert found["per_class"] == dict(zip(tiny_records.classes, right / 2, strict=True))
    assert found["mean_class_accuracy"] == pytest.approx(np.mean(right / 2))
    assert found["chance"] == found["majority"] == pytest.approx(1 / 3)
    assert found["leak"] == 0.0 and found["num_train"] == 15


def test_the_figures_are_written_even_where_the_picture_cannot_be(tiny_records, tmp_path, caplog):
    (tmp_path / "confusion.png").write_bytes(b"of the evaluation before")
    results = {"confusion": [1, 0], "top1": 0.5}  # no matrix
    probabilities = np.array([[0.2, 0.7, 0.1]], np.float32)
    evaluation.write_results(tmp_path, results, probabilities, [0], tiny_records)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 2
    assert not (tmp_path / "confusion.png").exists()
    assert "confusion.png was not drawn" in caplog.text
