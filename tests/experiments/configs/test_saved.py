import dataclasses
import shutil

import pytest

from experiments import run_config
from experiments.configs import paper, real_videos, saved, synthetic
from preprocessing import files
from preprocessing.errors import UserError
from stfnet.config import to_dict


@pytest.mark.parametrize("module", [paper, real_videos, synthetic])
def test_the_settings_of_a_run_are_those_it_had(module, tiny_records, tmp_path):
    config = run_config.make_run_config(module.get_config(), tiny_records)
    config = dataclasses.replace(
        config,
        protocol="official",
        fold="group07",
        split_seed=5,
        split_from="there",
        training=dataclasses.replace(config.training, seed=9),
    )
    path = tmp_path / "config.json"
    files.write_json(path, to_dict(config))
    assert run_config.make_run_config(saved.get_config(str(path)), tiny_records) == config


def test_a_name_is_needed():
    with pytest.raises(UserError, match=r"saved\.py needs the settings of a run: give experiments"):
        saved.get_config()


def test_the_settings_of_a_run_are_read_by_their_path(
    run_program, tiny_run, tiny_records, tmp_path
):
    folder = tmp_path / "a:b"
    folder.mkdir()
    shutil.copy(tiny_run / "config.json", folder)
    config = f"--config={folder / 'config.json'}"
    places = [f"--records={tiny_records.folder}", f"--workdir={tmp_path}/run"]
    ended = run_program("train", config, "--config.fold=7", *places)
    line = "fold=7 has no effect with protocol=group: set protocol=official or fold=1"
    assert (ended.returncode, ended.stderr) == (1, f"error: {line}\n")
