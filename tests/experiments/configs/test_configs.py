"""The files of experiments/configs, and the names that they had once."""

import ast
from pathlib import Path

import pytest

from experiments import configs
from experiments.configs import baselines, defaults, modern, paper, real_videos, synthetic
from preprocessing.errors import UserError
from stfnet import networks
from stfnet.config import TrainingConfig, from_dict
from stfnet.networks.settings import EFFECTIVE_WITH
from stfnet.run.config import check_together

FOLDER = Path(configs.__file__).parent
FILES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_configuration_imports_nothing_that_needs_tensorflow(path):
    allowed = {"dataclasses", "pathlib", "ml_collections", "preprocessing.errors"}
    allowed |= {"stfnet.config", "stfnet.networks", "stfnet.run.config"}
    imported = {
        node.module for node in ast.walk(ast.parse(path.read_text())) if hasattr(node, "module")
    }
    imported |= {
        alias.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert imported <= allowed | {"experiments.configs"}


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "defaults.py"])
def test_a_configuration_gives_its_command_time_and_result(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    named = "RUN/config.json" if path.name == "saved.py" else f"experiments/configs/{path.name}"
    assert f"--config={named}" in text
    assert "Time" in text and any(word in text for word in ("Expected", "esult: not measured"))


@pytest.mark.parametrize("file", [paper, real_videos, baselines])
def test_a_name_that_a_configuration_does_not_have_is_refused(file):
    with pytest.raises(UserError, match=r"\.py:ucf12 is not one of "):
        file.get_config("ucf12")


def test_the_papers_recipe_is_the_same_on_its_three_data_sets():
    configs = [paper.get_config(name).to_dict() for name in paper.DATA_SETS]
    assert configs[0] == configs[1] == configs[2] == paper.get_config().to_dict()
    assert configs[0]["training"]["learning_rates"] == (1e-5, 1e-6)


@pytest.mark.parametrize("file", [paper, modern, synthetic, *real_videos.STARTS])
def test_who_changes_one_setting_inherits_none_that_is_refused(file):
    config = real_videos.get_config(file) if isinstance(file, str) else file.get_config()
    defaults_of_network = networks.NETWORKS[config.model.network](3)
    # Those that small_data alone has are refused: the network for little data sets all of them.
    for name in EFFECTIVE_WITH.keys() - {
        "fusion_filters",
        "conv_pool",
        "linear_root",
        "linear_quarters",
    }:
        assert config.model[name] == getattr(defaults_of_network, name)


def test_the_narrow_network_of_real_videos_is_that_of_the_rendered_actions():
    real, rendered = real_videos.get_config("scratch").to_dict(), synthetic.get_config().to_dict()
    names = ("width_divisor", "fc6_units", "lstm_units", "normalize", "merge", "fusion_init")
    assert [real["model"][name] for name in names] == [rendered["model"][name] for name in names]
    assert real["training"]["weights"] == ""


@pytest.mark.parametrize("name", baselines.NAMES)
def test_a_baseline_has_its_own_settings_and_the_papers_recipe(name):
    config = baselines.get_config(name).to_dict()
    network = networks.read({**config["model"], "num_classes": 3})
    assert network.network == name.removesuffix("_frames")
    assert name != "lrcn_frames" or network.streams == "rgb"
    recipe = paper.get_config().training.to_dict()
    assert config["training"] == recipe | ({} if network.vgg16 else {"weights": ""})
    check_together(network, from_dict(TrainingConfig, config["training"]))


def test_the_defaults_are_those_of_the_network_that_is_named():
    assert defaults.get_config("lrcn").model.lstm_units == 256
    with pytest.raises(UserError, match="'resnet' is not a network: give one of stfnet"):
        defaults.get_config("resnet")


def test_a_setting_that_does_not_exist_is_an_error():
    with pytest.raises(KeyError):
        defaults.changed(training={"speed": 3})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("experiments/configs/ucf101.py", "experiments/configs/paper.py"),
        ("/somewhere/ucf11.py", "experiments/configs/paper.py:ucf11"),
        ("ucf_sports.py:x", "experiments/configs/paper.py:ucf_sports"),
        ("experiments/configs/small.py", "experiments/configs/real_videos.py:imagenet"),
        ("experiments/configs/recipes/modern.py", "experiments/configs/modern.py"),
        ("experiments/configs/unknown.py", None),
        (str(FOLDER / "modern.py"), None),
    ],
)
def test_an_old_name_leads_to_the_new_one(old, new):
    assert configs.new_place(old) == new


def test_a_file_of_a_users_own_may_have_an_old_name(tmp_path):
    (tmp_path / "small.py").write_text("")
    assert configs.new_place(str(tmp_path / "small.py")) is None


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("real_videos.py", "real_videos.py"),
        ("experiments/configs/real_videos.py", "real_videos.py"),
        ("paper.py:ucf11", "paper.py:ucf11"),
        ("saved.py:run/config.json", "saved.py:run/config.json"),
        ("elsewhere/real_videos.py", None),
        ("unknown.py", None),
        ("real_videos", None),
        ("__init__.py", None),
        ("", None),
    ],
)
def test_a_configuration_of_the_project_is_found_from_any_folder(path, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configs.packaged(path) == (file and f"{FOLDER}/{file}")


def test_a_file_in_the_current_folder_goes_before_the_projects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paper.py").write_text("")
    assert configs.packaged("paper.py:ucf11") is None


@pytest.mark.parametrize("form", [["--config=paper.py:ucf12"], ["--config", "paper.py:ucf12"]])
def test_the_file_that_a_name_stands_for_is_printed(run_python, form, tmp_path):
    places = ("--records=/nowhere", "--workdir=run")
    ended = run_python("-m", "experiments.train", *form, *places, folder=tmp_path)
    note, error = ended.stderr.splitlines()
    assert note == f"--config=paper.py:ucf12 is not in this folder: {FOLDER}/paper.py:ucf12 is read"
    assert ended.returncode == 1 and error.startswith("error: paper.py:ucf12 is not one of")


def test_a_name_that_leads_nowhere_is_refused_in_one_line(check_mistakes, tmp_path):
    places = ("--records=/nowhere", "--workdir=run")
    moved = "--config=old/ucf11.py has moved: give --config=experiments/configs/paper.py:ucf11"
    old = [
        ((*form, *override, *places), moved)
        for form in (("--config=old/ucf11.py",), ("--config", "old/ucf11.py"))
        for override in ((), ("--config.training.batch_size=4",))
    ]
    unknown = f"--config={FOLDER / 'paper.py'}:ucf12"
    missing = f"{tmp_path / 'config.json'} is missing: is {tmp_path} the folder of a run?"
    saved = [
        ((f"--config={given}{tmp_path / 'config.json'}", *places), missing)
        for given in ("", f"{FOLDER / 'saved.py'}:")
    ]
    colon = ((unknown, *places), "paper.py:ucf12 is not one of ucf101, ucf11, ucf_sports")
    check_mistakes("train", [*old, colon, *saved], tmp_path)
    assert not list(tmp_path.iterdir())
