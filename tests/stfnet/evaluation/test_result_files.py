"""The files of an evaluation: their names, what they hold, and which of them are refused."""

import json

import numpy as np
import pytest
from helpers import read_csv

from preprocessing.errors import UserError
from preprocessing.files import write_json
from stfnet.evaluation import result_files
from stfnet.evaluation.clips_per_video import Views

SPLIT = {"protocol": "group", "fold": "1"}


def _results(**changes):
    return {
        "confusion": np.eye(3, dtype=int).tolist(),
        "split": "test",
        "split_fingerprint": SPLIT,
        "calibration": {"expected_calibration_error": 0.0, "bins": []},
        **SPLIT,
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "suffix"),
    [
        ({}, ""),
        ({"split": "val"}, "-val"),
        ({"split": "unseen"}, "-unseen"),
        ({"protocol": "official", "fold": "2"}, "-official-2"),
        ({"views": {"num_clips": 1, "flip": False, "mirror_pairs": []}}, ""),
        ({"split": "val", "views": {"num_clips": 4, "flip": True}}, "-val-4clips-flip"),
    ],
)
def test_each_part_has_result_files_of_its_own(tiny_records, tmp_path, changes, suffix):
    probabilities = np.array([[0.2, 0.7, 0.1]], np.float32)
    paths = result_files.write(tmp_path, _results(**changes), probabilities, [0], tiny_records)
    assert [path.name for path in paths] == [
        f"results{suffix}.json",
        f"predictions{suffix}.csv",
        f"confusion{suffix}.png",
        f"reliability{suffix}.png",
    ]
    assert set(tmp_path.iterdir()) == set(paths)


def test_predictions_hold_the_probability_of_every_class(tiny_records, tmp_path):
    probabilities = np.array([[0.8, 0.125, 0.075], [0.1, 0.25, 0.65]], np.float32)
    result_files.write(tmp_path, _results(), probabilities, [3, 12], tiny_records)
    rows = read_csv(tmp_path / "predictions.csv")
    assert rows == result_files.read_predictions(tmp_path)
    names = tiny_records.classes
    for row, position, values, best in zip(rows, (3, 12), probabilities, (0, 2), strict=True):
        video = tiny_records.videos[position]
        assert (row["video"], row["class"]) == (video.id, video.class_name)
        assert row["predicted"] == names[best]
        assert float(row["probability"]) == pytest.approx(values[best], abs=1e-6)
        written = [float(row[f"p:{name}"]) for name in names]
        np.testing.assert_allclose(written, values, atol=1e-6)
        assert float(row["probability_of_class"]) == float(row[f"p:{row['class']}"])


def test_a_run_without_predictions_has_no_rows(tmp_path):
    assert result_files.read_predictions(tmp_path) == []


def test_the_figures_are_written_even_where_the_picture_cannot_be(tiny_records, tmp_path, caplog):
    for name in ("confusion.png", "reliability.png"):
        (tmp_path / name).write_bytes(b"of an earlier evaluation")
    damaged = {"expected_calibration_error": 0.0, "bins": [{"count": 1}]}
    results = _results(confusion=[1, 0], top1=0.5, calibration=damaged)  # no matrix
    probabilities = np.array([[0.2, 0.7, 0.1]], np.float32)
    result_files.write(tmp_path, results, probabilities, [0], tiny_records)
    assert json.loads((tmp_path / "results.json").read_text()) == results
    assert (tmp_path / "predictions.csv").read_text().count("\n") == 2
    for name in ("confusion.png", "reliability.png"):
        assert not (tmp_path / name).exists()
        assert f"{name} was not drawn" in caplog.text


def _refused(folder, message, **changes):
    path = folder / "results.json"
    results = json.loads(path.read_text())
    write_json(path, results | changes)
    with pytest.raises(UserError, match=message):
        result_files.read_results(folder)
    write_json(path, results)


def test_results_of_another_run_or_network_are_refused(evaluated):
    assert result_files.read_results(evaluated)["split"] == "test"
    another = {"parts_sha256": "of another run"}
    _refused(evaluated, r"is of another run than .*videos\.json", split_fingerprint=another)
    (evaluated / "best.keras").write_bytes(b"trained on since")
    _refused(evaluated, r"is of an earlier network than .*best\.keras", network_sha256="0" * 64)


def test_results_of_several_clips_are_files_of_their_own(evaluated):
    views = Views(3, True)
    with pytest.raises(
        UserError, match=r"results-3clips-flip\.json is missing.*--num_clips=3 --flip"
    ):
        result_files.read_results(evaluated, views)
    (evaluated / "results.json").rename(evaluated / "results-3clips-flip.json")
    assert result_files.read_results(evaluated, views)["split"] == "test"


@pytest.mark.parametrize("content", ["[]", "{}", '{"protocol": "group"}', "\x00"])
def test_results_that_are_not_an_evaluations_are_refused(evaluated, content):
    (evaluated / "results.json").write_text(content)
    with pytest.raises(UserError, match="evaluate the run again"):
        result_files.read_results(evaluated)


def test_missing_figures_are_named(evaluated):
    path = evaluated / "results.json"
    results = json.loads(path.read_text())
    del results["top5"], results["leak"]
    write_json(path, results)
    with pytest.raises(UserError, match=r"results\.json lacks leak, top5: evaluate the run again"):
        result_files.read_results(evaluated)


def test_missing_results_are_named_with_the_way_out(evaluated):
    (evaluated / "results.json").unlink()
    with pytest.raises(UserError, match=r"results\.json is missing: run experiments\.evaluate"):
        result_files.read_results(evaluated)
