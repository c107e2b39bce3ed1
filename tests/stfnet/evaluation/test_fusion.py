"""Late fusion of two runs' predictions, worked by hand, and what it refuses."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import read_csv

from preprocessing.errors import UserError
from stfnet import ClipConfig, ModelConfig, run
from stfnet.config import TrainingConfig
from stfnet.evaluation import breakdown, fusion, result_files
from stfnet.evaluation.clips_per_video import ONE_CLIP, Views
from stfnet.run.config import RunConfig

# What two runs give the videos 0, 1 and 2 of the records.
FRAMES = np.array([[0.6, 0.3, 0.1], [0.4, 0.5, 0.1], [0.1, 0.2, 0.7]], np.float32)
FLOW = np.array([[0.5, 0.1, 0.4], [0.8, 0.1, 0.1], [0.3, 0.4, 0.3]], np.float32)


def _evaluated(folder, record_set, probabilities, streams, positions=(0, 1, 2), views=ONE_CLIP):
    """Writes a run and its evaluation with the probabilities given."""
    config = RunConfig(
        "tiny", record_set.classes, ModelConfig(3, ClipConfig(3, 4, 32)), TrainingConfig()
    )
    videos = run.draw_videos(record_set, config)
    with run.writing(folder, config, videos):
        (folder / run.BEST_FILE).write_bytes(streams.encode())
    labels = np.array([record_set.videos[k].label for k in positions])
    results = {
        **dict.fromkeys(("majority", "chance", "leak"), 0),
        "dataset": "tiny",
        "protocol": "group",
        "fold": "1",
        "split": "test",
        "streams": streams,
        "num_classes": 3,
        "num_train": 15,
        "num_test": len(positions),
        "validated_on": "groups held back from training",
        "split_fingerprint": videos.fingerprint(),
        "network_sha256": run.network_sha256(folder),
        "finished": True,
        "views": views.to_json(),
        **breakdown.breakdown(
            probabilities, labels, record_set.classes, [record_set.videos[k] for k in positions]
        ),
    }
    result_files.write(folder, results, probabilities, positions, record_set)
    return folder


@pytest.fixture
def runs(tiny_records, tmp_path):
    return (
        _evaluated(tmp_path / "frames", tiny_records, FRAMES, "rgb"),
        _evaluated(tmp_path / "flow", tiny_records, FLOW, "flow"),
    )


def test_fused_probabilities_are_the_weighted_mean(runs, tiny_records, tmp_path):
    sources = fusion.parse_sources([str(runs[0]), f"{runs[1]}:3"])
    results, paths = fusion.fuse(sources, tiny_records, tmp_path / "fused")
    rows = read_csv(paths.predictions)
    classes = tiny_records.classes
    written = [[float(row[f"p:{name}"]) for name in classes] for row in rows]
    # (0.6 + 3 * 0.5) / 4 and so on.
    by_hand = [[0.525, 0.15, 0.325], [0.7, 0.2, 0.1], [0.25, 0.35, 0.4]]
    np.testing.assert_allclose(written, by_hand, atol=1e-6)
    labels = [tiny_records.videos[k].label for k in range(3)]
    assert results["top1"] == np.mean(
        [label == best for label, best in zip(labels, (0, 0, 2), strict=True)]
    )
    assert [(one["weight"], one["streams"]) for one in results["fused"]] == [
        (1, "rgb"),
        (3, "flow"),
    ]
    assert json.loads(paths.results.read_text()) == results
    assert all(path.is_file() and path.parent == tmp_path / "fused" for path in paths)


def test_the_part_of_a_collection_that_results_of_before_lack_is_named(
    runs, tiny_records, tmp_path
):
    record_set = dataclasses.replace(tiny_records, name="tiny")
    assert (
        fusion.fuse([*map(fusion.Source, runs)], record_set, tmp_path / "a")[0]["dataset"] == "tiny"
    )
    for folder in runs:
        path = result_files.paths_in(folder).results
        path.write_text(path.read_text().replace('"dataset": "tiny"', '"dataset": "ucf101"'))
    record_set = dataclasses.replace(tiny_records, name="ucf101")
    fused, _ = fusion.fuse([*map(fusion.Source, runs)], record_set, tmp_path / "b")
    assert fused["dataset"] == "ucf101 (3 of 101 classes, 24 of 13320 clips)"


def test_videos_are_matched_by_name_and_not_by_row(runs, tiny_records, tmp_path):
    again = _evaluated(tmp_path / "again", tiny_records, FLOW[::-1], "flow", (2, 1, 0))
    fused = [
        fusion.fuse(fusion.parse_sources([str(runs[0]), str(other)]), tiny_records, tmp_path / name)
        for name, other in (("a", runs[1]), ("b", again))
    ]
    first, second = (paths.predictions.read_text() for _, paths in fused)
    assert first == second


def test_the_files_of_the_views_asked_for_are_fused(runs, tiny_records, tmp_path):
    views = Views(2, True)
    for folder, probabilities in zip(runs, (FLOW, FRAMES), strict=True):
        _evaluated(folder, tiny_records, probabilities, folder.name, views=views)
    sources = fusion.parse_sources([f"{runs[0]}:3", str(runs[1])])
    _, paths = fusion.fuse(sources, tiny_records, tmp_path / "fused", views)
    assert paths.results.name == "results-2clips-flip.json"
    assert float(read_csv(paths.predictions)[0]["probability"]) == 0.525
    with pytest.raises(UserError, match=r"results-3clips\.json is missing.* --num_clips=3 first"):
        fusion.fuse(sources, tiny_records, tmp_path / "fused", Views(3))


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        ((0, 1, 3), "tested on different videos, 3 and 3"),
        ((0, 1), "tested on different videos, 3 and 2"),
    ],
)
def test_runs_of_different_test_videos_are_refused(
    runs, tiny_records, tmp_path, positions, message
):
    other = _evaluated(tmp_path / "other", tiny_records, FLOW[: len(positions)], "flow", positions)
    sources = fusion.parse_sources([str(runs[0]), str(other)])
    with pytest.raises(UserError, match=message):
        fusion.fuse(sources, tiny_records, tmp_path / "fused")
    assert not (tmp_path / "fused").exists()


def test_runs_of_different_classes_are_refused(runs, tiny_records, tmp_path):
    path = runs[1] / "predictions.csv"
    path.write_text(path.read_text().replace(f"p:{tiny_records.classes[2]}", "p:Sleep"))
    sources = fusion.parse_sources(list(map(str, runs)))
    with pytest.raises(UserError, match=r"cannot be fused: their classes differ \(such as Sleep"):
        fusion.fuse(sources, tiny_records, tmp_path / "fused")


@pytest.mark.parametrize("damage", ["p:", "0.1", "v"])
def test_damaged_predictions_are_named(runs, tiny_records, tmp_path, damage):
    path = runs[1] / "predictions.csv"
    lines = path.read_text().splitlines()
    if damage == "p:":
        lines = [line.rsplit(",", 1)[0] for line in lines[:2]] + lines[2:]
    elif damage == "0.1":
        lines[1] = lines[1].replace("0.100000", "much")
    else:
        lines.append(lines[-1])
    path.write_text("\n".join(lines))
    sources = fusion.parse_sources(list(map(str, runs)))
    with pytest.raises(UserError, match=r"flow/predictions\.csv|their classes differ"):
        fusion.fuse(sources, tiny_records, tmp_path / "fused")


def test_the_folder_of_a_run_is_not_written_to(runs, tiny_records):
    before = (runs[0] / "results.json").read_bytes()
    sources = fusion.parse_sources(list(map(str, runs)))
    with pytest.raises(UserError, match=r"holds a run.*another folder with --workdir"):
        fusion.fuse(sources, tiny_records, runs[0])
    assert (runs[0] / "results.json").read_bytes() == before


def test_weights_and_colons_in_paths_are_told_apart(tmp_path):
    folder = tmp_path / "run:2"
    folder.mkdir()
    expected = {
        "a:2.5": fusion.Source(Path("a"), 2.5),
        "disk:b": fusion.Source(Path("disk:b"), 1.0),
        "c": fusion.Source(Path("c"), 1.0),
        str(folder): fusion.Source(folder),
        f"{folder}:3": fusion.Source(folder, 3),
        f"{tmp_path}/other:2": fusion.Source(tmp_path / "other", 2),
    }
    assert fusion.parse_sources(list(expected)) == list(expected.values())


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "--fuse=a names one run, and two are needed"),
        (["a", "b:0"], "weight 0 for b: a number above 0"),
        (["a", "b:nan"], "weight nan for b"),
        (["a:-1", "b"], "weight -1 for a"),
    ],
)
def test_sources_that_make_no_sense_are_refused(names, message):
    with pytest.raises(UserError, match=message):
        fusion.parse_sources(names)
