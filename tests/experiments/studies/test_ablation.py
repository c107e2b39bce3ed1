"""The studies: their values on configurations, the paper's value, what is refused."""

import dataclasses

import pytest

from experiments.studies import ablation
from experiments.studies.ablation import STUDIES
from experiments.studies.variants import AS_CONFIGURED, variants
from preprocessing.errors import UserError
from stfnet import networks
from stfnet.config import TrainingConfig, to_dict
from stfnet.networks import ModelConfig
from stfnet.run.config import RunConfig

# The defaults of all settings are the paper's, or where it names none this project's reading.
PAPER = RunConfig("ucf11", tuple("abc"), ModelConfig(3), TrainingConfig())


def _with(network="stfnet", **model):
    values = networks.switched(to_dict(PAPER.model), network)
    return dataclasses.replace(PAPER, model=networks.read(values | model))


@pytest.mark.parametrize("name", STUDIES)
def test_the_reference_is_the_paper_and_every_other_value_another(name):
    found = variants(STUDIES[name], PAPER)
    assert next(iter(found)) == STUDIES[name].reference
    assert found.pop(STUDIES[name].reference).config == PAPER
    assert set(found) == set(STUDIES[name].values) - {STUDIES[name].reference}
    configs = [variant.config for variant in found.values()]
    assert all(config != PAPER for config in configs) and len(found) == len(set(configs))
    folders = [variant.folder for variant in found.values()]
    assert len(set(folders)) == len(folders) and AS_CONFIGURED not in folders
    assert not set("/ ,:") & set("".join(folders))


def test_the_values_are_those_that_the_questions_need():
    shown = {name: list(study.values) for name, study in STUDIES.items()}
    assert shown["streams"] == ["both", "rgb", "flow"]
    assert shown["fusion"] == ["conv3d", "conv2d", "sum", "concat"]
    assert shown["branches"] == ["both", "conv", "fc"]
    assert shown["normalize"] == ["none", "gates", "all"]
    assert shown["flow_length"] == ["1", "2", "4", "6", "8"]
    found = variants(STUDIES["flow_length"], PAPER)
    assert [found[k].config.model.clip.flow_length for k in "12468"] == [1, 2, 4, 6, 8]
    assert found["8"].folder == "flow_length-8"
    tau = variants(STUDIES["tau_range"], PAPER)["10 to 20"]
    assert (tau.config.training.tau_range, tau.folder) == ((10, 20), "tau_range-10-to-20")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "fusion",
            {"streams": "rgb"},
            "the study fusion needs model.streams=both, not rgb: give "
            "--config.model.streams=both, or leave the study out",
        ),
        ("fusion_init", {"fusion": "sum"}, "needs model.fusion=conv3d or conv2d, not sum"),
        ("merge", {"branches": "fc"}, "needs model.branches=both, not fc"),
        ("flow_length", {"streams": "rgb"}, "needs model.streams=both or flow, not rgb"),
        *(
            (name, {"network": "lrcn"}, "needs model.network=stfnet or small_data, not lrcn")
            for name in ("fusion", "fusion_init", "branches", "merge", "normalize", "dropout")
        ),
        (
            "fusion_init",
            {"network": "small_data", "fusion_filters": 384},
            "model.fusion_init=identity_sum does not fit the configuration: .* 512, not 384",
        ),
    ],
)
def test_a_study_that_does_not_fit_is_refused_and_all_leaves_it_out(
    name, settings, message, capsys
):
    base = _with(**settings)
    with pytest.raises(UserError, match=message):
        ablation.chosen(["streams", name], base)
    found = {study.name for study in ablation.chosen(["all"], base)}
    left_out = capsys.readouterr().out.splitlines()
    assert name not in found and "streams" in found
    assert any(line.startswith(f"study {name} is left out: ") for line in left_out)
    assert found | {line.split()[1] for line in left_out} == set(STUDIES)


def test_studies_are_run_once_in_the_order_given():
    found = ablation.chosen(["merge", "streams", "merge"], PAPER)
    assert [study.name for study in found] == ["merge", "streams"]
    found = ablation.chosen(["merge", "all"], PAPER)
    assert [study.name for study in found] == ["merge", *(n for n in STUDIES if n != "merge")]


def test_the_list_marks_the_value_of_the_paper():
    lines = ablation.described().splitlines()
    assert "  values:   1; 2; 4 (paper); 6; 8" in lines
    assert "  values:   concat (default, open in the paper); sum; product" in lines
    assert [line for line in lines if not line.startswith(" ")] == list(STUDIES)
