"""Training and evaluation as a person runs them: whole programs on real records."""

import dataclasses
import json
import shutil

import pytest
from helpers import read_csv

from preprocessing import records


@pytest.mark.slow
def test_a_run_is_trained_evaluated_and_compared(small, run_in_turn, tiny_records, tmp_path):
    places = (f"--records={tiny_records.folder}", f"--workdir={tmp_path}")
    trained, evaluated, leaking = run_in_turn(
        [
            ("train", *small, *places),
            ("evaluate", *places, "--nearest_neighbour"),
            ("evaluate", *places, "--protocol=paper"),
        ]
    )
    status, printed, errors = trained
    assert status == 0, errors
    assert "15 training, 3 validation and 6 test videos of 3 classes" in printed
    for name in ("best.keras", "config.json", "history.csv", "steps.csv", "curves.png"):
        assert (tmp_path / name).stat().st_size > 0
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))

    assert evaluated[0] == 0, evaluated
    results = json.loads((tmp_path / "results.json").read_text())
    rows = read_csv(tmp_path / "predictions.csv")
    truths = {video.id: video.class_name for video in tiny_records.videos}
    assert all(row["class"] == truths[row["video"]] for row in rows)
    right = sum(row["class"] == row["predicted"] for row in rows)
    assert results["top1"] == pytest.approx(right / len(rows))
    assert results["num_test"] == len(rows) == sum(map(sum, results["confusion"]))
    assert (results["chance"], results["leak"]) == (pytest.approx(1 / 3), 0.0)
    assert results["protocol"] == "group"
    assert "nearest_neighbour" in results

    assert leaking[0] == 1
    assert "were trained on, or the epoch was chosen on them: the run was" in leaking[2]


def test_a_mistake_is_one_line_and_status_1(small, check_mistakes, tiny_records, tmp_path):
    places = (f"--records={tiny_records.folder}", f"--workdir={tmp_path / 'run'}")
    (tmp_path / "broken.py").write_text(
        'def get_config():\n    raise ValueError("it\'s\\nwrong")\n'
    )
    (tmp_path / "lacks.py").write_text('def get_config():\n    return {}["it\'s not there"]\n')
    mistakes = [
        (["--config.training.lr=1"], "no setting 'lr': see experiments/configs/defaults.py\n"),
        (
            ["--config.model.fusoin=sum"],
            "no setting 'fusoin': see experiments/configs/defaults.py; Did you mean \"fusion\" ins",
        ),
        (
            [f"--config={tmp_path}/broken.py"],
            "the configuration does not load: ValueError: it's wrong\n",
        ),
        (
            [f"--config={tmp_path}/lacks.py"],
            "the configuration does not load: KeyError: it's not there\n",
        ),
        (
            ["--config.training.seed.x=1"],
            "the configuration does not load: KeyError: Attribute <class 'int'>.x does not",
        ),
        (["--config=nowhere.py"], "No such file or directory: 'nowhere.py'"),
        (["--config.model.clip.image_size=64"], "image_size=32, but the model has"),
        (["--records=nowhere"], "nowhere does not exist"),
        (
            ["--folds=all", "--config.protocol=official", "--config.fold=2"],
            "--config.fold=2 has no effect with --folds=all",
        ),
    ]
    check_mistakes("train", [((*small, *places, *case), text) for case, text in mistakes])
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_every_fold_is_trained_once_and_their_mean_is_written(
    small, run_in_turn, tiny_records, tmp_path
):
    shutil.copytree(tiny_records.folder, tmp_path / "records")
    groups = sorted({video.group for video in tiny_records.videos})
    split_of = {
        group: {
            fold: "test" if int(group[-1]) in held_out else "train"
            for fold, held_out in (("1", (1, 2)), ("2", (3, 4)), ("group07", (7,)))
        }
        for group in groups
    }
    record_set = dataclasses.replace(
        tiny_records,
        folder=tmp_path / "records",
        videos=tuple(
            dataclasses.replace(video, splits=split_of[video.group])
            for video in tiny_records.videos
        ),
    )
    records.write_record_set(record_set)
    places = (f"--records={record_set.folder}", f"--workdir={tmp_path / 'runs'}")
    train = ("train", *small, *places, "--config.protocol=official")
    evaluate = ("evaluate", *places, "--folds=all")
    missing, *ends = run_in_turn(
        [evaluate, (*train, "--folds=2,group*"), (*train, "--folds=all"), evaluate]
    )
    assert missing[0] == 1 and "experiments.train --folds=1,2" in missing[2]
    for status, _, errors in ends:
        assert status == 0, errors
    folders = sorted(path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert [folder.name for folder in folders] == ["fold-1", "fold-2", "fold-group07"]
    trained = [line for line in ends[1][1].splitlines() if line.startswith("stage 1 epoch")]
    assert len(trained) == 1  # fold 2 was trained before
    mean = json.loads((tmp_path / "runs" / "results.json").read_text())
    single = [
        json.loads((tmp_path / "runs" / f"fold-{fold}" / "results.json").read_text())
        for fold in "12"
    ]
    assert mean["top1"] == pytest.approx(sum(one["top1"] for one in single) / 2)
    assert [one["fold"] for one in single] == ["1", "2"] and single[0]["num_test"] == 6
