"""From a configuration file and records to the configuration of a run."""

import shutil
import types

import pytest
from ml_collections import config_dict

from experiments import run_config
from experiments.configs import defaults, modern, paper, real_videos, saved, synthetic
from preprocessing import files
from preprocessing.errors import UserError
from stfnet import run
from stfnet.config import RecordsConfig, to_dict
from stfnet.report import report
from stfnet.run import checkpoints

RECORDS = types.SimpleNamespace(
    title="ucf11 (2 of 11 classes)",
    classes=("Bow", "Jump"),
    encoding={"image_format": "jpeg", "jpeg_quality": 80, "flow_bound": 20.0},
    flow={"method": "opencv", "quality": "fast"},
    videos=[types.SimpleNamespace(num_frames=count) for count in (30, 250, 40)],
)


@pytest.mark.parametrize("module", [defaults, modern, paper, real_videos, synthetic])
def test_every_configuration_of_the_project_is_accepted(module):
    config = run_config.make_run_config(module.get_config(), RECORDS)
    assert config.model.num_classes == 2 and config.name == RECORDS.title


def test_a_run_knows_how_its_records_were_encoded_and_how_long_the_videos_are(tmp_path):
    config = run_config.make_run_config(defaults.get_config(), RECORDS)
    assert config.records == RecordsConfig("jpeg", 80, 40)
    files.write_json(tmp_path / run.CONFIG_FILE, to_dict(config))
    assert run.read_config(tmp_path).records == config.records
    # Of another record set, with the settings of that run.
    again = types.SimpleNamespace(**{**vars(RECORDS), "encoding": {"image_format": "png"}})
    again.encoding["jpeg_quality"] = 95
    settings = saved.get_config(str(tmp_path / run.CONFIG_FILE))
    config = run_config.make_run_config(settings, again)
    assert config.records == RecordsConfig("png", 95, 40)
    assert not run.differences(run.read_config(tmp_path), config)


def test_records_of_one_class_are_refused():
    alone = types.SimpleNamespace(name="tiny", classes=("Bow",), folder="records")
    with pytest.raises(UserError, match="records has videos of one class, Bow, which leaves noth"):
        run_config.make_run_config(defaults.get_config(), alone)


def test_streams_that_are_to_be_chosen_start_as_both():
    config = real_videos.get_config()
    assert run_config.chooses_streams(config)
    assert run_config.make_run_config(config, RECORDS).model.streams == "both"
    assert config.model.streams == "auto"
    config.model.streams = "rgb"
    assert not run_config.chooses_streams(config)
    assert run_config.make_run_config(config, RECORDS).model.streams == "rgb"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model": {}}, "an ml_collections.ConfigDict is needed"),
        (None, "an ml_collections.ConfigDict is needed"),
        (config_dict.create(model=3), "model=3 is not a group of settings"),
        (config_dict.create(model={"clip": 3}), "model.clip=3 is not a group of settings"),
        (config_dict.create(speed=3), "unknown settings ['speed']"),
        (config_dict.create(fold=2, protocol="group"), "fold=2 has no effect with protocol=group"),
        (
            config_dict.create(training={"weights": "nowhere.h5"}),
            "weights=nowhere.h5 is not a file",
        ),
    ],
)
def test_a_configuration_of_another_form_is_named(config, message):
    with pytest.raises(UserError) as refusal:
        run_config.make_run_config(config, RECORDS)
    assert message in str(refusal.value)


def test_frozen_filters_that_are_random_are_warned_of(caplog):
    config = synthetic.get_config()
    run_config.make_run_config(config, RECORDS)
    assert not caplog.messages
    config.training.frozen_blocks = (5, 0)
    run_config.make_run_config(config, RECORDS)
    assert "training.frozen_blocks=(5, 0) keeps random filters" in caplog.text


def test_a_run_of_the_papers_configuration_differs_from_it_in_nothing():
    values = paper.get_config()
    config = run_config.make_run_config(values, RECORDS)

    def changed():
        rows = report.settings_beside(config, values.to_dict())
        assert len(rows) > 40
        return [row for row in rows if row[1] != row[2]]

    assert changed() == []
    values.training.batch_size = 4
    assert changed() == [("training.batch_size", 8, 4)]


def test_a_folder_of_folds_or_of_fused_predictions_is_no_run(tmp_path, tiny_run):
    run_config.check_one_run(tiny_run)
    run_config.check_one_run(tmp_path)  # it is no run at all, which reading it reports
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(UserError, match="holds the fused predictions of several runs"):
        run_config.check_one_run(tmp_path)
    shutil.copytree(tiny_run, tmp_path / "fold-7")
    with pytest.raises(UserError, match=r"several folds, .* give --workdir=.*/fold-7 and"):
        run_config.check_one_run(tmp_path)


def test_folds_without_a_finished_run_are_named(tmp_path, tiny_run):
    with pytest.raises(UserError, match=r"has no run of fold 1, 2: train it with .*--folds=1,2,"):
        run_config.folders_of_folds(tmp_path, ["1", "2"])
    for fold in "12":
        shutil.copytree(tiny_run, tmp_path / f"fold-{fold}")
    with pytest.raises(UserError, match="the run of fold 1, 2 has not trained to its end"):
        run_config.folders_of_folds(tmp_path, ["1", "2"])
    for fold in "12":
        checkpoints.save(
            tmp_path / f"fold-{fold}" / run.CHECKPOINTS_FOLDER, 1, {}, {"finished": True}
        )
    folders = run_config.folders_of_folds(tmp_path, ["1", "2"])
    assert folders == {fold: tmp_path / f"fold-{fold}" for fold in "12"}
