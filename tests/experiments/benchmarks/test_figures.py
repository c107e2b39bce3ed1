import json

import pytest
from absl import flags
from absl.testing import flagsaver

from experiments.benchmarks import figures
from preprocessing.errors import UserError

if "output" not in flags.FLAGS:
    flags.DEFINE_string("output", None, "JSON file for the figures.")


@pytest.fixture(autouse=True)
def parsed_flags():
    flags.FLAGS.mark_as_parsed()


def test_figures_are_written_where_a_file_is_named(tmp_path):
    with flagsaver.flagsaver(output=str(tmp_path / "figures.json")):
        figures.check_output()
        figures.write_output({"seconds": 1.5})
    assert json.loads((tmp_path / "figures.json").read_text()) == {"seconds": 1.5}


def test_without_a_file_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with flagsaver.flagsaver(output=None):
        figures.check_output()
        figures.write_output({"seconds": 1.5})
    assert not list(tmp_path.iterdir())


def test_a_folder_is_refused_before_the_work(tmp_path):
    with flagsaver.flagsaver(output=str(tmp_path)), pytest.raises(UserError, match="is a folder"):
        figures.check_output()
