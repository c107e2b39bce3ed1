"""The figures of an evaluation, counted by hand for a network that says what it is told."""

import csv
import dataclasses
import itertools
import json

import numpy as np
import pytest

from preprocessing.errors import UserError
from preprocessing.records import DamagedRecordError
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import RunConfig, TrainingConfig
from stfnet.evaluation import evaluate as evaluation

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


def test_a_damaged_record_is_named(damaged_records):
    network = _Told([[1.0, 0.0, 0.0]])
    name = damaged_records.videos[2].id
    with pytest.raises(DamagedRecordError, match=f"the record of {name} is damaged"):
        evaluation.predict_clips(network, damaged_records, np.arange(4), CLIP, 2)


def test_figures_are_those_counted_by_hand(tiny_records):
    config = RunConfig(
        "tiny", tiny_records.classes, ModelConfig(3, CLIP), TrainingConfig(batch_size=4)
    )
    # Six test videos, two groups of the three classes, in batches of four: two clips only fill.
    told = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]] * 2
    told[5] = [0.1, 0.1, 0.8]
    videos = run.draw_videos(tiny_records, config)
    found, probabilities, positions = evaluation.evaluate(_Told(told), tiny_records, config, videos)
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


@pytest.fixture
def evaluated(tiny_records):
    """Function that evaluates a part with a network that always says the first class."""
    config = RunConfig(
        "tiny", tiny_records.classes, ModelConfig(3, CLIP), TrainingConfig(batch_size=4)
    )
    videos = run.draw_videos(tiny_records, config)

    def evaluate(**part):
        return evaluation.evaluate(_Told([[0.8, 0.1, 0.1]]), tiny_records, config, videos, **part)

    return evaluate


def test_the_test_part_stands_when_the_records_gain_videos(tiny_records, prepare_squares, tmp_path):
    config = RunConfig(
        "tiny", tiny_records.classes, ModelConfig(3, CLIP), TrainingConfig(batch_size=4)
    )
    videos = run.draw_videos(tiny_records, config)
    gained = prepare_squares(tmp_path, range(10))  # groups 0 and 9 are new
    redrawn = run.draw_videos(gained, config)
    assert set(redrawn.test) & set(videos.train)  # what drawing again would test on
    told = _Told([[0.8, 0.1, 0.1]])
    results, _, positions = evaluation.evaluate(told, gained, config, videos)
    assert {gained.videos[k].id for k in positions} == set(videos.test)
    assert results["leak"] == 0.0 and len(results["unseen"]) == 6
    results, _, positions = evaluation.evaluate(told, gained, config, videos, split="unseen")
    assert {gained.videos[k].group for k in positions} == {
        f"{name}/g{group}" for name in tiny_records.classes for group in ("00", "09")
    }
    assert (results["split"], results["num_test"], results["leak"]) == ("unseen", 6, 0.0)


def test_a_copy_of_a_training_video_is_no_test_video_of_another_split(tiny_records):
    config = RunConfig(
        "tiny", tiny_records.classes, ModelConfig(3, CLIP), TrainingConfig(batch_size=4)
    )
    videos = run.draw_videos(tiny_records, config)
    trained = next(video for video in tiny_records.videos if video.id in videos.train)
    copy = dataclasses.replace(trained, id="copy", splits={"1": "test"})
    gained = dataclasses.replace(tiny_records, videos=(*tiny_records.videos, copy))
    with pytest.raises(UserError, match=r"1 of the 1 videos of protocol official.*such as copy"):
        evaluation.evaluate(_Told([[1, 0, 0]]), gained, config, videos, protocol="official")


def test_each_part_has_result_files_of_its_own(evaluated, tiny_records, tmp_path):
    for split in ("test", "val"):
        evaluation.write_results(tmp_path, *evaluated(split=split), tiny_records)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        f"{name}.{ending}"
        for part in ("", "-val")
        for name, ending in (
            (f"results{part}", "json"),
            (f"predictions{part}", "csv"),
            (f"confusion{part}", "png"),
        )
    }


def test_predictions_hold_the_probability_of_every_class(evaluated, tiny_records, tmp_path):
    evaluation.write_results(tmp_path, *evaluated(), tiny_records)
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    for row in rows:
        found = [float(row[f"p:{name}"]) for name in tiny_records.classes]
        assert found == [0.8, 0.1, 0.1]
        assert float(row["probability_of_class"]) == float(row[f"p:{row['class']}"])


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"protocol": "paper", "split": "val"}, "--split=val is a part of the run's own split"),
        ({"protocol": "paper"}, r"of the \d+ videos of protocol paper.*were trained on"),
        ({"fold": "2"}, "--fold=2 has no effect with protocol group"),
        ({"split": "unseen"}, "no video of the unseen part of the run: every video is in one"),
        ({"protocol": "official", "fold": "2"}, "no official split"),
    ],
)
def test_a_part_that_makes_no_sense_is_refused(evaluated, part, message):
    with pytest.raises(UserError, match=message):
        evaluated(**part)


def test_the_mean_of_folds_is_the_mean_of_their_figures(evaluated):
    results, *_ = evaluated()
    other = {**results, "top1": results["top1"] + 0.2, "num_test": 4}
    mean = evaluation.average_folds({"1": results, "group02": other})
    assert mean["top1"] == pytest.approx(results["top1"] + 0.1)
    assert mean["top1_deviation"] == pytest.approx(0.2 / 2**0.5)
    assert (mean["num_test"], mean["fold"]) == (10, "1,group02")
    assert mean["folds"]["group02"]["top1"] == other["top1"]


def test_the_figures_are_written_even_where_the_picture_cannot_be(tiny_records, tmp_path, caplog):
    (tmp_path / "confusion.png").write_bytes(b"of the evaluation before")
    certificate = {"protocol": "group", "fold": "1"}
    results = {"confusion": [1, 0], "top1": 0.5, "split": "test", **certificate}  # no matrix
    results["certificate"] = certificate
    probabilities = np.array([[0.2, 0.7, 0.1]], np.float32)
    evaluation.write_results(tmp_path, results, probabilities, [0], tiny_records)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 2
    assert not (tmp_path / "confusion.png").exists()
    assert "confusion.png was not drawn" in caplog.text
